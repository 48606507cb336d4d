/* The guard of an engine: wrong results are found and described, right results are never refused,
 * and tiles are chosen evenly. test_engine_takeover.c tests what happens to failures. */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/cpu_level.h"
#include "format/tensor/float_bits.h"
#include "tests/aid/guard_case.h"

enum { SLOTS = 4 };

/* ---- what the guard looks like --------------------------------- */

START_TEST(same_slots)
{
    bool closed = false;
    faulty_engine *const f = faulty_open(SLOTS, 5000, 3000);
    f->plan.closed = &closed;
    const guarded t = open_over(f, 0.5, true);
    ck_assert_str_eq(t.g->ops->name, "faulty");
    ck_assert_uint_eq(t.g->slot_count, SLOTS);
    ck_assert_uint_eq(t.g->in_bytes, 5000);
    ck_assert_uint_eq(t.g->out_bytes, 3000);
    ck_assert_uint_eq(t.g->device_bytes, f->base.device_bytes);
    for (unsigned i = 0; i < SLOTS; i++) {
        ck_assert_ptr_eq(t.g->slots[i].in, f->base.slots[i].in);
        ck_assert_ptr_eq(t.g->slots[i].out, f->base.slots[i].out);
    }
    ck_assert_ptr_null(engine_guard_failure(t.g));
    ck_assert_uint_eq(engine_guard_checked(t.g), 0);
    ck_assert(!closed);
    engine_close(t.g);
    ck_assert(closed);
}
END_TEST

/* After an error the caller still owns the other engine. */
START_TEST(open_fails)
{
    err e = {0};
    bool closed = false;
    engine *g = NULL;
    const engine_guard_options o = {.check_share = 1};
    faulty_engine *const f = faulty_open(1, 1, 1);
    f->plan.closed = &closed;
    ck_assert_int_eq(setenv("OCTAVO_CPU", "v5", 1), 0);
    expect_error(engine_guard_open(&f->base, &o, &g, &e), ERR_USAGE, &e, "OCTAVO_CPU");
    ck_assert_int_eq(unsetenv("OCTAVO_CPU"), 0);
    if (!SANITIZED) {
        engine huge = f->base;
        huge.slot_count = UINT_MAX;
        expect_error(engine_guard_open(&huge, &o, &g, &e), ERR_MEMORY, &e,
                     "faulty engine: no memory to check 4294967295 slots");
    }
    ck_assert_ptr_null(g);
    ck_assert(!closed);
    engine_close(&f->base);
}
END_TEST

/* ---- checks ---------------------------------------------------- */

/* No false alarm, and nothing is changed. */
START_TEST(right_results)
{
    static const double shares[] = {0, 0.1, 1};
    batch b = batch_new();
    for (int i = 0; i < COUNT(shares); i++) {
        const guarded t = open_guarded(&b, 2, shares[i], false);
        batch_expect(t.g, &b, "right results");
        const double tiles = (double)(b.tiles * 2 * BATCH_ROUNDS);
        const double checked = (double)engine_guard_checked(t.g);
        const double allowed = shares[i] * (1 - shares[i]) * tiles / 5; /* none for 0 and 1 */
        ck_assert_msg(fabs(checked - shares[i] * tiles) <= allowed, "share %g of %g tiles: %g",
                      shares[i], tiles, checked);
        ck_assert_ptr_null(engine_guard_failure(t.g));
        engine_close(t.g);
    }
    batch_free(&b);
}
END_TEST

/* The guard works at the level of the processor, and no level disagrees. */
START_TEST(right_at_all_levels)
{
    batch b = batch_new();
    batch_run r = batch_run_new(&b);
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        if (cpu_level_available(level)) {
            err e = {0};
            ck_assert_int_eq(unsetenv("OCTAVO_CPU"), 0);
            faulty_engine *const f = faulty_open(1, b.in_bytes, b.out_bytes);
            ck_assert_int_eq(setenv("OCTAVO_CPU", cpu_level_name(level), 1), 0);
            const guarded t = open_over(f, 1, false);
            expect_ok(batch_run_slot(&r, t.g, t.slot, &e), &e);
            ck_assert(batch_run_same(&r, t.slot));
            ck_assert_uint_eq(engine_guard_checked(t.g), b.tiles);
            engine_close(t.g);
        }
    }
    batch_run_free(&r);
    batch_free(&b);
}
END_TEST

/* Where a tile lies in its job. */
typedef struct place {
    uint64_t row, col, rows, cols;
} place;

static place place_of(const engine_job *job, uint64_t tile)
{
    const uint64_t across = num_ceil_div(job->cols, TILE);
    place p = {.row = tile / across * TILE, .col = tile % across * TILE};
    p.rows = num_min(TILE, job->rows - p.row);
    p.cols = num_min(TILE, job->cols - p.col);
    return p;
}

static void flip(float *x)
{
    *x = float_from_bits(float_bits(*x) ^ 1);
}

/* Each of these undoes itself. */
#define SPOIL(name, change)                                                                        \
    static void spoil_##name(const engine_job *job, uint64_t tile, unsigned char *codes)           \
    {                                                                                              \
        const place p = place_of(job, tile);                                                       \
        tile_stats *const s = &job->stats[tile];                                                   \
        (void)p, (void)s, (void)codes;                                                             \
        change;                                                                                    \
    }

SPOIL(first, codes[p.row * job->cols + p.col] ^= 0x80)
SPOIL(last, codes[(p.row + p.rows - 1) * job->cols + p.col + p.cols - 1] ^= 1)
SPOIL(scale, flip(&job->tile_scales[tile]))
SPOIL(amax, flip(&s->amax))
SPOIL(sum_y2, flip(&s->sum_y2))
SPOIL(sum_d2, flip(&s->sum_d2))
SPOIL(saturated, s->saturated ^= 1)
SPOIL(zero, s->zero ^= 2)
SPOIL(flushed, s->flushed ^= 4)
SPOIL(nonfinite, s->nonfinite ^= 1)
SPOIL(first_nonfinite, s->first_nonfinite ^= 1)

static const struct {
    void (*spoil)(const engine_job *job, uint64_t tile, unsigned char *codes);
    const char *what;
} faults[] = {{spoil_first, "code at"},
              {spoil_last, "code at"},
              {spoil_scale, "scale is"},
              {spoil_amax, "amax is"},
              {spoil_sum_y2, "sum_y2 is"},
              {spoil_sum_d2, "sum_d2 is"},
              {spoil_saturated, "saturated is"},
              {spoil_zero, "zero is"},
              {spoil_flushed, "flushed is"},
              {spoil_nonfinite, "nonfinite is"},
              {spoil_first_nonfinite, "first_nonfinite is"}};

/* The one slot of `t` has the results of `r`, and the engine will leave them there. */
static void let_idle(guarded *t, batch_run *r)
{
    err e = {0};
    expect_ok(batch_run_slot(r, t->g, t->slot, &e), &e);
    ck_assert(batch_run_same(r, t->slot));
    t->f->plan.idle = true;
}

/* The last tile of a job is wrong: all its types and clipped sizes occur in a batch. */
static void expect_found(const guarded *t, const engine_job *job, int fault)
{
    err e = {0};
    const uint64_t tile = engine_job_tiles(job) - 1;
    const place p = place_of(job, tile);
    char expected[160];
    snprintf(expected, sizeof expected, "faulty engine: tile %d, %d of a %dx%d matrix of %s: %s",
             (int)(p.row / TILE), (int)(p.col / TILE), (int)job->rows, (int)job->cols,
             dtype_name(job->source), faults[fault].what);
    t->f->plan.spoil = faults[fault].spoil;
    t->f->plan.spoil_from = atomic_load(&t->f->tiles) + tile;
    expect_error(run_jobs(t, job, 1, &e), ERR_GPU, &e, expected);
    faults[fault].spoil(job, tile, t->slot->out + job->out_off);
}

START_TEST(wrong_results)
{
    err e = {0};
    batch b = batch_new();
    batch_run r = batch_run_new(&b);
    guarded t = open_guarded(&b, 1, 1, true);
    let_idle(&t, &r);
    for (int i = 0; i < BATCH_JOBS; i++) {
        for (int k = 0; k < COUNT(faults); k++) {
            expect_found(&t, &r.jobs[i], k);
        }
    }
    ck_assert_ptr_null(engine_guard_failure(t.g)); /* nothing of this is taken over */
    t.f->plan.spoil = NULL;
    expect_ok(run_jobs(&t, r.jobs, BATCH_JOBS, &e), &e);
    ck_assert(batch_run_same(&r, t.slot));
    engine_close(t.g);
    batch_run_free(&r);
    batch_free(&b);
}
END_TEST

/* ---- one tile by itself ---------------------------------------- */

static void spoil_by_much(const engine_job *job, uint64_t tile, unsigned char *codes)
{
    (void)codes;
    job->tile_scales[tile] = 1.5f;
}

static void spoil_in_the_middle(const engine_job *job, uint64_t tile, unsigned char *codes)
{
    if (tile == 1) {
        codes[17 * job->cols + 130] = 0x38;
    }
}

/* The whole text, as users see it. */
START_TEST(messages)
{
    err e = {0};
    small s;
    small_open(&s, 100, 200, 1, true);
    s.t.f->plan.spoil = spoil_by_much;
    ck_assert_int_eq(small_run(&s, &e), ERR_GPU);
    ck_assert_str_eq(e.text, "faulty engine: tile 0, 0 of a 100x200 matrix of F32: "
                             "scale is 1.5, the CPU says 1");
    ck_assert_str_ne(e.hint, "");
    e = (err){0};
    s.t.f->plan.spoil = spoil_in_the_middle;
    ck_assert_int_eq(small_run(&s, &e), ERR_GPU);
    ck_assert_str_eq(e.text, "faulty engine: tile 0, 1 of a 100x200 matrix of F32: "
                             "code at 17, 130 is 0x38, the CPU says 0x7e");
    ck_assert_int_eq(small_run(&s, NULL), ERR_GPU);
    small_close(&s);
}
END_TEST

/* In such a tile only the number and the first are compared. */
static void spoil_meaningless(const engine_job *job, uint64_t tile, unsigned char *codes)
{
    if (job->stats[tile].nonfinite > 0) {
        codes[tile * TILE + 1] ^= 0x7f;
        job->tile_scales[tile] = NAN;
        job->stats[tile].amax = 1;
        job->stats[tile].sum_y2 = job->stats[tile].sum_d2 = NAN;
        job->stats[tile].saturated = job->stats[tile].zero = job->stats[tile].flushed = 77;
    }
}

/* The device misses infinities and NaNs and computes a scale. */
static void spoil_unseen(const engine_job *job, uint64_t tile, unsigned char *codes)
{
    (void)codes;
    job->tile_scales[tile] = 2;
    job->stats[tile].nonfinite = 0;
}

START_TEST(nonfinite_tiles)
{
    err e = {0};
    small s;
    small_open(&s, 100, 200, 1, false);
    s.in[3 * 200 + 5] = -INFINITY;
    s.t.f->plan.spoil = spoil_meaningless;
    expect_ok(small_run(&s, &e), &e);
    ck_assert_uint_eq(s.stats[0].nonfinite, 1);
    ck_assert_uint_eq(s.stats[0].zero, 77);
    ck_assert_uint_eq(engine_guard_checked(s.t.g), 2);
    s.t.f->plan.spoil = spoil_unseen;
    expect_error(small_run(&s, &e), ERR_GPU, &e,
                 "tile 0, 0 of a 100x200 matrix of F32: nonfinite is 0, the CPU says 1");
    s.in[3 * 200 + 5] = NAN;
    s.t.f->plan.spoil = spoil_first_nonfinite;
    expect_error(small_run(&s, &e), ERR_GPU, &e, "first_nonfinite is 388, the CPU says 389");
    small_close(&s);
}
END_TEST

/* ---- which tiles ----------------------------------------------- */

enum { LONG_RUN = 20000 };

/* Five standard deviations of what `tiles` independent choices give, and one for the first. */
static double stray(double share, unsigned tiles)
{
    return 1 + 5 * sqrt(share * (1 - share) * tiles);
}

/* chosen[n]: is tile number n of the slot checked? Neither the number of chosen tiles nor the gaps
 * between them may deviate from what was asked for. */
static void watch_choice(double share, unsigned count, bool *chosen)
{
    err e = {0};
    small s;
    small_open(&s, 1, 1, share, false);
    unsigned last = 0;
    for (unsigned n = 0; n < count; n++) {
        const uint64_t before = engine_guard_checked(s.t.g);
        expect_ok(small_run(&s, &e), &e);
        s.t.f->plan.idle = true;
        const uint64_t now = engine_guard_checked(s.t.g);
        chosen[n] = now > before;
        last = chosen[n] ? n : last;
        ck_assert_msg(n - last < 15 / share, "share %g: none from %u to %u", share, last + 1, n);
        ck_assert_msg(fabs((double)now - share * (n + 1)) <= stray(share, n + 1),
                      "share %g: %d of %u", share, (int)now, n + 1);
    }
    ck_assert(chosen[0]);
    small_close(&s);
}

START_TEST(share_of_tiles)
{
    static const double shares[] = {1, 0.9, 0.5, 1.0 / 3, 0.1, 1.0 / 64, 0.01, 0.001};
    bool chosen[LONG_RUN];
    for (int i = 0; i < COUNT(shares); i++) {
        const double count = 300 / shares[i];
        watch_choice(shares[i], count < LONG_RUN ? (unsigned)count : LONG_RUN, chosen);
    }
}
END_TEST

/* In matrices of any width, all columns of tiles are checked equally often. */
START_TEST(columns_of_tiles)
{
    bool chosen[LONG_RUN];
    const double share = 1.0 / 16;
    watch_choice(share, LONG_RUN, chosen);
    for (unsigned width = 1; width <= 128; width++) {
        for (unsigned col = 0; col < width; col++) {
            unsigned tiles = 0;
            unsigned checked = 0;
            for (unsigned n = col; n < LONG_RUN; n += width) {
                tiles++;
                checked += chosen[n];
            }
            ck_assert_msg(fabs(checked - share * tiles) <= stray(share, tiles),
                          "column %u of %u: %u of %u checked", col, width, checked, tiles);
        }
    }
}
END_TEST

/* Two slots with the same tiles do not check the same ones. */
START_TEST(slots_differ)
{
    enum { RUN = 500 };
    err e = {0};
    float scale;
    tile_stats stats;
    const engine_job job = {.source = DTYPE_BF16,
                            .block = block_fp8(SCALES_F32),
                            .rows = 1,
                            .cols = 1,
                            .tile_scales = &scale,
                            .stats = &stats};
    const guarded t = open_over(faulty_open(2, 2, 1), 0.1, false);
    unsigned chosen[3] = {0}; /* by none, one or both slots */
    for (unsigned n = 0; n < RUN; n++) {
        const uint64_t before = engine_guard_checked(t.g);
        for (unsigned i = 0; i < 2; i++) {
            engine_slot *const slot = &t.g->slots[i];
            memset(slot->in, 0, 2);
            expect_ok(engine_submit(t.g, slot, &job, 1, &e), &e);
            expect_ok(engine_wait(t.g, slot, &e), &e);
        }
        chosen[engine_guard_checked(t.g) - before]++;
    }
    ck_assert_uint_ge(chosen[2], 1);
    ck_assert(fabs(chosen[1] - 0.18 * RUN) <= stray(0.18, RUN));
    ck_assert(fabs(chosen[2] - 0.01 * RUN) <= stray(0.01, RUN));
    engine_close(t.g);
}
END_TEST

/* A device that begins to fail after a while is found, even by few checks. */
START_TEST(wrong_later)
{
    enum { GOOD = 1234 };
    err e = {0};
    small s;
    small_open(&s, 1, 1, 0.01, true);
    s.t.f->plan.spoil = spoil_by_much;
    s.t.f->plan.spoil_from = GOOD;
    unsigned good = 0;
    while (good < GOOD + 900 && small_run(&s, &e) == OK) {
        good++;
        s.t.f->plan.idle = true;
    }
    ck_assert_int_eq(e.code, ERR_GPU);
    ck_assert_uint_ge(good, GOOD);
    small_close(&s);
}
END_TEST

int main(void)
{
    TCase *const tests = tcase_create("engine_guard");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, same_slots);
    tcase_add_test(tests, open_fails);
    tcase_add_test(tests, right_results);
    tcase_add_test(tests, right_at_all_levels);
    tcase_add_test(tests, wrong_results);
    tcase_add_test(tests, messages);
    tcase_add_test(tests, nonfinite_tiles);
    tcase_add_test(tests, share_of_tiles);
    tcase_add_test(tests, columns_of_tiles);
    tcase_add_test(tests, slots_differ);
    tcase_add_test(tests, wrong_later);
    return run_tests("engine_guard", tests);
}
