/* The lines of a file (text_stream.h), one at a time, in bounded memory.
 *
 *     text_lines *l;
 *     text_lines_open(path, m, &l, e);
 *     while (text_lines_next(l, &line, &bytes, e) == OK && line) ... text_lines_number(l) ...
 *     code = text_lines_check(l, code, e);                what was read is worth something
 *     text_lines_close(l);
 *
 * Lines end with "\n", which is not part of them; the last one may lack it. Used by one thread at a
 * time. */
#ifndef TEXT_LINES_H
#define TEXT_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct text_lines text_lines;

/* A longer line is refused. */
enum { TEXT_LINES_MAX = 64 << 20 };

/* `path` and `m` must outlive it. *out: text_lines_close; NULL after an error. Errors: those of
 * text_stream_open. */
MUST_CHECK err_code text_lines_open(const char *path, const monitor *m, text_lines **out, err *e);

/* *line is valid until the next call; NULL at the end of the file. Errors: as above; ERR_INPUT a line is too long. */
MUST_CHECK err_code text_lines_next(text_lines *l, const char **line, size_t *bytes, err *e);

/* The number of the line that was read last, from 1. */
size_t text_lines_number(const text_lines *l);

/* *ended: nothing follows the line that was read last. It may have to read on, with the errors of
 * reading. */
MUST_CHECK err_code text_lines_ended(text_lines *l, bool *ended, err *e);

/* text_stream_check: `code` is what came of the lines. */
err_code text_lines_check(text_lines *l, err_code code, err *e);

void text_lines_close(text_lines *l); /* NULL is fine */

#endif
