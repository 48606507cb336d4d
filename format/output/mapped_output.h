/* Files whose pages are memory anyway (tmpfs), written through a mapping.
 *
 * write(2) lets one thread at a time into a file, so that many threads are no faster than one.
 * Through a mapping they fill pages side by side. New pages enter a file one after another, and
 * threads that all want some mostly wait for each other: threads of its own take them ahead.
 * Space that runs out is an error here, never a signal.
 *
 *     memory_file *m;
 *     int failure = memory_file_open(fd, bytes, &m);       grows the file to that size
 *     if (m) failure = memory_file_write(m, off, data, n);
 *     memory_file_close(m);
 *
 * Nobody else may truncate the file meanwhile. */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct memory_file memory_file;

/* Is this open file in memory? */
bool memory_file_is_one(int fd);

/* `fd` stays the caller's, and open meanwhile. 0, and *out is NULL where the file is none of these
 * or this system cannot do it; or an errno value: ENOSPC: the file system has no room for so many
 * bytes now. */
int memory_file_open(int fd, uint64_t bytes, memory_file **out);

uint64_t memory_file_bytes(const memory_file *m);

/* off + bytes <= memory_file_bytes(m); any thread. 0, or an errno value: ENOSPC: no room is left.
 */
int memory_file_write(memory_file *m, uint64_t off, const void *data, size_t bytes);

void memory_file_close(memory_file *m); /* NULL is fine */

#endif
