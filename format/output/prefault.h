/* Prefaults the pages of a tmpfs file, ahead of the threads that fill it through a mapping.
 *
 * Allocating pages is most of the work of writing such a file: small pages are added to it one
 * after another. Huge pages are 512 times fewer. A tmpfs uses them by itself only if it was mounted
 * that way, but Linux since 6.1 puts them into any tmpfs file on request (MADV_COLLAPSE). If that
 * is not possible, one thread allocates small pages ahead.
 *
 *     prefault *const t = prefault_start(fd, map, bytes);
 *     prefault_need(t, off, n);        before map[off, off + n) is filled; any thread
 *     prefault_stop(t);
 *
 * All of this is optional: pages that were not prefaulted are allocated when the writer maps them,
 * and the writer reports it if none are left. */
#ifndef PREFAULT_H
#define PREFAULT_H

#include <stddef.h>
#include <stdint.h>

typedef struct prefault prefault;

/* The size of a huge page on systems with pages of 4 KiB; with larger pages, huge ones are too
 * large to be useful. A mapping has to begin at a multiple of it. */
enum { PREFAULT_ALIGN = 2 << 20 };

/* `map` is a shared mapping of all `bytes` of the file, for writing. It stays the caller's, like
 * `fd`. Returns NULL if nothing can be prefaulted. */
prefault *prefault_start(int fd, unsigned char *map, uint64_t bytes);

/* Allocate these pages now, if huge ones are available, or wait for the thread that is doing so. */
void prefault_need(prefault *t, uint64_t off, uint64_t bytes);

void prefault_stop(prefault *t); /* NULL is fine, here and above */

#endif
