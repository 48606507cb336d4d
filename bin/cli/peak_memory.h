/* Peak memory use of this process. */
#ifndef PEAK_MEMORY_H
#define PEAK_MEMORY_H

#include <stdint.h>

/* Peak resident memory in bytes; 0: unknown. */
uint64_t peak_memory(void);

#endif
