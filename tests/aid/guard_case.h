/* What the tests of the guard share: a guard over a faulty engine, and a small one.
 *
 *     const guarded t = open_guarded(&b, SLOTS, 0.05, true);
 *     t.f->plan = (faulty_plan){...};
 *     ...                               t.g is the guard
 *     engine_close(t.g);
 */
#ifndef GUARD_CASE_H
#define GUARD_CASE_H

#include "quant/engine/engine_guard.h"
#include "tests/aid/engine_batch.h"
#include "tests/aid/expect.h"
#include "tests/aid/faulty_engine.h"

/* A guard over a faulty engine whose slots take `b`. */
typedef struct guarded {
    faulty_engine *f;
    engine *g;
    engine_slot *slot; /* the first */
} guarded;

static inline guarded open_over(faulty_engine *f, double share, bool take_over)
{
    err e = {0};
    guarded t = {.f = f};
    const engine_guard_options o = {.check_share = share, .take_over = take_over};
    expect_ok(engine_guard_open(&f->base, &o, &t.g, &e), &e);
    t.slot = &t.g->slots[0];
    return t;
}

static inline guarded open_guarded(const batch *b, unsigned slots, double share, bool take_over)
{
    return open_over(faulty_open(slots, b->in_bytes, b->out_bytes), share, take_over);
}

static inline err_code run_jobs(const guarded *t, const engine_job *jobs, size_t count, err *e)
{
    const err_code code = engine_submit(t->g, t->slot, jobs, count, e);
    return code == OK ? engine_wait(t->g, t->slot, e) : code;
}

/* A guarded engine with one slot for matrices of F32 of up to 128 x 256. */
typedef struct small {
    guarded t;
    engine_job job;
    float scales[2];
    tile_stats stats[2];
    float *in;
} small;

static inline void small_open(small *s, uint64_t rows, uint64_t cols, double share, bool take_over)
{
    *s = (small){0};
    const size_t elements = TILE * 2 * TILE;
    s->t = open_over(faulty_open(1, elements * sizeof(float), elements), share, take_over);
    s->in = (float *)(void *)s->t.slot->in;
    s->job = (engine_job){.source = DTYPE_F32,
                          .block = block_fp8(SCALES_F32),
                          .rows = rows,
                          .cols = cols,
                          .tile_scales = s->scales,
                          .stats = s->stats};
    for (size_t i = 0; i < rows * cols; i++) {
        s->in[i] = 448;
    }
}

static inline err_code small_run(small *s, err *e)
{
    return run_jobs(&s->t, &s->job, 1, e);
}

static inline void small_close(small *s)
{
    engine_close(s->t.g);
}

#endif
