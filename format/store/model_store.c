#include "format/store/model_store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/checkpoint/fp8_pairs.h"
#include "format/file/io.h"
#include "format/pack/pack_end.h"
#include "format/store/model_path.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "format/tensor/scale_value.h"

enum { STORE_TAKEN = TENSOR_MAX_DIMS + 1 }; /* marks, as ndim, scales that belong to a tensor */

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory for the list of its tensors", path);
}

/* Fill in the fields that follow from dtype and shape. */
static err_code describe(store_tensor *t, const char *name, dtype type, const uint64_t *shape,
                         unsigned ndim, err *e)
{
    *t = (store_tensor){.name = name, .type = type, .ndim = ndim, .rows = 1, .cols = 1};
    bool fits = true;
    for (unsigned i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        if (i + 1 < ndim) {
            fits = fits && num_mul(t->rows, shape[i], &t->rows);
        } else {
            t->cols = shape[i];
        }
    }
    uint64_t bits = 0;
    if (!fits || !num_mul(t->cols, dtype_bits(type), &bits)) {
        return err_set(e, ERR_INPUT, "tensor %s: shape out of range", name);
    }
    t->row_bytes = bits % 8 == 0 ? bits / 8 : 0;
    return OK;
}

/* ---- checkpoint ------------------------------------------------ */

/* Could a packed file hold this FP8 weight with its scales? Otherwise both are listed as ordinary
 * tensors. */
static bool is_tiled(const fp8_pair *p)
{
    char why[BLOCK_TEXT_BYTES];
    return p->kind == FP8_WEIGHT && !block_unsupported(p->block, why);
}

static bool are_tiled_scales(const checkpoint *cp, const fp8_pairs *pairs, size_t i)
{
    return pairs->of[i].kind == FP8_SCALES &&
           is_tiled(&pairs->of[pairs->of[i].other - cp->tensors]);
}

static err_code add_source(store *s, const tensor *from, const fp8_pair *p, err *e)
{
    store_tensor *const t = &s->tensors[s->count++];
    TRY(describe(t, from->name, from->type, from->shape, from->ndim, e));
    t->off = from->off;
    t->of_source = from;
    if (is_tiled(p)) {
        t->quantized = true;
        t->source_scales = p->other;
        t->block = p->block;
        t->scale_type = p->other->type;
    }
    return OK;
}

static err_code list_source(store *s, const monitor *m, err *e)
{
    const checkpoint *const cp = s->source;
    fp8_pairs pairs = {0};
    err_code code = OK;
    TRY_OUT(fp8_pairs_find(cp, m, &pairs, e));
    s->tensors = calloc(cp->tensor_count + 1, sizeof *s->tensors);
    TRY_OUT(s->tensors ? OK : no_memory(s->path, e));
    for (size_t i = 0; i < cp->tensor_count; i++) {
        if (!are_tiled_scales(cp, &pairs, i)) {
            TRY_OUT(add_source(s, &cp->tensors[i], &pairs.of[i], e));
        }
    }
out:
    fp8_pairs_free(&pairs);
    return code;
}

/* ---- packed file ----------------------------------------------- */

/* Upper bound of the bytes that the names of a stack's members take. */
static uint64_t names_bytes(const pack_record *r)
{
    const int digits = snprintf(NULL, 0, "%" PRIu64, r->shape[0]);
    uint64_t bytes = 0;
    return num_mul(strlen(r->name) + (uint64_t)digits, r->shape[0], &bytes) ? bytes : UINT64_MAX;
}

/* A table of a few records can claim any number of tensors, for which memory would be allocated.
 * But the file has a digest for each of them, so their number is bounded by its length. */
static err_code check_count(const pack_file *p, err *e)
{
    const uint64_t expected = p->table.source_count * XXH3_BYTES;
    const pack_section *const s = pack_find_section(p, TAG_SDIG);
    const uint64_t found = s ? s->len : 0;
    return found == expected
               ? OK
               : err_set(e, ERR_INPUT,
                         "%s: section SDIG: length, expected %" PRIu64 ", found %" PRIu64, p->path,
                         expected, found);
}

static err_code allocate(store *s, err *e)
{
    const pack_table *const table = &s->packed->table;
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < table->count; i++) {
        const pack_record *const r = &table->records[i];
        if (r->stack && r->cls != CLASS_SCALES && !num_add(bytes, names_bytes(r), &bytes)) {
            return no_memory(s->path, e);
        }
    }
    s->names = malloc(bytes);
    s->tensors = calloc(table->source_count + 1, sizeof *s->tensors);
    return s->names && s->tensors ? OK : no_memory(s->path, e);
}

/* Add member `i` of a stack, or a whole record that is not a stack. */
static err_code add_member(store *s, const pack_record *r, uint64_t i, char **name_to, err *e)
{
    char expanded[NAME_MAX_BYTES + 1];
    const char *name = r->name;
    if (r->stack) {
        if (!name_expand_stack(r->name, i, expanded)) {
            return err_set(e, ERR_INPUT,
                           "tensor %s: the name of member %" PRIu64 " is longer than %d bytes",
                           r->name, i, NAME_MAX_BYTES);
        }
        const size_t bytes = strlen(expanded) + 1;
        name = memcpy(*name_to, expanded, bytes);
        *name_to += bytes;
    }
    store_tensor *const t = &s->tensors[s->count++];
    TRY(describe(t, name, r->type, r->shape + r->stack, r->ndim - r->stack, e));
    const uint64_t members = pack_record_sources(r);
    t->off = r->off + r->len / members * i;
    t->of_record = r;
    if (r->cls == CLASS_CODES) {
        const pack_record *const scales = &s->packed->table.records[r->scale_idx];
        t->quantized = true;
        t->block = r->block;
        t->scale_type = scales->type;
        t->dialect = r->dialect;
        t->scale_record = scales;
        t->scale_off = scales->off + scales->len / members * i;
    }
    return OK;
}

/* The scales of an FP8 tensor that a rule kept. They are a kept tensor too, as in the checkpoint.
 * NULL if the tensor is not such FP8, or has no scales. */
static store_tensor *kept_scales(const store *s, const store_tensor *t)
{
    store_tensor *found = NULL;
    if (t->type != DTYPE_F8_E4M3 || t->quantized) {
        return NULL;
    }
    for (unsigned i = 0; i < FP8_SPELLINGS && !found; i++) {
        char name[NAME_MAX_BYTES + 16];
        found = fp8_scales_name(t->name, i, name, sizeof name) ? (store_tensor *)store_find(s, name)
                                                               : NULL;
    }
    const bool fits = found && (t->ndim == 2 || t->ndim == 3) && found->ndim == t->ndim &&
                      t->rows > 0 && t->cols > 0 && scale_stored_in(found->type) &&
                      fp8_is_tiled(t->shape, found->shape, t->ndim, block_fp8(SCALES_F32));
    return fits ? found : NULL;
}

/* List such tensors as quantized, and not their scales, as for a checkpoint: the same model then
 * has the same list of tensors, packed or not. */
static void pair_kept(store *s)
{
    size_t left = 0;
    for (size_t i = 0; i < s->count; i++) {
        store_tensor *const t = &s->tensors[i];
        store_tensor *const scales = kept_scales(s, t);
        if (scales) {
            t->quantized = true;
            t->block = block_fp8(scale_format_of(scales->type));
            t->scale_type = scales->type;
            t->scale_record = scales->of_record;
            t->scale_off = scales->off;
            scales->ndim = STORE_TAKEN;
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->tensors[i].ndim != STORE_TAKEN) {
            s->tensors[left++] = s->tensors[i];
        }
    }
    s->count = left;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const store_tensor *)a)->name, ((const store_tensor *)b)->name);
}

static err_code list_packed(store *s, const monitor *m, err *e)
{
    const pack_table *const table = &s->packed->table;
    TRY(check_count(s->packed, e));
    TRY(allocate(s, e));
    char *name_to = s->names;
    for (uint32_t i = 0; i < table->count; i++) {
        const pack_record *const r = &table->records[i];
        const uint64_t members = r->cls == CLASS_SCALES ? 0 : pack_record_sources(r);
        for (uint64_t k = 0; k < members; k++) {
            TRY(monitor_step(m, k, e));
            TRY(add_member(s, r, k, &name_to, e));
        }
    }
    if (s->count > 1) {
        qsort(s->tensors, s->count, sizeof *s->tensors, compare_names);
        pair_kept(s);
    }
    return OK;
}

/* ---- both ------------------------------------------------------ */

/* Owns `packed`, also after an error, and with it perhaps `path`. */
static err_code new_store(const char *path, pack_file *packed, store **out, err *e)
{
    store *const s = calloc(1, sizeof *s);
    if (!s) {
        const err_code code = no_memory(path, e);
        pack_close(packed);
        return code;
    }
    s->packed = packed;
    s->path = strdup(path);
    if (!s->path) {
        const err_code code = no_memory(path, e);
        store_close(s);
        return code;
    }
    *out = s;
    return OK;
}

err_code store_open_packed(pack_file *p, const monitor *m, store **out, err *e)
{
    store *s = NULL;
    *out = NULL;
    TRY(new_store(p->path, p, &s, e));
    const err_code code = list_packed(s, m, e);
    if (code != OK) {
        store_close(s);
        return code;
    }
    *out = s;
    return OK;
}

static err_code open_source(store *s, const monitor *m, err *e)
{
    TRY(checkpoint_open(s->path, m, &s->source, e));
    return list_source(s, m, e);
}

err_code store_open(const char *path, const monitor *m, store **out, err *e)
{
    pack_file *p = NULL;
    store *s = NULL;
    model_kind kind;
    *out = NULL;
    TRY(model_path_find(path, &kind, e));
    if (kind == MODEL_PACKED) {
        TRY(pack_open(path, &p, e));
        return store_open_packed(p, m, out, e);
    }
    TRY(new_store(path, NULL, &s, e));
    const err_code code = open_source(s, m, e);
    if (code != OK) {
        store_close(s);
        return code;
    }
    *out = s;
    return OK;
}

err_code store_end(const store *s, const monitor *m, err_code code, err *e)
{
    return s->source ? checkpoint_end(s->source, m, code, e) : pack_end(s->packed, m, code, e);
}

void store_close(store *s)
{
    if (!s) {
        return;
    }
    free(s->tensors);
    free(s->names);
    checkpoint_close(s->source);
    pack_close(s->packed);
    free(s->path);
    free(s);
}

static int compare_name(const void *key, const void *element)
{
    return strcmp(key, ((const store_tensor *)element)->name);
}

uint64_t store_bytes(const store *s)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->count; i++) {
        bytes +=
            s->tensors[i].rows * s->tensors[i].row_bytes; /* opening has checked the products */
    }
    return bytes;
}

const store_tensor *store_find(const store *s, const char *name)
{
    return bsearch(name, s->tensors, s->count, sizeof *s->tensors, compare_name);
}

/* Rows of one slice of a quantized tensor: tiles never cross the end of a slice. */
static uint64_t slice_rows(const store_tensor *t)
{
    return t->shape[t->ndim - 2];
}

size_t store_scale_count(const store_tensor *t, uint64_t rows)
{
    return t->quantized ? block_count(t->block, rows, t->cols) : 0;
}

static err_code check_rows(const store_tensor *t, uint64_t first, uint64_t rows, err *e)
{
    if (first > t->rows || rows > t->rows - first) {
        return err_set(e, ERR_INTERNAL, "tensor %s: read beyond its end", t->name);
    }
    if (t->row_bytes == 0 && t->cols > 0) {
        return err_set(e, ERR_INPUT, "tensor %s: rows of %s that are not a whole number of bytes",
                       t->name, dtype_name(t->type));
    }
    if (!t->quantized) {
        return OK;
    }
    const uint64_t within = first % slice_rows(t);
    if (within % t->block.rows != 0) {
        return err_set(e, ERR_INTERNAL, "tensor %s: a read that starts inside a tile", t->name);
    }
    if (rows > slice_rows(t) - within) {
        return err_set(e, ERR_INPUT,
                       "tensor %s: its slices of %" PRIu64 " rows cannot be read together", t->name,
                       slice_rows(t));
    }
    return OK;
}

err_code store_read_scales(const store *s, const store_tensor *t, uint64_t first, uint64_t rows,
                           float *scales, err *e)
{
    TRY(check_rows(t, first, rows, e));
    if (rows == 0) {
        return OK;
    }
    const uint64_t slice = first / slice_rows(t);
    const uint64_t row = first % slice_rows(t);
    const uint64_t before = slice * store_scale_count(t, slice_rows(t)) + store_scale_count(t, row);
    const size_t count = store_scale_count(t, rows);
    const size_t each = dtype_bits(t->scale_type) / 8;
    /* Read into the end of the array, and convert from the beginning. A stored scale is not larger
     * than its float, so no scale is overwritten before it is converted. */
    unsigned char *const stored = (unsigned char *)(scales + count) - count * each;
    TRY(s->source
            ? checkpoint_read(s->source, t->source_scales, before * each, stored, count * each, e)
            : io_read_at(s->packed->fd, s->packed->path, t->scale_off + before * each, stored,
                         count * each, e));
    for (size_t i = 0; i < count; i++) {
        scales[i] = scale_value(t->scale_type, stored + i * each);
    }
    return OK;
}

err_code store_read(const store *s, const store_tensor *t, uint64_t first, uint64_t rows,
                    void *data, float *scales, err *e)
{
    TRY(check_rows(t, first, rows, e));
    if (rows == 0) {
        return OK;
    }
    const uint64_t off = first * t->row_bytes; /* inside the tensor, so both products fit */
    const size_t bytes = rows * t->row_bytes;
    TRY(s->source ? checkpoint_read(s->source, t->of_source, off, data, bytes, e)
                  : io_read_at(s->packed->fd, s->packed->path, t->off + off, data, bytes, e));
    return t->quantized ? store_read_scales(s, t, first, rows, scales, e) : OK;
}

/* posix_fadvise takes a length of 0 as everything up to the end of the file. */
static void advise(int fd, uint64_t off, uint64_t bytes)
{
    if (bytes > 0) {
        posix_fadvise(fd, (off_t)off, (off_t)bytes, POSIX_FADV_WILLNEED);
    }
}

void store_prefetch(const store *s, const store_tensor *t)
{
    if (s->source) {
        checkpoint_prefetch(s->source, t->of_source);
        if (t->quantized) {
            checkpoint_prefetch(s->source, t->source_scales);
        }
        return;
    }
    advise(s->packed->fd, t->off, t->rows * t->row_bytes);
    if (t->quantized) {
        const uint64_t slices = t->rows / slice_rows(t);
        advise(s->packed->fd, t->scale_off,
               slices * store_scale_count(t, slice_rows(t)) * (dtype_bits(t->scale_type) / 8));
    }
}

err_code store_file(const store *s, const char *name, char **data, size_t *bytes, err *e)
{
    return s->source ? checkpoint_read_file(s->source, name, data, bytes, e)
                     : pack_read_member(s->packed, name, data, bytes, e);
}
