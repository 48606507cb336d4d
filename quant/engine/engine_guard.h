/* The guard is an engine around another engine that may fail or compute wrong results, as a GPU may:
 * it checks a sample of the results on the CPU while the job runs, and can do the work itself where
 * the other engine fails.
 *
 *     engine_cuda_open(&options, &cuda, NULL, e);
 *     engine_guard_open(cuda, &(engine_guard_options){0.01, .take_over = true}, &g, e);
 *     ...                                    the job, with g as with any engine
 *     text = engine_guard_failure(g);        not NULL: why the CPU did a part of it
 *     engine_close(g);                       also closes the other engine
 *
 * Checks: a wait quantizes the chosen tiles of its slot again, with the tile kernel for this
 * processor, and compares codes, scale and statistics bit by bit; for a tile with infinities or NaNs
 * only their number and the first of them. Any difference is ERR_GPU, with a message whose rows
 * count from the first row of the engine_job. It is never taken over: earlier results of the device
 * are suspect too, so the job has to end. The first tile of every slot is chosen; each later tile
 * has the same chance, by a hash of its number in the slot. So neither the width of the matrices nor
 * a fault that recurs periodically can stay in step with the choice.
 *
 * Taking over: if submit or wait of the other engine fails with ERR_GPU, the waiting thread does the
 * work, and this slot never uses the other engine again. Other slots find out on their own. Any
 * other error, and ERR_GPU without take_over, is passed on unchanged.
 *
 * The guard has no threads: all work is done inside wait, for different slots in parallel. Slots,
 * their buffers and the name are those of the other engine, and everything in engine.h applies. */
#ifndef ENGINE_GUARD_H
#define ENGINE_GUARD_H

#include <stdbool.h>

#include "quant/engine/engine.h"

typedef struct engine_guard_options {
    double check_share; /* of the tiles: 0 none ... 1 all */
    bool take_over;
} engine_guard_options;

/* *out owns `inner` from then on. All memory is allocated here, about 170 KiB for each slot, so
 * taking over cannot fail. After an error the caller still owns `inner`, and *out is unchanged:
 * ERR_MEMORY; ERR_USAGE OCTAVO_CPU does not name a level that this processor has. */
MUST_CHECK err_code engine_guard_open(engine *inner, const engine_guard_options *o, engine **out,
                                      err *e);

/* The text of the first error that was taken over; NULL: there was none. It lives as long as g.
 * Any thread may call this and the next function; the answer is final when all waits are over. */
const char *engine_guard_failure(const engine *g);

/* How many tiles were checked. */
uint64_t engine_guard_checked(const engine *g);

#endif
