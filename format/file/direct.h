/* Reading large pieces of a file past the page cache, unless they lie in it.
 *
 *     direct_file f;
 *     unsigned char *data;
 *     unsigned char *const room = aligned_alloc(DIRECT_ALIGN, direct_room(bytes));
 *     direct_init(&f, path, fd);                       fd is from io_open_read
 *     direct_read(&f, off, room, bytes, NULL, &data, e);
 *     ...                                              data[0 … bytes) lies somewhere in the room
 *     direct_close(&f);
 *
 * A disk is read as fast as it can be only by large requests, several at a time, without a copy
 * through the page cache; several threads that read pieces of some MiB do that. What is in the page
 * cache already is copied from there. Where the file system knows no such reading, and for pieces
 * of less than DIRECT_MIN, this is io_read_at. */
#ifndef DIRECT_H
#define DIRECT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

enum {
    DIRECT_ALIGN = 4096,   /* of a room, and of what is read from the disk */
    DIRECT_MIN = 128 << 10 /* less is not worth the room around it */
};

typedef struct direct_file {
    const char *path;    /* for messages; the caller's */
    const char *again;   /* to open it again: `path`, unless the caller says otherwise */
    int fd;              /* through the page cache */
    atomic_int past;     /* past the page cache; opened when first needed */
    atomic_bool refused; /* the file system opened `past`, but does not read it */
} direct_file;

/* Somebody who wants to see the bytes while they are in the processor's cache: called for one piece
 * after another, in order; with NULL: all over again from the first byte. */
typedef struct direct_witness {
    void (*see)(void *ctx, const unsigned char *piece, size_t bytes);
    void *ctx;
} direct_witness;

/* Takes over `fd`. */
void direct_init(direct_file *f, const char *path, int fd);
void direct_close(direct_file *f);

/* The room that `bytes` bytes need: for less than DIRECT_MIN they themselves, else a multiple of
 * DIRECT_ALIGN. */
uint64_t direct_room(uint64_t bytes);

/* Bytes [off, off + bytes) into a room of direct_room(bytes), which begins at a multiple of
 * DIRECT_ALIGN unless they are less than DIRECT_MIN. *data: where they begin in it, which is `room`
 * itself or room + off % DIRECT_ALIGN. `w` may be NULL. Safe from several threads. Errors are those
 * of io_read_at. */
MUST_CHECK err_code direct_read(direct_file *f, uint64_t off, unsigned char *room, size_t bytes,
                                const direct_witness *w, unsigned char **data, err *e);

#endif
