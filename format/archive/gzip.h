/* Data that gzip compressed, through zlib. */
#ifndef GZIP_H
#define GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

/* True if the data begins like a gzip file. */
bool gzip_is_compressed(const char *data, size_t bytes);

/* Unpack all members of `data` into fresh memory with a NUL behind the last byte: *out is the
 * caller's to free(). `what` names the data in messages. Errors: ERR_INPUT damaged, cut off, with
 * something else behind it, or more than `limit` bytes; ERR_MEMORY. */
MUST_CHECK err_code gzip_unpack(const char *what, const char *data, size_t bytes, size_t limit,
                                char **out, size_t *out_bytes, err *e);

/* Streams without end, piece by piece. ---- */

typedef struct gzip_stream gzip_stream;

gzip_stream *gzip_stream_new(void); /* NULL: no memory */

/* Nothing was read yet, or a stream has ended, its checksum being right: another one may follow. */
bool gzip_stream_is_between(const gzip_stream *s);

/* Unpack from *from, of which there are *left bytes, what fits into `room` bytes at `to`; *made: so
 * many. Moves *from and *left on. Without input: ERR_INPUT cut off, unless it is between streams.
 * ERR_INPUT damaged, ERR_MEMORY. */
MUST_CHECK err_code gzip_stream_step(gzip_stream *s, const unsigned char **from, size_t *left,
                                     unsigned char *to, size_t room, size_t *made, err *e);

void gzip_stream_free(gzip_stream *s); /* NULL is fine */

#endif
