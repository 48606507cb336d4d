/* Files that live in memory (tmpfs), written through a mapping.
 *
 * write(2) locks the file, so many threads are no faster than one. Through a mapping they fill
 * pages in parallel. New pages are added to a file one after another, and threads that all add some
 * mostly wait for each other: helper threads prefault them ahead of the writers (prefault.h).
 * When space runs out, that is an error here, never a signal.
 *
 *     mapped_output *m;
 *     int failure = mapped_output_open(fd, bytes, &m);       grows the file to that size
 *     if (m) failure = mapped_output_write(m, off, data, n);
 *     mapped_output_settle(m);                               before its times count
 *     mapped_output_close(m);
 *
 * Nobody else may truncate the file while it is mapped. */
#ifndef MAPPED_OUTPUT_H
#define MAPPED_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct mapped_output mapped_output;

/* Does this open file live in memory? */
bool mapped_output_is_one(int fd);

/* `fd` stays the caller's and must stay open until mapped_output_close. Returns 0, with *out NULL
 * if the file does not live in memory or this system cannot map it that way; or an errno value,
 * ENOSPC if the file system does not have that much space now. */
int mapped_output_open(int fd, uint64_t bytes, mapped_output **out);

uint64_t mapped_output_bytes(const mapped_output *m);

/* off + bytes <= mapped_output_bytes(m); any thread. Returns 0, or an errno value: ENOSPC if no
 * space is left. */
int mapped_output_write(mapped_output *m, uint64_t off, const void *data, size_t bytes);

/* End what helper threads still do to the file: they change its times. Call this while nobody
 * writes; writes may follow. */
void mapped_output_settle(mapped_output *m); /* NULL is fine */

void mapped_output_close(mapped_output *m); /* NULL is fine */

#endif
