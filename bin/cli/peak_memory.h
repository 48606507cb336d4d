/* How much memory this process has had at most. */
#ifndef PEAK_MEMORY_H
#define PEAK_MEMORY_H

#include <stdint.h>

/* Bytes that were resident at the same time; 0: unknown. */
uint64_t peak_memory(void);

#endif
