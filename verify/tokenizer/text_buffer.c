#include "verify/tokenizer/text_buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { FIRST_BYTES = 4096 };

static err_code grow(text_buffer *b, size_t needed, err *e)
{
    size_t capacity = b->capacity ? b->capacity : FIRST_BYTES;
    while (capacity < needed) {
        capacity *= 2;
    }
    char *const text = realloc(b->text, capacity);
    if (!text) {
        return err_set(e, ERR_MEMORY, "no memory for a text of %zu bytes", needed);
    }
    b->text = text;
    b->capacity = capacity;
    return OK;
}

err_code text_buffer_add(text_buffer *b, const char *text, size_t bytes, err *e)
{
    if (bytes > INT32_MAX - b->bytes) {
        return err_set(e, ERR_INPUT, "the text has more than %d bytes after normalization",
                       INT32_MAX);
    }
    if (b->bytes + bytes > b->capacity) {
        TRY(grow(b, b->bytes + bytes, e));
    }
    if (bytes) {
        memcpy(b->text + b->bytes, text, bytes);
        b->bytes += bytes;
    }
    return OK;
}

/* For fopencookie: returning less than `bytes` is a failure. */
static ssize_t write_stream(void *cookie, const char *text, size_t bytes)
{
    return text_buffer_add(cookie, text, bytes, NULL) == OK ? (ssize_t)bytes : 0;
}

FILE *text_buffer_stream(text_buffer *b)
{
    return fopencookie(b, "w", (cookie_io_functions_t){.write = write_stream});
}

void text_buffer_free(text_buffer *b)
{
    free(b->text);
    *b = (text_buffer){0};
}
