/* Reading large pieces of a file past the page cache (O_DIRECT), unless they are in it.
 *
 *     direct_file f;
 *     unsigned char *data;
 *     unsigned char *const buffer = aligned_alloc(DIRECT_ALIGN, direct_room(bytes));
 *     direct_init(&f, path, fd);                       fd is from io_open_read
 *     direct_read(&f, off, buffer, bytes, NULL, &data, e);
 *     ...                                              data[0 … bytes) lies in the buffer
 *     direct_close(&f);
 *
 * A disk reaches its full speed only with large requests, several at a time, without a copy through
 * the page cache; several threads that read pieces of a few MiB achieve that. What is already in the
 * page cache is copied from there. Where the file system does not support such reads, and for pieces
 * of less than DIRECT_MIN, this is io_read_at. */
#ifndef DIRECT_H
#define DIRECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

enum {
    DIRECT_ALIGN = 4096,   /* alignment of a buffer, and of what is read from the disk */
    DIRECT_MIN = 128 << 10 /* for less, reading whole units is not worth it */
};

typedef struct direct_file {
    const char *path;    /* for messages; owned by the caller */
    const char *again;   /* the path to open it again by: `path`, unless the caller sets another */
    int fd;              /* reads through the page cache */
    bool written;        /* see direct_init_written */
    char by_fd[32];      /* `again` of such a file */
    atomic_int past;     /* reads past the page cache; opened when first needed */
    atomic_bool refused; /* the file system opened `past`, but cannot read from it */
    atomic_bool through; /* something of DIRECT_MIN or more had to be read through the page cache */
} direct_file;

/* A callback that is given the bytes while they are in the processor's cache (for a digest, say):
 * piece by piece, in order. A NULL piece means that everything comes again from the first byte. Its
 * error ends the read. */
typedef struct direct_witness {
    err_code (*see)(void *ctx, const unsigned char *piece, size_t bytes, err *e);
    void *ctx;
} direct_witness;

/* Takes over `fd`. */
void direct_init(direct_file *f, const char *path, int fd);
void direct_close(direct_file *f);

/* The same for a file that was just written, to see what the disk holds: the page cache, which has
 * what was written, is not asked, unless there is no way past it (`through`). The file needs no name,
 * and `fd` stays the caller's. */
void direct_init_written(direct_file *f, const char *path, int fd);
void direct_close_written(direct_file *f);

/* The size of the buffer into which `bytes` bytes are read: `bytes` if that is less than DIRECT_MIN,
 * else a larger multiple of DIRECT_ALIGN. */
uint64_t direct_room(uint64_t bytes);

/* Read bytes [off, off + bytes) into a buffer of direct_room(bytes) bytes, which is aligned to
 * DIRECT_ALIGN unless `bytes` is less than DIRECT_MIN. *data: where they begin in it, either
 * `buffer` or buffer + off % DIRECT_ALIGN. `w` may be NULL. Safe from several threads. Errors are
 * those of io_read_at and of the witness. */
MUST_CHECK err_code direct_read(direct_file *f, uint64_t off, unsigned char *buffer, size_t bytes,
                                const direct_witness *w, unsigned char **data, err *e);

#endif
