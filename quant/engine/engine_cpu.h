/* The CPU engine: a pool of threads that runs the tile kernel of the best instruction set at hand.
 *
 * The kernel is one source compiled three times (baseline x86-64, x86-64-v3, x86-64-v4); all give
 * the same bits. */
#ifndef ENGINE_CPU_H
#define ENGINE_CPU_H

#include "quant/engine/engine.h"

/* `slots` slots of in_bytes and out_bytes, `threads` (>= 1) computing threads. *out: engine_close.
 * Errors: ERR_MEMORY; ERR_USAGE if OCTAVO_CPU names no level, or one that this processor lacks. */
MUST_CHECK err_code engine_cpu_open(unsigned threads, unsigned slots, size_t in_bytes,
                                    size_t out_bytes, engine **out, err *e);

#endif
