/* What the tests of engines share: jobs of all sorts that fill one slot, what has to come out, and
 * threads that drive the slots of an engine as the pipeline does.
 *
 *     batch b = batch_new();
 *     engine_cpu_open(2, 3, b.in_bytes, b.out_bytes, &g, &e);
 *     batch_expect(g, &b, "two threads");
 *     batch_free(&b);
 *
 * or one slot at a time, with results of its own:
 *
 *     batch_run r = batch_run_new(&b);
 *     expect_ok(batch_run_slot(&r, g, &g->slots[0], &e), &e);
 *     ck_assert(batch_run_same(&r, &g->slots[0]));
 *     batch_run_free(&r);
 *
 * A batch belongs to its caller and may be shared by threads that only read it. */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include <stdbool.h>

#include "quant/engine/engine.h"

enum { BATCH_JOBS = 24, BATCH_ROUNDS = 3 };

typedef struct batch {
    engine_job jobs[BATCH_JOBS]; /* from one tile to hundreds, all types, ragged and not */
    size_t in_bytes, out_bytes, tiles;
    unsigned char *in, *out; /* random elements, all finite; the codes of one kernel call a job */
    float *scales;
    tile_stats *stats;
} batch;

batch batch_new(void);
void batch_free(batch *b);

/* The jobs of a batch with results of their own. */
typedef struct batch_run {
    const batch *expected;
    engine_job jobs[BATCH_JOBS];
    float *scales;
    tile_stats *stats;
} batch_run;

batch_run batch_run_new(const batch *b);
void batch_run_free(batch_run *r);

/* Put the input into the slot and garbage where results belong, submit, wait. */
err_code batch_run_slot(batch_run *r, engine *g, engine_slot *slot, err *e);

/* Is everything as it has to be? */
bool batch_run_same(const batch_run *r, const engine_slot *slot);

/* Drive all slots, each by a thread for BATCH_ROUNDS rounds, and assert that no call fails and
 * everything is as it has to be. `what` is for messages. */
void batch_expect(engine *g, const batch *b, const char *what);

#endif
