#include "verify/tokenizer/text_packed.h"

#include <stdlib.h>
#include <string.h>

#include "format/archive/archive_memory.h"
#include "format/archive/decompress.h"
#include "format/archive/gzip.h"
#include "format/base/num.h"

/* "BZh", the size of a block, and the number that begins a block, or that ends a stream without any. */
static bool is_bzip2(const char *data, size_t bytes)
{
    return bytes >= TEXT_PACKED_BYTES && data[3] >= '1' && data[3] <= '9' &&
           (memcmp(data + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
            memcmp(data + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

bool text_is_packed(const char *data, size_t bytes)
{
    unsigned char start[DECOMPRESSOR_MAGIC_BYTES] = {0};
    if (bytes == 0) {
        return false;
    }
    memcpy(start, data, num_min(bytes, sizeof start));
    if (start[0] == 'B') {
        return is_bzip2(data, bytes);
    }
    return gzip_is_compressed(data, bytes) || decompressor_recognizes(start);
}

typedef struct unpacked {
    char *text;
    size_t used, capacity;
} unpacked;

static err_code append(unpacked *u, const unsigned char *piece, size_t bytes, size_t limit, err *e)
{
    if (bytes > limit - u->used) {
        return err_set(e, ERR_INPUT, "more than the limit of %zu bytes when unpacked", limit);
    }
    if (u->capacity - u->used <= bytes) {
        const size_t capacity = (size_t)num_max(2 * u->capacity, u->used + bytes + 1);
        char *const grown = realloc(u->text, capacity);
        if (!grown) {
            return err_set(e, ERR_MEMORY, "no memory for %zu bytes", capacity);
        }
        u->text = grown;
        u->capacity = capacity;
    }
    memcpy(u->text + u->used, piece, bytes);
    u->used += bytes;
    return OK;
}

static err_code unpack_pieces(decompressor *d, const char *what, size_t limit, unpacked *u, err *e)
{
    const unsigned char *piece = NULL;
    size_t bytes = 0;
    do {
        TRY(decompressor_read(d, &piece, &bytes, e));
        const err_code code = append(u, piece, bytes, limit, e);
        if (code != OK) {
            err_prefix(e, "%s", what);
            return code;
        }
    } while (bytes > 0);
    return OK;
}

err_code text_unpack(const char *what, const char *data, size_t bytes, size_t limit,
                     const monitor *m, char **out, size_t *out_bytes, err *e)
{
    const monitor quiet = text_quiet(m);
    decompressor *d = NULL;
    unpacked u = {0};
    err_code code = OK;
    *out = NULL;
    if (gzip_is_compressed(data, bytes)) {
        return gzip_unpack(what, data, bytes, limit, out, out_bytes, e);
    }
    archive_memory_start();
    TRY_OUT(decompressor_open_memory(data, bytes, what, &quiet, &d, e));
    TRY_OUT(unpack_pieces(d, what, limit, &u, e));
    u.text[u.used] = '\0';
    *out = u.text;
    *out_bytes = u.used;
    u.text = NULL;
out:
    free(u.text);
    decompressor_close(d);
    archive_memory_end();
    return code;
}

monitor text_quiet(const monitor *m)
{
    return m ? (monitor){.cancelled = m->cancelled, .ctx = m->ctx} : (monitor){0};
}
