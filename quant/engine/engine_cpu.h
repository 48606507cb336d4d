/* The CPU engine: threads that run the tile kernel for the best instruction level of this processor.
 *
 *     engine_cpu_open(threads, slots, in_bytes, out_bytes, &g, e);
 *     ... as engine.h says ...
 *     engine_close(g);
 *
 * The kernel is one source, compiled once for each level; all levels give the same bits. */
#ifndef ENGINE_CPU_H
#define ENGINE_CPU_H

#include "quant/engine/engine.h"

/* Open an engine with `slots` slots of in_bytes and out_bytes, and `threads` (>= 1) computing
 * threads. Close *out with engine_close. Errors: ERR_MEMORY; ERR_USAGE OCTAVO_CPU does not name a
 * level that this processor has. */
MUST_CHECK err_code engine_cpu_open(unsigned threads, unsigned slots, size_t in_bytes,
                                    size_t out_bytes, engine **out, err *e);

#endif
