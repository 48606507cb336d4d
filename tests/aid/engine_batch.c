#include "tests/aid/engine_batch.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "quant/engine/tile_kernel.h"

static engine_job job_at(unsigned i)
{
    static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    static const uint64_t sides[] = {1, 128, 77, 512, 640, 256, 129};
    engine_job job = {.source = sources[i % 3],
                      .block = block_fp8(i % 2 ? SCALES_UE8M0 : SCALES_F32)};
    job.rows = i == 7 ? 3 : sides[i % 7];
    job.cols = i == 7 ? 12345 : sides[i * 3 % 5];
    job.dialect = i < 12 ? DIALECT_IEEE : (pack_dialect)(i % DIALECT_COUNT);
    if (dialect_lacks(job.dialect, job.source, job.block.scale)) {
        job.dialect = DIALECT_DEEPGEMM;
    }
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
    for (unsigned i = 0; i < BATCH_JOBS; i++) {
        jobs[i].tile_scales = scales + tile;
        jobs[i].stats = stats + tile;
        tile += engine_job_tiles(&jobs[i]);
    }
}

static void place_jobs(batch *b)
{
    for (unsigned i = 0; i < BATCH_JOBS; i++) {
        engine_job *const job = &b->jobs[i];
        *job = job_at(i);
        job->in_off = (b->in_bytes + 7) / 8 * 8;
        job->out_off = b->out_bytes;
        b->in_bytes = job->in_off + job->rows * job->cols * dtype_bits(job->source) / 8;
        b->out_bytes = job->out_off + job->rows * job->cols;
        b->tiles += engine_job_tiles(job);
    }
}

static void quantize_jobs(batch *b)
{
    tile_scratch *const scratch = aligned_alloc(64, sizeof *scratch);
    ck_assert_ptr_nonnull(scratch);
    for (unsigned i = 0; i < BATCH_JOBS; i++) {
        const engine_job *const job = &b->jobs[i];
        const uint64_t count = engine_job_tiles(job);
        tile_kernel_at(CPU_BASELINE)->quantize(job, b->in, b->out, 0, count, scratch);
        ck_assert(job->stats[0].nonfinite == 0 && job->stats[0].sum_y2 > 0);
    }
    free(scratch);
}

batch batch_new(void)
{
    batch b = {0};
    place_jobs(&b);
    b.in = malloc(b.in_bytes);
    b.out = malloc(b.out_bytes);
    b.scales = calloc(b.tiles, sizeof *b.scales);
    b.stats = calloc(b.tiles, sizeof *b.stats);
    ck_assert(b.in && b.out && b.scales && b.stats);
    fill(b.in, b.in_bytes);
    place_results(b.jobs, b.scales, b.stats);
    quantize_jobs(&b);
    return b;
}

void batch_free(batch *b)
{
    free(b->in);
    free(b->out);
    free(b->scales);
    free(b->stats);
}

/* ---- one slot -------------------------------------------------- */

batch_run batch_run_new(const batch *b)
{
    batch_run r = {.expected = b};
    memcpy(r.jobs, b->jobs, sizeof r.jobs);
    r.scales = calloc(b->tiles, sizeof *r.scales);
    r.stats = calloc(b->tiles, sizeof *r.stats);
    ck_assert(r.scales && r.stats);
    place_results(r.jobs, r.scales, r.stats);
    return r;
}

void batch_run_free(batch_run *r)
{
    free(r->scales);
    free(r->stats);
}

err_code batch_run_slot(batch_run *r, engine *g, engine_slot *slot, err *e)
{
    const batch *const b = r->expected;
    memcpy(slot->in, b->in, b->in_bytes);
    memset(slot->out, 0xee, b->out_bytes);
    memset(r->scales, 0xee, b->tiles * sizeof *r->scales);
    memset(r->stats, 0xee, b->tiles * sizeof *r->stats);
    const err_code code = engine_submit(g, slot, r->jobs, BATCH_JOBS, e);
    return code == OK ? engine_wait(g, slot, e) : code;
}

bool batch_run_same(const batch_run *r, const engine_slot *slot)
{
    const batch *const b = r->expected;
    return memcmp(slot->out, b->out, b->out_bytes) == 0 &&
           memcmp(r->scales, b->scales, b->tiles * sizeof *r->scales) == 0 &&
           memcmp(r->stats, b->stats, b->tiles * sizeof *r->stats) == 0;
}

/* ---- all slots ------------------------------------------------- */

typedef struct driver {
    pthread_t thread;
    engine *g;
    engine_slot *slot;
    batch_run run;
    unsigned different; /* rounds */
    err failure;        /* the first */
} driver;

/* Assertions of Check belong to the thread of the test. */
static void *driver_main(void *arg)
{
    driver *const d = arg;
    for (int round = 0; round < BATCH_ROUNDS; round++) {
        if (batch_run_slot(&d->run, d->g, d->slot, &d->failure) != OK ||
            !batch_run_same(&d->run, d->slot)) {
            d->different++;
        }
    }
    return NULL;
}

void batch_expect(engine *g, const batch *b, const char *what)
{
    driver *const drivers = calloc(g->slot_count, sizeof *drivers);
    ck_assert_ptr_nonnull(drivers);
    for (unsigned i = 0; i < g->slot_count; i++) {
        driver *const d = &drivers[i];
        *d = (driver){.g = g, .slot = &g->slots[i], .run = batch_run_new(b)};
        ck_assert_int_eq(pthread_create(&d->thread, NULL, driver_main, d), 0);
    }
    for (unsigned i = 0; i < g->slot_count; i++) {
        driver *const d = &drivers[i];
        pthread_join(d->thread, NULL);
        ck_assert_msg(d->different == 0, "%s, slot %u: %u of %d rounds differ; %s", what, i,
                      d->different, BATCH_ROUNDS, d->failure.text);
        batch_run_free(&d->run);
    }
    free(drivers);
}
