/* Unpacks gzip data, through zlib: as a whole, or as a stream.
 *
 *     gzip_unpack("a.json.gz", data, bytes, limit, &text, &text_bytes, e);     free(text)
 *
 *     gzip_stream *s = gzip_stream_new();
 *     gzip_stream_step(s, &from, &left, to, capacity, &made, e);               until there is no input
 *     gzip_stream_free(s);
 *
 * A stream is used by one thread at a time. Not through libarchive, which ignores the checksums of
 * gzip. */
#ifndef GZIP_H
#define GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

/* True if the data begins like a gzip file. */
bool gzip_is_compressed(const char *data, size_t bytes);

/* Unpack all members of `data`, with a NUL after the last byte: *out is the caller's to free().
 * `what` names the data in messages. Errors: ERR_INPUT: damaged, truncated, followed by something
 * else, or more than `limit` bytes; ERR_MEMORY. */
MUST_CHECK err_code gzip_unpack(const char *what, const char *data, size_t bytes, size_t limit,
                                char **out, size_t *out_bytes, err *e);

/* ---- streams, piece by piece ----------------------------------- */

typedef struct gzip_stream gzip_stream;

gzip_stream *gzip_stream_new(void); /* NULL: no memory */

/* True before the first byte, and when a member has ended with the right checksum: the data may end
 * here, or another member may follow. */
bool gzip_stream_is_between(const gzip_stream *s);

/* Unpack input from *from, with *left bytes left, into at most `capacity` bytes at `to`; *made: how
 * many were written. Advances *from and *left. Without input it returns ERR_INPUT, truncated: ask
 * gzip_stream_is_between before. Also ERR_INPUT: damaged; ERR_MEMORY. */
MUST_CHECK err_code gzip_stream_step(gzip_stream *s, const unsigned char **from, size_t *left,
                                     unsigned char *to, size_t capacity, size_t *made, err *e);

void gzip_stream_free(gzip_stream *s); /* NULL is fine */

#endif
