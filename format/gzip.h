/* Data that gzip compressed, through zlib. */
#ifndef GZIP_H
#define GZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "format/err.h"

/* True if the data begins like a gzip file. */
bool gzip_is_compressed(const char *data, size_t bytes);

/* Unpack all members of `data` into fresh memory with a NUL behind the last byte: *out is the
 * caller's to free(). `what` names the data in messages. Errors: ERR_INPUT damaged, cut off, with
 * something else behind it, or more than `limit` bytes; ERR_MEMORY. */
MUST_CHECK err_code gzip_unpack(const char *what, const char *data, size_t bytes, size_t limit,
                                char **out, size_t *out_bytes, err *e);

#endif
