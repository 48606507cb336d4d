#include "verify/forward/reference.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/file/file_stamp.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/safetensors/safetensors.h"
#include "format/tensor/widen.h"

enum { CHUNK_BYTES = 1 << 15, SHAPE_TEXT = TENSOR_MAX_DIMS * 22 + 3 };

struct reference {
    char *path;
    int fd;
    file_stamp stamp;
    st_header header;
    const st_tensor **by_name; /* [header.count] sorted: each layer asks for several names */
};

/* ---- opening and finding --------------------------------------- */

static int compare_tensors(const void *a, const void *b)
{
    const st_tensor *const *x = a;
    const st_tensor *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int compare_name(const void *name, const void *tensor)
{
    const st_tensor *const *t = tensor;
    return strcmp(name, (*t)->name);
}

static err_code sort_names(reference *r, err *e)
{
    r->by_name = calloc(r->header.count + 1, sizeof *r->by_name);
    if (!r->by_name) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu tensors", r->path, r->header.count);
    }
    for (size_t i = 0; i < r->header.count; i++) {
        r->by_name[i] = &r->header.tensors[i];
    }
    qsort(r->by_name, r->header.count, sizeof *r->by_name, compare_tensors);
    return OK;
}

/* It is read in many places, once each, and nothing of it is kept to compare with. */
static err_code check_unchanged(const reference *r, err *e)
{
    struct stat now;
    bool touched = false;
    if (fstat(r->fd, &now) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", r->path);
    }
    TRY(file_stamp_check(&r->stamp, &now, r->path, &touched, e));
    return touched ? err_set(e, ERR_IO,
                             "%s: changed during the run: permissions, owner, links or content",
                             r->path)
                   : OK;
}

err_code reference_end(const reference *r, err_code code, err *e)
{
    err late = {0};
    late.code = check_unchanged(r, &late);
    return err_overrule(e, code, &late);
}

err_code reference_open(const char *path, reference **out, err *e)
{
    struct stat st;
    reference *const r = calloc(1, sizeof *r);
    char *const copy = strdup(path);
    if (!r || !copy) {
        free(r);
        free(copy);
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    r->path = copy;
    r->fd = -1;
    err_code code = OK;
    TRY_OUT(io_open_read(path, &r->fd, &st, e));
    r->stamp = file_stamp_of(&st);
    TRY_OUT(st_header_read(r->fd, path, (uint64_t)st.st_size, NULL, &r->header, e));
    TRY_OUT(sort_names(r, e));
    *out = r;
    return OK;
out:
    code = r->fd >= 0 ? reference_end(r, code, e) : code;
    reference_close(r);
    return code;
}

void reference_close(reference *r)
{
    if (r) {
        if (r->fd >= 0) {
            close(r->fd);
        }
        st_header_free(&r->header);
        free(r->by_name);
        free(r->path);
        free(r);
    }
}

static const st_tensor *find(const reference *r, const char *name)
{
    const st_tensor *const *const found =
        bsearch(name, r->by_name, r->header.count, sizeof *r->by_name, compare_name);
    return found ? *found : NULL;
}

bool reference_has(const reference *r, const char *name)
{
    return find(r, name) != NULL;
}

const char *reference_logits(const reference *r, bool hf)
{
    static const char *const names[2][3] = {{"logits.trained", "logits.engine", "logits"},
                                            {"logits.hf", "logits"}};
    for (size_t i = 0; i < 3 && names[hf][i]; i++) {
        if (find(r, names[hf][i])) {
            return names[hf][i];
        }
    }
    return NULL;
}

/* ---- shapes ---------------------------------------------------- */

/* "[2, 96, 192]" */
static void print_shape(const st_tensor *t, char *to)
{
    size_t used = 0;
    to[used++] = '[';
    for (unsigned i = 0; i < t->ndim; i++) {
        const int bytes =
            snprintf(to + used, SHAPE_TEXT - used, "%s%" PRIu64, i ? ", " : "", t->shape[i]);
        used += (size_t)bytes;
    }
    memcpy(to + used, "]", 2);
}

static uint64_t row_length(const st_tensor *t)
{
    return t->ndim > 0 ? t->shape[t->ndim - 1] : 1;
}

/* Cannot overflow: st_header_read multiplied the same numbers in the same order and checked. */
static uint64_t row_count(const st_tensor *t)
{
    uint64_t rows = 1;
    for (unsigned i = 0; i + 1 < t->ndim; i++) {
        rows *= t->shape[i];
    }
    return rows;
}

static err_code find_rows(const reference *r, const char *name, uint64_t cols,
                          const st_tensor **out, err *e)
{
    char shape[SHAPE_TEXT];
    const st_tensor *const t = find(r, name);
    if (!t) {
        return err_set(e, ERR_INPUT, "%s: no tensor %s", r->path, name);
    }
    if (row_length(t) != cols) {
        print_shape(t, shape);
        return err_set(e, ERR_INPUT, "%s: tensor %s: expected rows of %" PRIu64 ", found shape %s",
                       r->path, name, cols, shape);
    }
    *out = t;
    return OK;
}

static err_code refuse_rows(const reference *r, const st_tensor *t, uint64_t rows, err *e)
{
    char shape[SHAPE_TEXT];
    print_shape(t, shape);
    return err_set(e, ERR_INPUT, "%s: tensor %s: expected %" PRIu64 " rows, found shape %s",
                   r->path, t->name, rows, shape);
}

err_code reference_check(const reference *r, const char *name, uint64_t rows, uint64_t cols, err *e)
{
    const st_tensor *t = NULL;
    TRY(find_rows(r, name, cols, &t, e));
    return row_count(t) == rows ? OK : refuse_rows(r, t, rows, e);
}

/* ---- reading --------------------------------------------------- */

static err_code refuse_dtype(const reference *r, const st_tensor *t, const char *expected, err *e)
{
    return err_set(e, ERR_INPUT, "%s: tensor %s: expected %s, found %s", r->path, t->name, expected,
                   dtype_name(t->type));
}

static void widen(dtype type, const unsigned char *from, size_t count, float *to)
{
    for (size_t i = 0; i < count; i++) {
        if (type == DTYPE_F32) {
            to[i] = float_from_bits(le32_load(from + 4 * i));
        } else if (type == DTYPE_BF16) {
            to[i] = bf16_widen(le16_load(from + 2 * i));
        } else {
            to[i] = f16_widen(le16_load(from + 2 * i));
        }
    }
}

/* False if a number is not a valid index. */
static bool read_indices(dtype type, const unsigned char *from, size_t count, uint32_t *to)
{
    for (size_t i = 0; i < count; i++) {
        if (type == DTYPE_I32) {
            to[i] = le32_load(from + 4 * i);
            if (to[i] > INT32_MAX) {
                return false;
            }
        } else {
            const uint64_t value = le64_load(from + 8 * i);
            if (value > UINT32_MAX) { /* this includes negative numbers */
                return false;
            }
            to[i] = (uint32_t)value;
        }
    }
    return true;
}

/* Read elements [first, first + count), which the tensor has, as values or else as indices. */
static err_code read_elements(const reference *r, const st_tensor *t, uint64_t first,
                              uint64_t count, float *values, uint32_t *indices, err *e)
{
    unsigned char chunk[CHUNK_BYTES];
    const uint64_t size = dtype_bits(t->type) / 8;
    for (uint64_t done = 0; done < count;) {
        const size_t n = (size_t)num_min(count - done, CHUNK_BYTES / size);
        TRY(io_read_at(r->fd, r->path, t->off + (first + done) * size, chunk, n * size, e));
        if (values) {
            widen(t->type, chunk, n, values + done);
        } else if (!read_indices(t->type, chunk, n, indices + done)) {
            return err_set(e, ERR_INPUT,
                           "%s: tensor %s: a number below 0 or above 2^32 - 1 is not a valid index",
                           r->path, t->name);
        }
        done += n;
    }
    return OK;
}

static err_code read_rows(const reference *r, const st_tensor *t, uint64_t first, uint64_t rows,
                          float *values, uint32_t *indices, err *e)
{
    uint64_t end = 0;
    if (!num_add(first, rows, &end) || end > row_count(t)) {
        return refuse_rows(r, t, num_max(end, rows), e);
    }
    const uint64_t cols = row_length(t); /* products are at most that of the shape: no overflow */
    return read_elements(r, t, first * cols, rows * cols, values, indices, e);
}

static bool holds_values(const st_tensor *t)
{
    return t->type == DTYPE_F32 || t->type == DTYPE_BF16 || t->type == DTYPE_F16;
}

static bool holds_indices(const st_tensor *t)
{
    return t->type == DTYPE_I32 || t->type == DTYPE_I64;
}

static err_code read_values(const reference *r, const st_tensor *t, uint64_t first, uint64_t rows,
                            uint64_t cols, float *out, err *e)
{
    TRY(read_rows(r, t, first, rows, out, NULL, e));
    for (uint64_t i = 0; i < rows * cols; i++) {
        if (!isfinite(out[i])) {
            return err_set(e, ERR_INPUT,
                           "%s: tensor %s: row %" PRIu64 ", column %" PRIu64
                           ": not a finite number",
                           r->path, t->name, first + i / cols, i % cols);
        }
    }
    return OK;
}

err_code reference_read_rows(const reference *r, const char *name, uint64_t first, uint64_t rows,
                             uint64_t cols, float *out, err *e)
{
    const st_tensor *t = NULL;
    TRY(find_rows(r, name, cols, &t, e));
    return holds_values(t) ? read_values(r, t, first, rows, cols, out, e)
                           : refuse_dtype(r, t, "F32, BF16 or F16", e);
}

err_code reference_read_indices(const reference *r, const char *name, uint64_t first, uint64_t rows,
                                uint64_t cols, uint32_t *out, err *e)
{
    const st_tensor *t = NULL;
    TRY(find_rows(r, name, cols, &t, e));
    return holds_indices(t) ? read_rows(r, t, first, rows, NULL, out, e)
                            : refuse_dtype(r, t, "I32 or I64", e);
}

/* ---- token ids ------------------------------------------------- */

static const char ids_name[] = "input_ids";

err_code reference_ids(const reference *r, uint32_t **ids, size_t *sequences, size_t *length,
                       err *e)
{
    char shape[SHAPE_TEXT];
    const st_tensor *const t = find(r, ids_name);
    if (!t) {
        return err_set(e, ERR_INPUT, "%s: no tensor %s", r->path, ids_name);
    }
    if (t->ndim != 2 || t->bytes == 0) {
        print_shape(t, shape);
        return err_set(e, ERR_INPUT, "%s: tensor %s: expected [sequences, tokens], found shape %s",
                       r->path, ids_name, shape);
    }
    if (!holds_indices(t)) {
        return refuse_dtype(r, t, "I32 or I64", e);
    }
    const size_t count = (size_t)(t->shape[0] * t->shape[1]); /* fits: the file holds them */
    if (count > REFERENCE_MAX_IDS) { /* of a sparse file, they may take no space there */
        return err_set(e, ERR_INPUT, "%s: tensor %s: more than %d ids", r->path, ids_name,
                       REFERENCE_MAX_IDS);
    }
    uint32_t *const read = malloc(count * sizeof *read);
    if (!read) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu tokens", r->path, count);
    }
    err_code code = OK;
    TRY_OUT(read_elements(r, t, 0, count, NULL, read, e));
    *ids = read;
    *sequences = (size_t)t->shape[0];
    *length = (size_t)t->shape[1];
    return OK;
out:
    free(read);
    return code;
}
