/* Large pieces of memory. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stddef.h>

/* `bytes` bytes of any content, aligned for anything; from 2 MiB on in huge pages where the system
 * has them, because touching a table of 100,000 records a small page at a time takes longer than
 * checking it. NULL without memory; free() it. */
void *memory_large(size_t bytes);

#endif
