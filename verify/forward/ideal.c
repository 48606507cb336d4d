#include "verify/forward/ideal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/memory.h"
#include "format/base/num.h"
#include "verify/rule/code_check.h"

typedef struct buffer {
    void *data;
    size_t capacity;
} buffer;

struct ideal {
    const store *source, *packed;
    code_rules rules;
    /* Of one band, the blocks of one row of blocks: elements of the source as stored and, if that is
     * FP8, their scales and their values; codes. */
    buffer stored, stored_scales, values, codes;
    const store_tensor
        *widened; /* whose values these are, from row widened_first on; NULL: of none */
    uint64_t widened_first;
};

err_code ideal_open(const store *source, const store *packed, ideal **out, err *e)
{
    ideal *const d = calloc(1, sizeof *d);
    *out = NULL;
    if (!d) {
        return err_set(e, ERR_MEMORY, "no memory for the ideal file");
    }
    d->source = source;
    d->packed = packed;
    const err_code code = code_rules_create(&d->rules, e);
    if (code != OK) {
        free(d);
        return code;
    }
    *out = d;
    return OK;
}

void ideal_close(ideal *d)
{
    if (d) {
        code_rules_free(&d->rules);
        free(d->stored.data);
        free(d->stored_scales.data);
        free(d->values.data);
        free(d->codes.data);
        free(d);
    }
}

static err_code grow(buffer *b, size_t bytes, err *e)
{
    if (bytes <= b->capacity) {
        return OK;
    }
    free(b->data);
    b->data = memory_large(bytes);
    b->capacity = b->data ? bytes : 0;
    return b->data ? OK : err_set(e, ERR_MEMORY, "no memory for %zu bytes of a source", bytes);
}

/* ---- the source of a tensor ------------------------------------ */

static err_code find_source(const ideal *d, const store_tensor *t, const store_tensor **out, err *e)
{
    const store_tensor *const s = store_find(d->source, t->name);
    if (!s) {
        return err_set(e, ERR_DIFFERENT, "%s: no tensor %s", d->source->path, t->name);
    }
    const bool same_type = t->quantized || s->type == t->type;
    if (s->ndim != t->ndim || memcmp(s->shape, t->shape, t->ndim * sizeof *t->shape) != 0 ||
        !same_type) {
        return err_set(e, ERR_DIFFERENT, "%s: tensor %s has another shape or dtype than in %s",
                       d->source->path, t->name, d->packed->path);
    }
    *out = s;
    return OK;
}

/* ---- one band -------------------------------------------------- */

typedef struct band {
    const store_tensor *t, *s;
    uint64_t first, rows; /* whole blocks, or up to the end of the slice */
    tile_view view;       /* of the first block; its source is set once it is read */
} band;

/* Blocks never cross the end of a slice. */
static uint64_t slice_rows(const store_tensor *t)
{
    return t->ndim == 3 ? t->shape[1] : t->rows;
}

static pack_dialect dialect_of(const store_tensor *t)
{
    const bool carried = t->of_record && t->of_record->origin == ORIGIN_CARRIED;
    return carried || t->dialect == DIALECT_NONE ? DIALECT_IEEE : t->dialect;
}

static void dequantize(const ideal *d, const store_tensor *s, uint64_t rows, float *to)
{
    const unsigned char *const codes = d->stored.data;
    const float *const scales = d->stored_scales.data;
    const uint64_t height = block_height(s->block, slice_rows(s));
    const uint64_t width = block_width(s->block, s->cols);
    const uint64_t across = block_across(s->block, s->cols);
    for (uint64_t row = 0; row < rows; row++) {
        for (uint64_t col = 0; col < s->cols; col++) {
            const uint64_t i = row * s->cols + col;
            to[i] = d->rules.value[codes[i]] * scales[row / height * across + col / width];
        }
    }
}

static err_code widen(ideal *d, const store_tensor *s, uint64_t first, uint64_t rows, err *e)
{
    if (d->widened == s && d->widened_first == first) {
        return OK;
    }
    d->widened = NULL;
    TRY(grow(&d->stored, rows * s->cols, e));
    TRY(grow(&d->stored_scales, store_scale_count(s, rows) * sizeof(float), e));
    TRY(grow(&d->values, rows * s->cols * sizeof(float), e));
    TRY(store_read(d->source, s, first, rows, d->stored.data, d->stored_scales.data, e));
    dequantize(d, s, rows, d->values.data);
    d->widened = s;
    d->widened_first = first;
    return OK;
}

/* Whole blocks of the source, which may be of any size: if they are higher than a band, several bands
 * in turn lie in the same ones. */
static err_code load_fp8(ideal *d, band *b, err *e)
{
    const store_tensor *const s = b->s;
    const uint64_t slice = slice_rows(s);
    const uint64_t height = block_height(s->block, slice);
    const uint64_t in_slice = b->first % slice;
    const uint64_t begin = in_slice - in_slice % height;
    const uint64_t end = (in_slice + b->rows + height - 1) / height * height;
    TRY(widen(d, s, b->first - in_slice + begin, num_min(end, slice) - begin, e));
    b->view.source = (unsigned char *)d->values.data + (in_slice - begin) * s->cols * sizeof(float);
    b->view.type = DTYPE_F32;
    return OK;
}

static err_code load(ideal *d, band *b, err *e)
{
    if (b->s->quantized) {
        return load_fp8(d, b, e);
    }
    TRY(grow(&d->stored, b->rows * b->s->row_bytes, e));
    TRY(store_read(d->source, b->s, b->first, b->rows, d->stored.data, NULL, e));
    b->view.source = d->stored.data;
    b->view.type = b->s->type;
    return OK;
}

/* The codes of the band go to d->codes, its scales to `scales`. */
static err_code define(ideal *d, band *b, float *scales, err *e)
{
    const block_format f = b->t->block;
    const uint64_t width = block_width(f, b->t->cols);
    TRY(load(d, b, e));
    TRY(grow(&d->codes, b->rows * b->t->cols, e));
    const size_t each = dtype_bits(b->view.type) / 8;
    for (uint64_t col = 0; col < b->t->cols; col += width) {
        tile_view v = b->view;
        v.source += col * each;
        v.cols = (unsigned)num_min(width, b->t->cols - col);
        tile_define(&d->rules, &v, (unsigned char *)d->codes.data + col, scales++);
    }
    return OK;
}

/* ---- rows of a tensor ------------------------------------------ */

static err_code read_defined(ideal *d, const store_tensor *t, const store_tensor *s, uint64_t first,
                             uint64_t rows, unsigned char *codes, float *scales, err *e)
{
    const uint64_t slice = slice_rows(t);
    const uint64_t height = block_height(t->block, slice);
    const uint64_t across = block_across(t->block, t->cols);
    for (uint64_t done = 0; done < rows; done += height) {
        const uint64_t at = first + done;
        band b = {.t = t, .s = s, .first = at, .rows = num_min(height, slice - at % slice)};
        b.view = (tile_view){.pitch = t->cols,
                             .rows = (unsigned)b.rows,
                             .scales = t->block.scale,
                             .dialect = dialect_of(t)};
        TRY(define(d, &b, scales + done / height * across, e));
        memcpy(codes + done * t->cols, d->codes.data, num_min(height, rows - done) * t->cols);
    }
    return OK;
}

static bool is_carried_fp8(const store_tensor *t, const store_tensor *s)
{
    return s->quantized && t->of_record && t->of_record->origin == ORIGIN_CARRIED;
}

err_code ideal_read(void *ctx, const store_tensor *t, uint64_t first, uint64_t rows, void *data,
                    float *scales, err *e)
{
    ideal *const d = ctx;
    const store_tensor *s = NULL;
    TRY(find_source(d, t, &s, e));
    return !t->quantized || is_carried_fp8(t, s)
               ? store_read(d->source, s, first, rows, data, scales, e)
               : read_defined(d, t, s, first, rows, data, scales, e);
}
