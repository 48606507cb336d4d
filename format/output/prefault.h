/* Gives a file in memory (tmpfs) its pages, ahead of the threads that fill it through a mapping.
 *
 * Taking pages is most of the work of writing such a file: small ones enter it one after another.
 * Huge pages are 512 times fewer. A file system gives them by itself only if it was mounted so, but
 * Linux since 6.1 puts them into any file in memory for who asks (MADV_COLLAPSE). Where that cannot
 * be had, one thread takes small pages ahead.
 *
 *     prefault *const t = prefault_start(fd, map, bytes);
 *     prefault_need(t, off, n);        before map[off, off + n) is filled; any thread
 *     prefault_stop(t);
 *
 * All of it is help: pages that were not taken come when they are touched, and who touches them
 * finds out when there are no more. */
#ifndef PREFAULT_H
#define PREFAULT_H

#include <stddef.h>
#include <stdint.h>

typedef struct prefault prefault;

/* Huge pages of the systems that this is made for; where pages are not of 4 KiB they are too large
 * to be of use. A mapping has to begin at a multiple. */
enum { PREFAULT_ALIGN = 2 << 20 };

/* `map`: all `bytes` of the file, shared, for writing; stays the caller's, like `fd`. NULL: there
 * is no help. */
prefault *prefault_start(int fd, unsigned char *map, uint64_t bytes);

/* Take these pages, if huge ones can be had, or wait for who takes them just now. */
void prefault_need(prefault *t, uint64_t off, uint64_t bytes);

void prefault_stop(prefault *t); /* NULL is fine, here and above */

#endif
