/* Large blocks of memory. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

/* `bytes` uninitialized bytes, aligned for any type; from 2 MiB on in huge pages where the system
 * has them, because faulting in a table of 100,000 records a small page at a time takes longer than
 * checking it. NULL if memory is short. The caller frees it with free(). */
void *memory_large(size_t bytes);

#endif
