/* The operations on the CPU, with threads, and with kernels for the best instruction level
 * (format/base/cpu_level.h).
 *
 *     ops *o;
 *     ops_cpu_create(threads, &o, e);
 *     ... verify/ops/ops.h ...
 *     o->destroy(o); */
#ifndef OPS_CPU_H
#define OPS_CPU_H

#include "verify/ops/ops.h"

/* `threads` >= 1 threads compute, including the calling thread; between operations the other
 * threads spin for a moment and then sleep. Memory is aligned to 64 bytes and may be read and
 * written between operations. Errors: ERR_MEMORY; ERR_USAGE if OCTAVO_CPU is not the name of a
 * level, or this processor does not have that level. */
MUST_CHECK err_code ops_cpu_create(unsigned threads, ops **out, err *e);

#endif
