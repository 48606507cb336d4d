/* Files whose pages are memory anyway (tmpfs), written through a mapping.
 *
 * write(2) lets one thread at a time into a file, so that many threads are no faster than one, and
 * fallocate takes the pages of a large file one by one. Through a mapping every thread takes the
 * pages that it fills. Space that runs out is an error here, never a signal.
 *
 *     memory_file m;
 *     int failure = memory_file_open(fd, bytes, &m);       grows the file to that size
 *     if (memory_file_is_open(&m)) failure = memory_file_write(&m, off, data, n);
 *     memory_file_close(&m);
 *
 * Nobody else may truncate the file meanwhile. */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct memory_file {
    unsigned char *map; /* NULL: not open */
    uint64_t bytes;
} memory_file;

/* Is this open file in memory? */
bool memory_file_is_one(int fd);

/* 0 and open; 0 and not open where the file is none of these, or this system cannot do it; or an
 * errno value: ENOSPC: the file system has no room for so many bytes now. */
int memory_file_open(int fd, uint64_t bytes, memory_file *out);

static inline bool memory_file_is_open(const memory_file *m)
{
    return m->map != NULL;
}

/* off + bytes <= m->bytes; any thread. 0, or an errno value: ENOSPC: no room is left. */
int memory_file_write(const memory_file *m, uint64_t off, const void *data, size_t bytes);

void memory_file_close(memory_file *m); /* fine when it is not open */

#endif
