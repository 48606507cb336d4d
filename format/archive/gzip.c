#include "format/archive/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST /* it does not write to its input */
#include <zlib.h>

enum { FIRST_ROOM = 64 << 10, WINDOW_GZIP = 15 + 16 /* the largest window, gzip only */ };

/* zlib counts in 32 bits, so both ends of the stream are filled up in pieces. */
typedef struct unpacking {
    z_stream stream;
    const unsigned char *from, *end;
    unsigned char *to;
    size_t used, room, limit;
} unpacking;

bool gzip_is_compressed(const char *data, size_t bytes)
{
    return bytes >= 2 && (unsigned char)data[0] == 0x1f && (unsigned char)data[1] == 0x8b;
}

static err_code make_room(unpacking *u, err *e)
{
    if (u->used < u->room) {
        return OK;
    }
    if (u->room > u->limit) {
        return err_set(e, ERR_INPUT, "more than the limit of %zu bytes when unpacked", u->limit);
    }
    /* One more than the limit, to see whether there is more. */
    const size_t wanted = u->room ? 2 * u->room : FIRST_ROOM;
    const size_t room = wanted < u->limit ? wanted : u->limit + 1;
    unsigned char *const to = realloc(u->to, room + 1);
    if (!to) {
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes", room);
    }
    u->to = to;
    u->room = room;
    return OK;
}

static uInt at_most(size_t bytes)
{
    return bytes < INT32_MAX ? (uInt)bytes : INT32_MAX;
}

/* One call of inflate with what there is of input and room. */
static int step(unpacking *u)
{
    z_stream *const z = &u->stream;
    const uInt in = at_most((size_t)(u->end - u->from));
    const uInt out = at_most(u->room - u->used);
    z->next_in = u->from;
    z->avail_in = in;
    z->next_out = u->to + u->used;
    z->avail_out = out;
    const int status = inflate(z, Z_NO_FLUSH);
    u->from += in - z->avail_in;
    u->used += out - z->avail_out;
    return status;
}

static err_code refuse(const unpacking *u, int status, err *e)
{
    if (status == Z_MEM_ERROR) {
        return err_set(e, ERR_MEMORY, "no memory to unpack gzip");
    }
    if (status == Z_BUF_ERROR && u->from == u->end) {
        return err_set(e, ERR_INPUT, "gzip data that is cut off");
    }
    return err_set(e, ERR_INPUT, "damaged gzip data: %s",
                   u->stream.msg ? u->stream.msg : "not understood");
}

static err_code unpack_all(unpacking *u, err *e)
{
    for (;;) {
        const err_code code = make_room(u, e);
        if (code != OK) {
            return code;
        }
        const int status = step(u);
        if (status == Z_STREAM_END && u->from == u->end) {
            return OK;
        }
        if (status != Z_OK && status != Z_STREAM_END) {
            return refuse(u, status, e);
        }
        if (status == Z_STREAM_END && inflateReset(&u->stream) != Z_OK) {
            return err_set(e, ERR_INTERNAL, "zlib cannot start again");
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
    err_code code = unpack_all(&u, e);
    if (code == OK && u.used > limit) {
        code = err_set(e, ERR_INPUT, "more than the limit of %zu bytes when unpacked", limit);
    }
    (void)inflateEnd(
        &u.stream); /* frees; its complaint about an unfinished stream was made above */
    if (code != OK) {
        free(u.to);
        err_prefix(e, "%s", what);
        return code;
    }
    u.to[u.used] = '\0';
    *out = (char *)u.to;
    *out_bytes = u.used;
    return OK;
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
                          unsigned char *to, size_t room, size_t *made, err *e)
{
    z_stream *const z = &s->z;
    const uInt in = at_most(*left);
    const uInt out = at_most(room);
    if (s->between && inflateReset(z) != Z_OK) {
        return err_set(e, ERR_INTERNAL, "gzip cannot begin again");
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
    if (status == Z_OK || status == Z_STREAM_END) {
        return OK;
    }
    if (status == Z_MEM_ERROR) {
        return err_set(e, ERR_MEMORY, "no memory to unpack gzip");
    }
    if (status == Z_BUF_ERROR && in == 0) {
        return err_set(e, ERR_INPUT, "gzip data that is cut off");
    }
    return err_set(e, ERR_INPUT, "damaged gzip data: %s", z->msg ? z->msg : "not understood");
}

void gzip_stream_free(gzip_stream *s)
{
    if (s) {
        inflateEnd(&s->z);
        free(s);
    }
}
