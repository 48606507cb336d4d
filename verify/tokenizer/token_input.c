#include "verify/tokenizer/token_input.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/json/json.h"
#include "format/base/num.h"
#include "format/safetensors/safetensors.h"
#include "verify/tokenizer/text_packed.h"
#include "verify/tokenizer/token_npy.h"

enum { PEEK_BYTES = 64, BLOCK_IDS = 8192 };

typedef struct source {
    const char *path;
    int fd;
    uint64_t bytes;
    uint64_t vocab;
} source;

/* ---- ids ------------------------------------------------------- */

static err_code check_id(int64_t id, uint64_t vocab, size_t position, err *e)
{
    if (id < 0 || (uint64_t)id >= vocab || id > INT32_MAX) {
        return err_set(e, ERR_INPUT,
                       "the id %" PRId64 " at position %zu is not in a vocabulary of %" PRIu64, id,
                       position, vocab);
    }
    return OK;
}

err_code token_input_check(const char *what, const int32_t *ids, size_t count, uint64_t vocab,
                           err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (check_id(ids[i], vocab, i, e) != OK) {
            if (what) {
                err_prefix(e, "%s", what);
            }
            return ERR_INPUT;
        }
    }
    return OK;
}

/* Allocate ids for an array of this shape; one dimension is a flat list. */
static err_code allocate_ids(const uint64_t *shape, unsigned ndim, token_input *out, err *e)
{
    uint64_t count = shape[0];
    if ((ndim > 1 && !num_mul(count, shape[1], &count)) || count > TOKEN_INPUT_MAX_IDS) {
        return err_set(e, ERR_INPUT, "more than %d ids", TOKEN_INPUT_MAX_IDS);
    }
    if (ndim > 1 && (shape[1] == 0 || shape[1] > TOKEN_INPUT_MAX_IDS)) {
        return err_set(e, ERR_INPUT, "rows of %" PRIu64 " ids", shape[1]);
    }
    out->row = ndim > 1 ? (size_t)shape[1] : 0;
    out->count = (size_t)count;
    out->ids = calloc(out->count + 1, sizeof *out->ids);
    return out->ids ? OK : err_set(e, ERR_MEMORY, "no memory for %" PRIu64 " ids", count);
}

/* Read out->count little-endian integers of four bytes, or eight if `wide`, at offset `off`. */
static err_code read_integers(const source *s, uint64_t off, bool wide, token_input *out, err *e)
{
    const size_t width = wide ? 8 : 4;
    unsigned char *const block = malloc(BLOCK_IDS * width);
    err_code code = OK;
    if (!block) {
        return err_set(e, ERR_MEMORY, "no memory for a block");
    }
    for (size_t first = 0; first < out->count; first += BLOCK_IDS) {
        const size_t count = (size_t)num_min(BLOCK_IDS, out->count - first);
        TRY_OUT(io_read_at(s->fd, s->path, off + first * width, block, count * width, e));
        for (size_t i = 0; i < count; i++) {
            const int64_t id =
                wide ? (int64_t)le64_load(block + 8 * i) : (int32_t)le32_load(block + 4 * i);
            TRY_OUT(check_id(id, s->vocab, first + i, e));
            out->ids[first + i] = (int32_t)id;
        }
    }
out:
    free(block);
    return code;
}

/* ---- JSON ------------------------------------------------------ */

static err_code take_row(const source *s, const json_t *row, size_t first, token_input *out, err *e)
{
    size_t i = 0;
    const json_t *id = NULL;
    json_array_foreach(row, i, id)
    {
        if (!json_is_integer(id)) {
            return err_set(e, ERR_INPUT, "not an integer at position %zu", first + i);
        }
        TRY(check_id(json_integer_value(id), s->vocab, first + i, e));
        out->ids[first + i] = (int32_t)json_integer_value(id);
    }
    return OK;
}

static err_code take_rows(const source *s, const json_t *rows, token_input *out, err *e)
{
    size_t i = 0;
    const json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        if (json_array_size(row) != out->row || !json_is_array(row)) {
            return err_set(e, ERR_INPUT, "row %zu: expected an array of %zu ids", i, out->row);
        }
        TRY(take_row(s, row, i * out->row, out, e));
    }
    return OK;
}

static err_code take_json(const source *s, const json_t *root, token_input *out, err *e)
{
    const json_t *const first = json_array_get(root, 0);
    const bool rows = json_is_array(first);
    const uint64_t shape[] = {json_array_size(root), json_array_size(first)};
    TRY(allocate_ids(shape, rows ? 2 : 1, out, e));
    return rows ? take_rows(s, root, out, e) : take_row(s, root, 0, out, e);
}

static err_code parse_json(const source *s, json_t **root, err *e)
{
    err_code code = OK;
    if (s->bytes > JSON_FILE_LIMIT) {
        return err_set(e, ERR_INPUT, "%" PRIu64 " bytes of JSON, at most %d are allowed", s->bytes,
                       JSON_FILE_LIMIT);
    }
    const size_t bytes = (size_t)s->bytes;
    char *const text = malloc(bytes + 1);
    if (!text) {
        return err_set(e, ERR_MEMORY, "no memory for %zu bytes", bytes);
    }
    TRY_OUT(io_read_at(s->fd, s->path, 0, text, bytes, e));
    code = json_parse("JSON", text, bytes, JSON_EXACT | JSON_LARGE, root, e);
out:
    free(text);
    return code;
}

static err_code read_json(const source *s, token_input *out, err *e)
{
    json_t *root = NULL;
    TRY(parse_json(s, &root, e));
    const err_code code = take_json(s, root, out, e);
    json_decref(root);
    return code;
}

/* ---- .npy ------------------------------------------------------ */

static err_code check_length(const source *s, const npy_header *h, uint64_t off, size_t count,
                             err *e)
{
    const uint64_t expected = off + (uint64_t)count * (h->wide ? 8 : 4);
    if (expected != s->bytes) {
        return err_set(e, ERR_INPUT,
                       "length by the .npy header, expected %" PRIu64 ", found %" PRIu64, expected,
                       s->bytes);
    }
    return OK;
}

static err_code read_npy_prefix(const source *s, uint64_t *text_off, uint64_t *data_off, err *e)
{
    unsigned char prefix[NPY_PREFIX_BYTES];
    if (s->bytes < sizeof prefix) {
        return err_set(e, ERR_INPUT, "a .npy file of %" PRIu64 " bytes", s->bytes);
    }
    TRY(io_read_at(s->fd, s->path, 0, prefix, sizeof prefix, e));
    TRY(npy_read_prefix(prefix, text_off, data_off, e));
    if (*data_off > s->bytes) {
        return err_set(e, ERR_INPUT,
                       "a .npy file of %" PRIu64 " bytes, whose header ends at %" PRIu64, s->bytes,
                       *data_off);
    }
    return OK;
}

static err_code read_npy_header(const source *s, npy_header *h, uint64_t *data_off, err *e)
{
    uint64_t text_off = 0;
    err_code code = OK;
    TRY(read_npy_prefix(s, &text_off, data_off, e));
    const size_t bytes = (size_t)(*data_off - text_off);
    char *const text = malloc(bytes + 1);
    if (!text) {
        return err_set(e, ERR_MEMORY, "no memory for a header of %zu bytes", bytes);
    }
    TRY_OUT(io_read_at(s->fd, s->path, text_off, text, bytes, e));
    code = npy_read_header(text, bytes, h, e);
out:
    free(text);
    return code;
}

static err_code read_npy(const source *s, token_input *out, err *e)
{
    npy_header h;
    uint64_t off = 0;
    TRY(read_npy_header(s, &h, &off, e));
    TRY(allocate_ids(h.shape, h.ndim, out, e));
    TRY(check_length(s, &h, off, out->count, e));
    return read_integers(s, off, h.wide, out, e);
}

/* ---- safetensors ----------------------------------------------- */

static bool is_integer(const st_tensor *t)
{
    return t->type == DTYPE_I32 || t->type == DTYPE_I64;
}

static err_code choose_tensor(const st_header *h, const st_tensor **out, err *e)
{
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++) {
        const st_tensor *const t = &h->tensors[i];
        if (strcmp(t->name, "input_ids") == 0) {
            *out = t;
            count = 1;
            break;
        }
        if (is_integer(t)) {
            *out = t;
            count++;
        }
    }
    if (count != 1) {
        return err_set(e, ERR_INPUT, "no tensor input_ids, and %zu tensors of I32 or I64", count);
    }
    if (!is_integer(*out) || (*out)->ndim < 1 || (*out)->ndim > 2) {
        return err_set(e, ERR_INPUT,
                       "tensor %s: expected I32 or I64 of 1 or 2 dimensions, found %s of %u",
                       (*out)->name, dtype_name((*out)->type), (*out)->ndim);
    }
    return OK;
}

static err_code read_safetensors(const source *s, token_input *out, err *e)
{
    st_header h;
    const st_tensor *t = NULL;
    err_code code = OK;
    TRY(st_header_read(s->fd, "safetensors", s->bytes, NULL, &h, e));
    TRY_OUT(choose_tensor(&h, &t, e));
    TRY_OUT(allocate_ids(t->shape, t->ndim, out, e));
    code = read_integers(s, t->off, t->type == DTYPE_I64, out, e);
out:
    st_header_free(&h);
    return code;
}

/* ---- files ----------------------------------------------------- */

/* A safetensors file begins with a 64-bit length, whose upper bytes are zero; JSON has no NUL. */
static err_code read_kind(const source *s, token_input *out, err *e)
{
    unsigned char head[PEEK_BYTES] = {0};
    const size_t bytes = (size_t)num_min(s->bytes, sizeof head);
    TRY(io_read_at(s->fd, s->path, 0, head, bytes, e));
    if (npy_is_npy(head, bytes)) {
        return read_npy(s, out, e);
    }
    if (bytes >= 8 && memchr(head, '\0', 8)) {
        return read_safetensors(s, out, e);
    }
    size_t at = 0;
    while (at < bytes && strchr(" \t\r\n", head[at]) && head[at]) {
        at++;
    }
    if (at < bytes && head[at] == '[') {
        return read_json(s, out, e);
    }
    return err_set(e, ERR_INPUT,
                   "no token ids: expected a JSON array, a .npy file or a safetensors file");
}

err_code token_input_read(const char *path, uint64_t vocab, token_input *out, err *e)
{
    struct stat st;
    source s = {.path = path, .fd = -1, .vocab = vocab};
    *out = (token_input){0};
    TRY(io_open_read(path, &s.fd, &st, e));
    s.bytes = (uint64_t)st.st_size;
    const err_code code = read_kind(&s, out, e);
    close(s.fd); /* nothing was written */
    if (code != OK) {
        token_input_free(out);
        if (code == ERR_INPUT || code == ERR_MEMORY) {
            err_prefix(e, "%s", path);
        }
    }
    return code;
}

void token_input_free(token_input *in)
{
    free(in->ids);
    *in = (token_input){0};
}

err_code token_input_text(const char *path, const monitor *m, char **text, size_t *bytes, err *e)
{
    const bool standard = strcmp(path, "-") == 0;
    const char *const name = standard ? "standard input" : path;
    char *data = NULL;
    *text = NULL;
    TRY(standard ? io_read_stream(STDIN_FILENO, name, TOKEN_INPUT_MAX_TEXT, &data, bytes, e)
                 : io_read_file(path, TOKEN_INPUT_MAX_TEXT, &data, bytes, e));
    if (!text_is_packed(data, *bytes)) {
        *text = data;
        return OK;
    }
    const err_code code = text_unpack(name, data, *bytes, TOKEN_INPUT_MAX_TEXT, m, text, bytes, e);
    free(data);
    return code;
}
