#include "verify/tokenizer/text_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/archive/archive_memory.h"
#include "format/archive/decompress.h"
#include "format/base/digest.h"
#include "format/base/num.h"
#include "format/file/io.h"
#include "verify/tokenizer/text_packed.h"

enum { PIECE_BYTES = 1 << 20, ATTEMPTS = 3 };

struct text_stream {
    const char *path;
    const monitor *m;
    monitor quiet;
    int fd;
    file_stamp opened;
    decompressor *packed; /* NULL: a plain file */
    uint64_t at;          /* of a plain file: how much was read */
    uint64_t done;        /* bytes that were handed out, */
    digest_stream *sum;   /* and their digest */
    unsigned char piece[PIECE_BYTES];
};

/* ---- reading --------------------------------------------------- */

static err_code rewind_stream(text_stream *s, err *e)
{
    unsigned char start[TEXT_PACKED_BYTES] = {0};
    const size_t bytes = (size_t)num_min(sizeof start, s->opened.bytes);
    decompressor_close(s->packed);
    s->packed = NULL;
    s->at = s->done = 0;
    TRY(digest_restart(s->sum, e));
    TRY(io_read_at(s->fd, s->path, 0, start, bytes, e));
    if (!text_is_packed((char *)start, bytes)) {
        return OK;
    }
    archive_memory_start();
    const err_code code = decompressor_open(s->fd, s->path, &s->quiet, &s->packed, e);
    archive_memory_end();
    return code;
}

err_code text_stream_open(const char *path, const monitor *m, text_stream **out, err *e)
{
    struct stat st;
    err_code code = OK;
    *out = NULL;
    text_stream *s = calloc(1, sizeof *s);
    if (!s) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    s->path = path;
    s->m = m;
    s->quiet = text_quiet(m);
    s->fd = -1;
    TRY_OUT(digest_open(DIGEST_XXH3, &s->sum, e));
    TRY_OUT(io_open_read(path, &s->fd, &st, e));
    s->opened = file_stamp_of(&st);
    code = rewind_stream(s, e);
    TRY_OUT(code == OK ? OK : text_stream_check(s, code, e));
    *out = s;
    s = NULL;
out:
    text_stream_close(s);
    return code;
}

static err_code read_packed(text_stream *s, const unsigned char **piece, size_t *bytes, err *e)
{
    archive_memory_start();
    const err_code code = decompressor_read(s->packed, piece, bytes, e);
    archive_memory_end();
    return code;
}

static err_code read_plain(text_stream *s, const unsigned char **piece, size_t *bytes, err *e)
{
    const size_t wanted = (size_t)num_min(sizeof s->piece, s->opened.bytes - s->at);
    if (monitor_cancelled(&s->quiet)) {
        return err_set(e, ERR_CANCELLED, "interrupted");
    }
    TRY(io_read_at(s->fd, s->path, s->at, s->piece, wanted, e));
    s->at += wanted;
    *piece = s->piece;
    *bytes = wanted;
    return OK;
}

err_code text_stream_read(text_stream *s, const unsigned char **piece, size_t *bytes, err *e)
{
    *bytes = 0;
    TRY(s->packed ? read_packed(s, piece, bytes, e) : read_plain(s, piece, bytes, e));
    s->done += *bytes;
    return *bytes > 0 ? digest_add(s->sum, *piece, *bytes, e) : OK;
}

void text_stream_close(text_stream *s)
{
    if (!s) {
        return;
    }
    decompressor_close(s->packed);
    digest_close(s->sum);
    if (s->fd >= 0) {
        close(s->fd); /* it was not written */
    }
    free(s);
}

/* ---- changes --------------------------------------------------- */

/* Read as much as before. A file with other bytes may come to its end early, or go past that. */
static err_code read_again(text_stream *s, uint64_t done, unsigned char sum[XXH3_BYTES], err *e)
{
    const unsigned char *piece = NULL;
    size_t bytes = 1;
    TRY(rewind_stream(s, e));
    while (bytes > 0 && s->done < done) {
        TRY(text_stream_read(s, &piece, &bytes, e));
    }
    return digest_finish(s->sum, sum, e);
}

/* *touched: its ctime is another one than the last time. */
static err_code look(text_stream *s, bool *touched, err *e)
{
    struct stat now;
    if (fstat(s->fd, &now) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", s->path);
    }
    TRY(file_stamp_check(&s->opened, &now, s->path, touched, e));
    s->opened = file_stamp_of(&now);
    return OK;
}

static err_code compare_again(text_stream *s, err *e)
{
    const uint64_t done = s->done;
    unsigned char sum[XXH3_BYTES];
    bool touched = done > 0;
    TRY(digest_finish(s->sum, sum, e));
    for (unsigned i = 0; touched && i < ATTEMPTS; i++) {
        unsigned char found[XXH3_BYTES];
        err other = {0};
        const err_code code = read_again(s, done, found, &other);
        if (code == ERR_CANCELLED || code == ERR_MEMORY || code == ERR_IO) {
            return err_set(e, code, "%s", other.text);
        }
        if (code != OK || s->done != done || memcmp(sum, found, sizeof sum) != 0) {
            return file_stamp_refuse(s->path, e);
        }
        TRY(look(s, &touched, e));
    }
    file_stamp_note(s->m, s->path);
    return OK;
}

err_code text_stream_check(text_stream *s, err_code code, err *e)
{
    err late = {0};
    bool touched = false;
    if (look(s, &touched, &late) == OK && touched) {
        (void)compare_again(s, &late); /* what it returns is in `late` */
    }
    return err_overrule(e, code, &late);
}
