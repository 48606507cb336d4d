/* Streaming decompressor: reads the contents of a compressed file from front to back, in bounded
 * memory. It knows gzip, zstd, xz and bzip2.
 *
 *     decompressor *f;
 *     decompressor_open(fd, path, m, &f, e);
 *     while (decompressor_read(f, &piece, &bytes, e) == OK && bytes > 0) ...
 *     decompressor_close(f);
 *
 * The checksums of the compression are verified; read to the end to have all of them verified. Used
 * by one thread at a time. */
#ifndef DECOMPRESS_H
#define DECOMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct decompressor decompressor;

enum {
    DECOMPRESSOR_MAGIC_BYTES = 6,
    DECOMPRESSOR_GROWTH = 32,      /* an archive may unpack to this many times its size, */
    DECOMPRESSOR_SPARE = 256 << 20 /* or to this many bytes, if that is more */
};

/* How many bytes may be unpacked from an archive of this size: by its size, or what --max-expand allows,
 * if that is more. Weights shrink by a third, texts to a tenth; what grows more holds nothing but
 * repetitions. */
uint64_t decompressor_limit(uint64_t archive_bytes);

/* Refuse an archive of this size that holds more: ERR_INPUT, with the limit and what to do. */
err_code decompressor_refuse(const char *path, uint64_t archive_bytes, err *e);

/* Does a file that begins with these DECOMPRESSOR_MAGIC_BYTES bytes hold a compressed stream? */
bool decompressor_recognizes(const unsigned char *start);

/* `fd` and `path` stay the caller's, and must outlive the decompressor. The monitor receives how many
 * compressed bytes were read. *out: decompressor_close. Errors: ERR_MEMORY, ERR_IO, ERR_CANCELLED,
 * ERR_INPUT: cannot be unpacked. */
MUST_CHECK err_code decompressor_open(int fd, const char *path, const monitor *m,
                                      decompressor **out, err *e);

/* The same for compressed data in memory, which stays the caller's, too. There is no limit: the caller
 * stops when it has enough. */
MUST_CHECK err_code decompressor_open_memory(const void *data, size_t bytes, const char *name,
                                             const monitor *m, decompressor **out, err *e);

/* The next piece, which is valid until the next call; *bytes is 0 at the end. ERR_INPUT: truncated
 * or damaged, or more than decompressor_limit; ERR_IO, ERR_CANCELLED. */
MUST_CHECK err_code decompressor_read(decompressor *f, const unsigned char **piece, size_t *bytes,
                                      err *e);

void decompressor_close(decompressor *f); /* NULL is fine */

#endif
