/* Texts, one after another, from any number of files, without ever holding more than one of them.
 *
 *     text_source *s;
 *     text_source_open(&files, "text", m, &s, e);
 *     while ((code = text_source_next(s, &t, e)) == OK && t.data) ... t.data[0 ... t.bytes - 1] ...
 *     text_source_ended(s, &ended, e);                      if it was not read to its end
 *     code = text_source_check(s, code, e);
 *     text_source_close(s);
 *
 * A file is one text; of JSON lines (text_files_is_lines), every line is one: an object whose field has
 * that name and is a string. Blank lines are skipped. A text is UTF-8, which tokenizer_encode checks. */
#ifndef TEXT_SOURCE_H
#define TEXT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"
#include "format/base/monitor.h"
#include "format/file/dir_list.h"

/* The usual field. */
#define TEXT_SOURCE_FIELD "text"

typedef struct text_source text_source;

typedef struct text_piece {
    const char *data; /* valid until the next call; NULL: there are no more texts */
    size_t bytes;
} text_piece;

/* The files are those of text_files_find; all arguments must outlive it. *out: text_source_close.
 * ERR_MEMORY. */
MUST_CHECK err_code text_source_open(const dir_list *files, const char *field, const monitor *m,
                                     text_source **out, err *e);

/* Errors: ERR_IO; ERR_INPUT malformed or too large, with the file and, of JSON lines, the line;
 * ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code text_source_next(text_source *s, text_piece *t, err *e);

/* Put the place of the text that was read last before a message about it: "FILE" or "FILE: line N". */
void text_source_place(const text_source *s, err *e);

/* *ended: all of it was read. The errors of reading. */
MUST_CHECK err_code text_source_ended(text_source *s, bool *ended, err *e);

/* `code` is what came of the texts: if the file that was read last has changed meanwhile, ERR_IO takes
 * its place. */
err_code text_source_check(text_source *s, err_code code, err *e);

void text_source_close(text_source *s); /* NULL is fine */

#endif
