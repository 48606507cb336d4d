/* Texts in memory that may be compressed: gzip, zstd, xz or bzip2, recognized by the content.
 *
 *     if (text_is_packed(data, bytes)) {
 *         text_unpack("a.txt.zst", data, bytes, limit, m, &text, &text_bytes, e);      free(text)
 *     }
 */
#ifndef TEXT_PACKED_H
#define TEXT_PACKED_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* How much of a text text_is_packed looks at. */
enum { TEXT_PACKED_BYTES = 10 };

/* Of bzip2 it wants more than the "BZh" with which a text may begin; the beginnings of the others are
 * not UTF-8. */
bool text_is_packed(const char *data, size_t bytes);

/* Unpack all of it, with a NUL after the last byte: *out is the caller's to free(). Errors: ERR_INPUT
 * damaged, truncated, or more than `limit` bytes; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code text_unpack(const char *what, const char *data, size_t bytes, size_t limit,
                                const monitor *m, char **out, size_t *out_bytes, err *e);

/* A monitor that only asks whether to stop: reading texts is no stage of the job. */
monitor text_quiet(const monitor *m);

#endif
