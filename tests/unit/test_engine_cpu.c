/* The CPU engine: many slots and threads give the bytes of one kernel call on one thread, at every
 * level. */
#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/cpu_level.h"
#include "format/num.h"
#include "quant/engine_cpu.h"
#include "quant/tile_kernel.h"

enum { JOBS = 24, SLOTS = 3, ROUNDS = 3 };

/* Jobs of all sorts that fill one slot, and what has to come out. */
typedef struct batch {
    engine_job jobs[JOBS];
    size_t in_bytes, out_bytes, tiles;
    unsigned char *in, *out;
    float *scales;
    tile_stats *stats;
} batch;

/* From one tile to hundreds, all types, ragged and not. */
static engine_job job_at(unsigned i)
{
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    static const uint64_t sides[] = {1, 128, 77, 512, 640, 256, 129};
    engine_job job = {.source = sources[i % 3], .scales = i % 2 ? SCALES_UE8M0 : SCALES_F32};
    job.rows = i == 7 ? 3 : sides[i % 7];
    job.cols = i == 7 ? 12345 : sides[i * 3 % 5];
    return job;
}

/* Random bytes; those at odd places make elements of every type finite and of similar size. */
static void fill(unsigned char *in, size_t bytes)
{
    uint64_t random = 88172645463325252u;
    for (size_t i = 0; i < bytes; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        const unsigned char byte = (unsigned char)(random >> 56);
        in[i] = i % 2 ? (byte & 0x83) | 0x38 : byte;
    }
}

/* Point the jobs at results of their own. */
static void place_results(engine_job *jobs, float *scales, tile_stats *stats)
{
    size_t tile = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i].tile_scales = scales + tile;
        jobs[i].stats = stats + tile;
        tile += engine_job_tiles(&jobs[i]);
    }
}

static batch batch_new(void)
{
    batch b = {0};
    for (unsigned i = 0; i < JOBS; i++) {
        engine_job *job = &b.jobs[i];
        *job = job_at(i);
        job->in_off = (b.in_bytes + 7) / 8 * 8;
        job->out_off = b.out_bytes;
        b.in_bytes = job->in_off + job->rows * job->cols * dtype_bits(job->source) / 8;
        b.out_bytes = job->out_off + job->rows * job->cols;
        b.tiles += engine_job_tiles(job);
    }
    b.in = malloc(b.in_bytes);
    b.out = malloc(b.out_bytes);
    b.scales = calloc(b.tiles, sizeof *b.scales);
    b.stats = calloc(b.tiles, sizeof *b.stats);
    ck_assert(b.in && b.out && b.scales && b.stats);
    fill(b.in, b.in_bytes);
    place_results(b.jobs, b.scales, b.stats);
    tile_scratch *scratch = aligned_alloc(64, sizeof *scratch);
    ck_assert_ptr_nonnull(scratch);
    for (unsigned i = 0; i < JOBS; i++) {
        const engine_job *job = &b.jobs[i];
        const uint64_t count = engine_job_tiles(job);
        tile_kernel_at(CPU_BASELINE)->quantize(job, b.in, b.out, 0, count, scratch);
        ck_assert(job->stats[0].nonfinite == 0 && job->stats[0].sum_y2 > 0);
    }
    free(scratch);
    return b;
}

static void batch_free(batch *b)
{
    free(b->in);
    free(b->out);
    free(b->scales);
    free(b->stats);
}

/* One thread that drives one slot, as in the pipeline. */
typedef struct driver {
    pthread_t thread;
    engine *g;
    engine_slot *slot;
    const batch *expected;
    unsigned different; /* rounds */
} driver;

static void *driver_main(void *arg)
{
    driver *d = arg;
    const batch *b = d->expected;
    engine_job jobs[JOBS];
    memcpy(jobs, b->jobs, sizeof jobs);
    float *scales = calloc(b->tiles, sizeof *scales);
    tile_stats *stats = calloc(b->tiles, sizeof *stats);
    if (!scales || !stats) {
        d->different = ROUNDS;
        goto out;
    }
    place_results(jobs, scales, stats);
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(d->slot->in, b->in, b->in_bytes);
        memset(d->slot->out, 0xee, b->out_bytes);
        memset(scales, 0xee, b->tiles * sizeof *scales);
        memset(stats, 0xee, b->tiles * sizeof *stats);
        if (engine_submit(d->g, d->slot, jobs, JOBS, NULL) != OK ||
            engine_wait(d->g, d->slot, NULL) != OK ||
            memcmp(d->slot->out, b->out, b->out_bytes) != 0 ||
            memcmp(scales, b->scales, b->tiles * sizeof *scales) != 0 ||
            memcmp(stats, b->stats, b->tiles * sizeof *stats) != 0) {
            d->different++;
        }
    }
out:
    free(scales);
    free(stats);
    return NULL;
}

static void check_engine(const batch *b, unsigned threads)
{
    engine *g = NULL;
    err e = {0};
    ck_assert_msg(engine_cpu_open(threads, SLOTS, b->in_bytes, b->out_bytes, &g, &e) == OK, "%s",
                  e.text);
    ck_assert_str_eq(g->ops->name, "cpu");
    ck_assert_uint_eq(g->slot_count, SLOTS);
    driver drivers[SLOTS];
    for (unsigned i = 0; i < SLOTS; i++) {
        drivers[i] = (driver){.g = g, .slot = &g->slots[i], .expected = b};
        ck_assert_uint_eq((uintptr_t)g->slots[i].in % 4096, 0);
        ck_assert_uint_eq((uintptr_t)g->slots[i].out % 4096, 0);
        ck_assert_int_eq(pthread_create(&drivers[i].thread, NULL, driver_main, &drivers[i]), 0);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        pthread_join(drivers[i].thread, NULL);
        ck_assert_msg(drivers[i].different == 0, "%u threads, slot %u: %u of %d rounds differ",
                      threads, i, drivers[i].different, ROUNDS);
    }
    engine_close(g);
}

START_TEST(same_bytes)
{
    static const unsigned threads[] = {1, 2, 5};
    batch b = batch_new();
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        if (cpu_level_available(level)) {
            ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
            for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
                check_engine(&b, threads[i]);
            }
        }
    }
    batch_free(&b);
}
END_TEST

/* Waiting without work, no jobs, and an engine that is never used. */
START_TEST(nothing_to_do)
{
    engine *g = NULL;
    ck_assert_int_eq(engine_cpu_open(2, 1, 1, 1, &g, NULL), OK);
    ck_assert_int_eq(engine_wait(g, &g->slots[0], NULL), OK);
    ck_assert_int_eq(engine_submit(g, &g->slots[0], NULL, 0, NULL), OK);
    ck_assert_int_eq(engine_wait(g, &g->slots[0], NULL), OK);
    engine_close(g);
    ck_assert_int_eq(engine_cpu_open(5, 4, 0, 0, &g, NULL), OK);
    engine_close(g);
    engine_close(NULL);
}
END_TEST

START_TEST(levels)
{
    err e = {0};
    engine *g = NULL;
    cpu_level best = CPU_LEVELS;
    unsetenv("OCTAVO_CPU");
    ck_assert_int_eq(cpu_level_choose(&best, NULL), OK);
    ck_assert(cpu_level_available(best) && cpu_level_available(CPU_BASELINE));
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        cpu_level chosen = CPU_LEVELS;
        ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
        if (level <= best) {
            ck_assert_int_eq(cpu_level_choose(&chosen, NULL), OK);
            ck_assert_int_eq(chosen, level);
            ck_assert_str_eq(tile_kernel_at(level)->name, cpu_level_name(level));
        } else {
            ck_assert_int_eq(cpu_level_choose(&chosen, NULL), ERR_USAGE);
        }
    }
    ck_assert_int_eq(setenv("OCTAVO_CPU", "v5", 1), 0);
    ck_assert_int_eq(engine_cpu_open(1, 1, 1, 1, &g, &e), ERR_USAGE);
    ck_assert_str_eq(e.text, "OCTAVO_CPU: expected baseline, v3 or v4, found \"v5\"");
    ck_assert_ptr_null(g);
}
END_TEST

/* More than any machine has: an error, nothing left behind. Sanitizers end the process instead. */
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

START_TEST(no_memory)
{
    if (SANITIZED) {
        return;
    }
    err e = {0};
    engine *g = NULL;
    ck_assert_int_eq(engine_cpu_open(2, 2, SIZE_MAX / 4, 4096, &g, &e), ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(e.text, "no memory"));
    ck_assert_ptr_null(g);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine_cpu");
    TCase *tests = tcase_create("engine_cpu");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, same_bytes);
    tcase_add_test(tests, nothing_to_do);
    tcase_add_test(tests, levels);
    tcase_add_test(tests, no_memory);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
