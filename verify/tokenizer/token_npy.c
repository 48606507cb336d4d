#include "verify/tokenizer/token_npy.h"

#include <string.h>

#include "format/base/num.h"

static const unsigned char magic[NPY_MAGIC_BYTES] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

enum { KEY_DESCR, KEY_ORDER, KEY_SHAPE, KEYS };
static const char *const keys[KEYS] = {"'descr'", "'fortran_order'", "'shape'"};

typedef struct reader {
    const char *at, *end;
} reader;

bool npy_is_npy(const unsigned char *data, size_t bytes)
{
    return bytes >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

err_code npy_read_prefix(const unsigned char *prefix, uint64_t *text_off, uint64_t *data_off,
                         err *e)
{
    const unsigned major = prefix[6];
    const unsigned minor = prefix[7];
    if (major < 1 || major > 3 || minor != 0) {
        return err_set(e, ERR_INPUT, "version %u.%u of .npy is not supported", major, minor);
    }
    const uint64_t bytes = major == 1 ? le16_load(prefix + 8) : le32_load(prefix + 8);
    if (bytes > NPY_MAX_HEADER) {
        return err_set(e, ERR_INPUT, "a .npy header of more than %d bytes", NPY_MAX_HEADER);
    }
    *text_off = major == 1 ? 10 : 12;
    *data_off = *text_off + bytes;
    return OK;
}

/* If `word` comes next, skip it; in any case skip the blanks before it. */
static bool take(reader *r, const char *word)
{
    const size_t bytes = strlen(word);
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n')) {
        r->at++;
    }
    const bool found = (size_t)(r->end - r->at) >= bytes && memcmp(r->at, word, bytes) == 0;
    r->at += found ? bytes : 0;
    return found;
}

static bool read_number(reader *r, uint64_t *value)
{
    *value = 0;
    if (take(r, "0")) {
        return true;
    }
    const char *const begin = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
        if (!num_mul(*value, 10, value) || !num_add(*value, (uint64_t)(*r->at - '0'), value)) {
            return false;
        }
    }
    return r->at > begin;
}

static err_code read_descr(reader *r, npy_header *out, err *e)
{
    out->wide = take(r, "'<i8'");
    if (!out->wide && !take(r, "'<i4'")) {
        return err_set(e, ERR_INPUT, "a .npy array whose type is neither '<i4' nor '<i8'");
    }
    return OK;
}

static err_code read_order(reader *r, err *e)
{
    return take(r, "False") ? OK : err_set(e, ERR_INPUT, "a .npy array that is not in C order");
}

/* (n,) or (n, m), the latter with or without a comma at its end. */
static err_code read_shape(reader *r, npy_header *out, err *e)
{
    bool comma = true;
    bool good = take(r, "(");
    for (out->ndim = 0; good && comma && !take(r, ")");) {
        good = out->ndim < NPY_MAX_DIMS && read_number(r, &out->shape[out->ndim]);
        out->ndim += good;
        comma = take(r, ",");
        good = good && (comma || (out->ndim > 1 && take(r, ")")));
    }
    if (!good || out->ndim == 0) {
        return err_set(e, ERR_INPUT, "a .npy array whose shape is neither (n,) nor (n, m)");
    }
    return OK;
}

static err_code read_value(reader *r, int key, npy_header *out, err *e)
{
    if (key == KEY_DESCR) {
        return read_descr(r, out, e);
    }
    return key == KEY_ORDER ? read_order(r, e) : read_shape(r, out, e);
}

err_code npy_read_header(const char *text, size_t bytes, npy_header *out, err *e)
{
    reader r = {text, text + bytes};
    unsigned seen = 0;
    bool comma = take(&r, "{");
    *out = (npy_header){0};
    while (comma && !take(&r, "}")) {
        int key = 0;
        while (key < KEYS && !take(&r, keys[key])) {
            key++;
        }
        if (key == KEYS || (seen >> key & 1) || !take(&r, ":")) {
            break;
        }
        seen |= 1U << key;
        TRY(read_value(&r, key, out, e));
        comma = take(&r, ",");
        if (!comma && take(&r, "}")) {
            break;
        }
    }
    take(&r, ""); /* blanks and the line end */
    if (seen != (1U << KEYS) - 1 || r.at != r.end) {
        return err_set(e, ERR_INPUT, "malformed .npy header");
    }
    return OK;
}
