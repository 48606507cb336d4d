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

#include "format/base/err.h"

typedef struct text_buffer {
    char *text;
    size_t bytes, capacity;
} text_buffer;

/* Append; `text` must not be part of the buffer. Errors: ERR_INPUT more than INT32_MAX bytes;
 * ERR_MEMORY. */
MUST_CHECK err_code text_buffer_add(text_buffer *b, const char *text, size_t bytes, err *e);

void text_buffer_free(text_buffer *b);

#endif
