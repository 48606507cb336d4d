/* A text that grows at its end.
 *
 *     text_buffer b = {0};
 *     text_buffer_add(&b, "abc", 3, e);
 *     ... b.text[0 ... b.bytes - 1] ...
 *     b.bytes = 0;              empty it and keep the memory
 *     text_buffer_free(&b);
 *
 * There is no NUL at the end. */
#ifndef TEXT_BUFFER_H
#define TEXT_BUFFER_H

#include <stddef.h>
#include <stdio.h>

#include "format/base/err.h"

typedef struct text_buffer {
    char *text;
    size_t bytes, capacity;
} text_buffer;

/* Append; `text` must not be part of the buffer. Errors: ERR_INPUT more than INT32_MAX bytes;
 * ERR_MEMORY. */
MUST_CHECK err_code text_buffer_add(text_buffer *b, const char *text, size_t bytes, err *e);

/* A stream that writes to the end of the buffer, for fprintf; NULL: no memory. After ferror, or if
 * fclose fails, memory was short and text is missing. (A stream of open_memstream does not tell.) */
FILE *text_buffer_stream(text_buffer *b);

void text_buffer_free(text_buffer *b);

#endif
