/* An engine around another one that may fail or compute wrongly, as a GPU may: it checks a sample
 * of the results on the CPU while the job runs, and can do the work itself where the other fails.
 *
 *     engine_cuda_open(&options, &cuda, NULL, e);
 *     engine_guard_open(cuda, &(engine_guard_options){0.01, .take_over = true}, &g, e);
 *     ...                                    the job, with g as with any engine
 *     text = engine_guard_failure(g);        not NULL: why the CPU did a part of it
 *     engine_close(g);                       closes the other one, too
 *
 * Checks: a wait quantizes the chosen tiles of its slot again, with the tile kernel for this
 * processor, and compares codes, scale and statistics bit by bit; of a tile with infinities or NaNs
 * only their number and the first. Any difference is ERR_GPU, with a message that counts from the
 * first row of the engine_job, and never taken over: what the device computed before is suspect,
 * too, so the job has to end. The first tile of every slot is chosen; behind it each has the same
 * chance by a hash of its number in the slot, so that neither the width of the matrices nor a fault
 * that comes back in a fixed rhythm keeps step with the choice.
 *
 * Taking over: where submit or wait of the other engine fails with ERR_GPU, the waiting thread does
 * the work, and this slot never asks the other engine again. Other slots find out on their own. Any
 * other error, and ERR_GPU without take_over, is passed on as it is.
 *
 * There are no threads here: all work is done inside wait, for different slots in parallel. Slots,
 * their buffers and the name are those of the other engine, and whatever engine.h says holds. */
#ifndef ENGINE_GUARD_H
#define ENGINE_GUARD_H

#include <stdbool.h>

#include "quant/engine/engine.h"

typedef struct engine_guard_options {
    double check_share; /* of the tiles: 0 none ... 1 all */
    bool take_over;
} engine_guard_options;

/* *out owns `inner` from now on. All memory is taken here, about 170 KiB a slot: taking over cannot
 * fail. Errors, which leave `inner` with the caller and *out as it is: ERR_MEMORY; ERR_USAGE if
 * OCTAVO_CPU names no level, or one that this processor lacks. */
MUST_CHECK err_code engine_guard_open(engine *inner, const engine_guard_options *o, engine **out,
                                      err *e);

/* The text of the first error that was taken over, NULL: there was none. It lives as long as g.
 * Here and below any thread may ask, and the answer is final when all waits are over. */
const char *engine_guard_failure(const engine *g);

/* How many tiles were quantized again. */
uint64_t engine_guard_checked(const engine *g);

#endif
