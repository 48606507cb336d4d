#include "verify/tokenizer/text_lines.h"

#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "verify/tokenizer/text_stream.h"

struct text_lines {
    const char *path;
    text_stream *stream;
    char *buffer;
    /* In the buffer: the bytes in [line, used) are not yet handed out; there is no end of a line in
     * [line, scanned). */
    size_t line, scanned, used, capacity;
    size_t number;
    bool ended; /* all of the file is in the buffer, or was */
};

err_code text_lines_open(const char *path, const monitor *m, text_lines **out, err *e)
{
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    (*out)->path = path;
    const err_code code = text_stream_open(path, m, &(*out)->stream, e);
    if (code != OK) {
        text_lines_close(*out);
        *out = NULL;
    }
    return code;
}

void text_lines_close(text_lines *l)
{
    if (l) {
        text_stream_close(l->stream);
        free(l->buffer);
        free(l);
    }
}

/* ---- reading --------------------------------------------------- */

/* Room for `more` bytes after what is in the buffer, and one byte. The start of a line moves only if
 * the line before it was handed out, so no byte moves twice for that. */
static err_code make_room(text_lines *l, size_t more, err *e)
{
    if (l->line > 0) {
        memmove(l->buffer, l->buffer + l->line, l->used - l->line);
        l->used -= l->line;
        l->scanned -= l->line;
        l->line = 0;
    }
    if (l->capacity - l->used > more) {
        return OK;
    }
    const size_t capacity = (size_t)num_max(2 * l->capacity, l->used + more + 1);
    char *const grown = realloc(l->buffer, capacity);
    if (!grown) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu bytes", l->path, capacity);
    }
    l->buffer = grown;
    l->capacity = capacity;
    return OK;
}

static err_code read_on(text_lines *l, err *e)
{
    const unsigned char *piece = (const unsigned char *)"";
    size_t bytes = 0;
    if (l->used - l->line > TEXT_LINES_MAX) {
        return err_set(e, ERR_INPUT, "%s: line %zu: more than %d MiB", l->path, l->number + 1,
                       TEXT_LINES_MAX >> 20);
    }
    TRY(text_stream_read(l->stream, &piece, &bytes, e));
    TRY(make_room(l, bytes, e));
    memcpy(l->buffer + l->used, piece, bytes);
    l->used += bytes;
    l->ended = bytes == 0;
    return OK;
}

err_code text_lines_next(text_lines *l, const char **line, size_t *bytes, err *e)
{
    const char *end = NULL;
    *line = NULL;
    for (;;) {
        const size_t left = l->used - l->scanned;
        end = left > 0 ? memchr(l->buffer + l->scanned, '\n', left) : NULL;
        l->scanned = end ? (size_t)(end - l->buffer) : l->used;
        if (end || l->ended) {
            break;
        }
        TRY(read_on(l, e));
    }
    if (!end && l->line == l->used) {
        return OK;
    }
    *line = l->buffer + l->line;
    *bytes = l->scanned - l->line;
    l->scanned += end != NULL;
    l->line = l->scanned;
    l->number++;
    return OK;
}

size_t text_lines_number(const text_lines *l)
{
    return l->number;
}

err_code text_lines_ended(text_lines *l, bool *ended, err *e)
{
    while (l->line == l->used && !l->ended) {
        TRY(read_on(l, e));
    }
    *ended = l->line == l->used;
    return OK;
}

err_code text_lines_check(text_lines *l, err_code code, err *e)
{
    return text_stream_check(l->stream, code, e);
}
