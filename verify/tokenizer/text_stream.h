/* The bytes of a text file of any size, plain or compressed, from front to back in bounded memory.
 *
 *     text_stream *s;
 *     text_stream_open(path, m, &s, e);
 *     while (text_stream_read(s, &piece, &bytes, e) == OK && bytes > 0) ...
 *     code = text_stream_check(s, code, e);              what was read is worth something
 *     text_stream_close(s);
 *
 * Compression is recognized by the content (text_packed.h). Used by one thread at a time. */
#ifndef TEXT_STREAM_H
#define TEXT_STREAM_H

#include <stddef.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct text_stream text_stream;

/* `path` and `m` must outlive it. *out: text_stream_close; NULL after an error. Errors: ERR_IO;
 * ERR_INPUT: cannot be unpacked; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code text_stream_open(const char *path, const monitor *m, text_stream **out, err *e);

/* The next piece, valid until the next call; *bytes is 0 at the end. Errors as above. */
MUST_CHECK err_code text_stream_read(text_stream *s, const unsigned char **piece, size_t *bytes,
                                     err *e);

/* The end of reading, or of reading no further: `code` is what came of the bytes. If the file has
 * changed meanwhile, ERR_IO takes its place (err_overrule). If its ctime alone says so, it is read
 * again, as far as it was read, and the same bytes are only a note. */
err_code text_stream_check(text_stream *s, err_code code, err *e);

void text_stream_close(text_stream *s); /* NULL is fine */

#endif
