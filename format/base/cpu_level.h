/* Which instruction set the CPU kernels use: the best of three levels that this processor supports.
 *
 *     cpu_level level;
 *     cpu_level_choose(&level, e);
 *     const tile_kernel *kernel = tile_kernel_at(level);       format/base/levelled.h
 *
 * OCTAVO_CPU=baseline|v3|v4 in the environment overrides it, for tests. The levels are those of the
 * x86-64 ABI; on other processors there is only the baseline. Safe from several threads. */
#ifndef CPU_LEVEL_H
#define CPU_LEVEL_H

#include <stdbool.h>

#include "format/base/err.h"

typedef enum cpu_level { CPU_BASELINE, CPU_V3, CPU_V4, CPU_LEVELS } cpu_level;

/* ERR_USAGE if OCTAVO_CPU is not a level, or is one that this processor does not support. */
MUST_CHECK err_code cpu_level_choose(cpu_level *level, err *e);

/* Can this processor, under this operating system, run code compiled for that level? */
bool cpu_level_available(cpu_level level);

const char *cpu_level_name(cpu_level level); /* "baseline", "v3", "v4" */

/* What this program was compiled for: "x86-64", "AArch64", or "another machine", which nobody tries. */
const char *cpu_machine(void);

#endif
