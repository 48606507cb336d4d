/* Files whose pages are memory anyway (tmpfs), written through a mapping.
 *
 * write(2) lets one thread at a time into a file, so that many threads are no faster than one.
 * Through a mapping they fill pages side by side. New pages enter a file one after another, and
 * threads that all want some mostly wait for each other: threads of its own take them ahead.
 * Space that runs out is an error here, never a signal.
 *
 *     mapped_output *m;
 *     int failure = mapped_output_open(fd, bytes, &m);       grows the file to that size
 *     if (m) failure = mapped_output_write(m, off, data, n);
 *     mapped_output_close(m);
 *
 * Nobody else may truncate the file meanwhile. */
#ifndef MAPPED_OUTPUT_H
#define MAPPED_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mapped_output mapped_output;

/* Is this open file in memory? */
bool mapped_output_is_one(int fd);

/* `fd` stays the caller's, and open meanwhile. 0, and *out is NULL where the file is none of these
 * or this system cannot do it; or an errno value: ENOSPC: the file system has no room for so many
 * bytes now. */
int mapped_output_open(int fd, uint64_t bytes, mapped_output **out);

uint64_t mapped_output_bytes(const mapped_output *m);

/* off + bytes <= mapped_output_bytes(m); any thread. 0, or an errno value: ENOSPC: no room is left.
 */
int mapped_output_write(mapped_output *m, uint64_t off, const void *data, size_t bytes);

void mapped_output_close(mapped_output *m); /* NULL is fine */

#endif
