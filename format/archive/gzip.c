#include "format/archive/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST /* it does not write to its input */
#include <zlib.h>

enum { FIRST_CAPACITY = 64 << 10, WINDOW_GZIP = 15 + 16 /* the largest window, gzip only */ };

/* zlib counts in 32 bits, so input and output are passed to it in pieces. */
typedef struct unpacking {
    z_stream stream;
    const unsigned char *from, *end;
    unsigned char *to;
    size_t used, capacity, limit;
} unpacking;

bool gzip_is_compressed(const char *data, size_t bytes)
{
    return bytes >= 2 && (unsigned char)data[0] == 0x1f && (unsigned char)data[1] == 0x8b;
}

static err_code grow(unpacking *u, err *e)
{
    if (u->used < u->capacity) {
        return OK;
    }
    if (u->capacity > u->limit) {
        return err_set(e, ERR_INPUT, "more than the limit of %zu bytes when unpacked", u->limit);
    }
    /* One byte more than the limit, to see whether there is more. */
    const size_t wanted = u->capacity ? 2 * u->capacity : FIRST_CAPACITY;
    const size_t capacity = wanted < u->limit ? wanted : u->limit + 1;
    unsigned char *const to = realloc(u->to, capacity + 1);
    if (!to) {
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes", capacity);
    }
    u->to = to;
    u->capacity = capacity;
    return OK;
}

static uInt at_most(size_t bytes)
{
    return bytes < INT32_MAX ? (uInt)bytes : INT32_MAX;
}

/* One call of inflate with all that is left of the input and of the capacity. */
static int step(unpacking *u)
{
    z_stream *const z = &u->stream;
    const uInt in = at_most((size_t)(u->end - u->from));
    const uInt out = at_most(u->capacity - u->used);
    z->next_in = u->from;
    z->avail_in = in;
    z->next_out = u->to + u->used;
    z->avail_out = out;
    const int status = inflate(z, Z_NO_FLUSH);
    u->from += in - z->avail_in;
    u->used += out - z->avail_out;
    return status;
}

/* `no_input`: inflate was called when no input was left. */
static err_code refuse(const z_stream *z, int status, bool no_input, err *e)
{
    if (status == Z_MEM_ERROR) {
        return err_set(e, ERR_MEMORY, "no memory to unpack gzip");
    }
    if (status == Z_BUF_ERROR && no_input) {
        return err_set(e, ERR_INPUT, "truncated gzip data");
    }
    return err_set(e, ERR_INPUT, "damaged gzip data: %s", z->msg ? z->msg : "unknown reason");
}

static err_code unpack_all(unpacking *u, err *e)
{
    for (;;) {
        TRY(grow(u, e));
        const int status = step(u);
        if (status == Z_STREAM_END && u->from == u->end) {
            return OK;
        }
        if (status != Z_OK && status != Z_STREAM_END) {
            return refuse(&u->stream, status, u->from == u->end, e);
        }
        if (status == Z_STREAM_END && inflateReset(&u->stream) != Z_OK) {
            return err_set(e, ERR_INTERNAL, "zlib cannot be restarted");
        }
    }
}

err_code gzip_unpack(const char *what, const char *data, size_t bytes, size_t limit, char **out,
                     size_t *out_bytes, err *e)
{
    const unsigned char *const from = (const unsigned char *)data;
    unpacking u = {.from = from, .end = from + bytes, .limit = limit};
    *out = NULL;
    if (inflateInit2(&u.stream, WINDOW_GZIP) != Z_OK) {
        return err_set(e, ERR_MEMORY, "%s: no memory to unpack gzip", what);
    }
    err_code code = OK;
    TRY_OUT(unpack_all(&u, e));
    if (u.used > limit) {
        code = err_set(e, ERR_INPUT, "more than the limit of %zu bytes when unpacked", limit);
        goto out;
    }
    u.to[u.used] = '\0';
    *out = (char *)u.to;
    *out_bytes = u.used;
    u.to = NULL;
out:
    if (code != OK) {
        err_prefix(e, "%s", what);
    }
    free(u.to);
    (void)inflateEnd(&u.stream); /* that the stream is unfinished was already reported */
    return code;
}

/* ---- streams --------------------------------------------------- */

struct gzip_stream {
    z_stream z;
    bool between;
};

gzip_stream *gzip_stream_new(void)
{
    gzip_stream *const s = calloc(1, sizeof *s);
    if (s && inflateInit2(&s->z, WINDOW_GZIP) != Z_OK) {
        free(s);
        return NULL;
    }
    if (s) {
        s->between = true;
    }
    return s;
}

bool gzip_stream_is_between(const gzip_stream *s)
{
    return s->between;
}

err_code gzip_stream_step(gzip_stream *s, const unsigned char **from, size_t *left,
                          unsigned char *to, size_t capacity, size_t *made, err *e)
{
    z_stream *const z = &s->z;
    const uInt in = at_most(*left);
    const uInt out = at_most(capacity);
    if (s->between && inflateReset(z) != Z_OK) {
        return err_set(e, ERR_INTERNAL, "zlib cannot be restarted");
    }
    z->next_in = *from;
    z->avail_in = in;
    z->next_out = to;
    z->avail_out = out;
    const int status = inflate(z, Z_NO_FLUSH);
    s->between = status == Z_STREAM_END;
    *from += in - z->avail_in;
    *left -= in - z->avail_in;
    *made = out - z->avail_out;
    return status == Z_OK || status == Z_STREAM_END ? OK : refuse(z, status, in == 0, e);
}

void gzip_stream_free(gzip_stream *s)
{
    if (s) {
        inflateEnd(&s->z);
        free(s);
    }
}
