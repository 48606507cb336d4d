#include "verify/tokenizer/text_lines.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/archive/decompress.h"
#include "format/base/num.h"
#include "format/file/io.h"
#include "verify/tokenizer/text_packed.h"

enum { PIECE_BYTES = 1 << 20 };

struct text_lines {
    const char *path;
    int fd;
    file_stamp opened;
    uint64_t at; /* how much of a plain file has been read */
    monitor quiet;
    decompressor *packed; /* NULL: a plain file */
    char *buffer;
    /* In the buffer: the bytes in [line, used) are not yet handed out; there is no end of a line in
     * [line, scanned). */
    size_t line, scanned, used, capacity;
    size_t number;
    bool ended; /* all of the file is in the buffer, or was */
};

/* ---- opening --------------------------------------------------- */

static err_code open_packed(text_lines *l, err *e)
{
    unsigned char start[TEXT_PACKED_BYTES] = {0};
    const size_t bytes = (size_t)num_min(sizeof start, l->opened.bytes);
    TRY(io_read_at(l->fd, l->path, 0, start, bytes, e));
    return text_is_packed((char *)start, bytes)
               ? decompressor_open(l->fd, l->path, &l->quiet, &l->packed, e)
               : OK;
}

err_code text_lines_open(const char *path, const monitor *m, text_lines **out, err *e)
{
    struct stat st;
    err_code code = OK;
    *out = NULL;
    text_lines *const l = calloc(1, sizeof *l);
    if (!l) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    *l = (text_lines){.path = path, .fd = -1, .quiet = text_quiet(m)};
    TRY_OUT(io_open_read(path, &l->fd, &st, e));
    l->opened = file_stamp_of(&st);
    code = open_packed(l, e);
    code = code == OK ? OK : text_lines_check(l, code, e);
out:
    if (code != OK) {
        text_lines_close(l);
        return code;
    }
    *out = l;
    return OK;
}

void text_lines_close(text_lines *l)
{
    if (!l) {
        return;
    }
    decompressor_close(l->packed);
    if (l->fd >= 0) {
        close(l->fd); /* it was not written */
    }
    free(l->buffer);
    free(l);
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

static err_code read_plain(text_lines *l, err *e)
{
    const size_t bytes = (size_t)num_min(PIECE_BYTES, l->opened.bytes - l->at);
    if (monitor_cancelled(&l->quiet)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    TRY(make_room(l, bytes, e));
    TRY(io_read_at(l->fd, l->path, l->at, l->buffer + l->used, bytes, e));
    l->at += bytes;
    l->used += bytes;
    l->ended = l->at == l->opened.bytes;
    return OK;
}

static err_code read_packed(text_lines *l, err *e)
{
    const unsigned char *piece = NULL;
    size_t bytes = 0;
    TRY(decompressor_read(l->packed, &piece, &bytes, e));
    TRY(make_room(l, bytes, e));
    memcpy(l->buffer + l->used, piece, bytes);
    l->used += bytes;
    l->ended = bytes == 0;
    return OK;
}

static err_code read_on(text_lines *l, err *e)
{
    if (l->used - l->line > TEXT_LINES_MAX) {
        return err_set(e, ERR_INPUT, "%s: line %zu: more than %d MiB", l->path, l->number + 1,
                       TEXT_LINES_MAX >> 20);
    }
    return l->packed ? read_packed(l, e) : read_plain(l, e);
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

/* If only its ctime is new, the bytes may be, too: only reading all of it twice would tell. */
err_code text_lines_check(const text_lines *l, err_code code, err *e)
{
    struct stat now;
    err late = {0};
    bool touched = false;
    if (fstat(l->fd, &now) != 0) {
        err_set_errno(&late, ERR_IO, errno, "%s: cannot stat", l->path);
    } else if (file_stamp_check(&l->opened, &now, l->path, &touched, &late) == OK && touched) {
        err_set(&late, ERR_IO, "%s: changed during the run: permissions, owner or links, at least",
                l->path);
    }
    return err_overrule(e, code, &late);
}
