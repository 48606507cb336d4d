/* The operations on this processor: threads, and kernels for the best instruction level
 * (format/base/cpu_level.h). The reference that other devices are compared with. */
#ifndef OPS_CPU_H
#define OPS_CPU_H

#include "verify/ops/ops.h"

/* `threads` >= 1 computing threads, the calling one included; between operations the others look
 * out for a moment and then sleep. *out: destroy. Memory is aligned to 64 bytes and may be read and
 * written between operations. Errors: ERR_MEMORY; ERR_USAGE if OCTAVO_CPU names no level, or one
 * that this processor lacks. */
MUST_CHECK err_code ops_cpu_create(unsigned threads, ops **out, err *e);

#endif
