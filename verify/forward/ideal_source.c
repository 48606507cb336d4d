#include "verify/forward/ideal_source.h"

#include <math.h>
#include <string.h>

#include "format/base/num.h"
#include "format/file/io.h"
#include "format/tensor/scale_value.h"

uint64_t ideal_slice_rows(const store_tensor *t)
{
    return t->ndim == 3 ? t->shape[1] : t->rows;
}

/* ---- which it is ----------------------------------------------- */

static bool same_shape(const store_tensor *a, const store_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape) == 0;
}

static void describe_scales(const store *source, const fp8_pairs *pairs, const store_tensor *s,
                            ideal_source *out)
{
    if (!source->source) {
        out->fp8 = s->quantized;
        out->block = s->block;
        out->scale_type = s->scale_type;
        out->scale_off = s->scale_off;
        return;
    }
    const fp8_pair *const p = &pairs->of[s->of_source - source->source->tensors];
    if (p->kind == FP8_WEIGHT) {
        out->fp8 = true;
        out->block = p->block;
        out->scale_type = p->other->type;
        out->scales = p->other;
    }
}

err_code ideal_source_find(const store *source, const fp8_pairs *pairs, const store *packed,
                           const store_tensor *t, ideal_source *out, err *e)
{
    const store_tensor *const s = store_find(source, t->name);
    if (!s) {
        return err_set(e, ERR_DIFFERENT, "%s: no tensor %s", source->path, t->name);
    }
    if (!same_shape(s, t)) {
        return err_set(e, ERR_DIFFERENT, "%s: tensor %s has another shape than in %s", source->path,
                       t->name, packed->path);
    }
    *out = (ideal_source){.elements = *s};
    out->elements.quantized = false;
    describe_scales(source, pairs, s, out);
    return OK;
}

/* ---- reading --------------------------------------------------- */

err_code ideal_source_read(const store *source, const ideal_source *s, uint64_t first,
                           uint64_t rows, void *data, err *e)
{
    return store_read(source, &s->elements, first, rows, data, NULL, e);
}

/* The rows of blocks, within the slice, that have rows [first, first + rows) of the tensor. */
static void find_blocks(const ideal_source *s, uint64_t first, uint64_t rows, uint64_t *begin,
                        uint64_t *end)
{
    const uint64_t slice = ideal_slice_rows(&s->elements);
    const uint64_t height = block_height(s->block, slice);
    *begin = first % slice / height;
    *end = num_ceil_div(first % slice + rows, height);
}

uint64_t ideal_source_scale_count(const ideal_source *s, uint64_t first, uint64_t rows)
{
    uint64_t begin = 0;
    uint64_t end = 0;
    find_blocks(s, first, rows, &begin, &end);
    return (end - begin) * block_across(s->block, s->elements.cols);
}

/* Read into the end of the array and convert from the beginning: a stored scale is not larger than
 * its float. */
err_code ideal_source_read_scales(const store *source, const ideal_source *s, uint64_t first,
                                  uint64_t rows, float *scales, err *e)
{
    const uint64_t slice = ideal_slice_rows(&s->elements);
    uint64_t begin = 0;
    uint64_t end = 0;
    find_blocks(s, first, rows, &begin, &end);
    const uint64_t before = (first / slice * block_down(s->block, slice) + begin) *
                            block_across(s->block, s->elements.cols);
    const uint64_t count = ideal_source_scale_count(s, first, rows);
    const size_t each = dtype_bits(s->scale_type) / 8;
    unsigned char *const stored = (unsigned char *)(scales + count) - count * each;
    TRY(s->scales
            ? checkpoint_read(source->source, s->scales, before * each, stored, count * each, e)
            : io_read_at(source->packed->fd, source->path, s->scale_off + before * each, stored,
                         count * each, e));
    for (uint64_t i = 0; i < count; i++) {
        scales[i] = scale_value(s->scale_type, stored + i * each);
    }
    return OK;
}

/* ---- numbers --------------------------------------------------- */

static bool is_plain_number(dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F32;
}

bool ideal_source_has_numbers(const ideal_source *s)
{
    return s->fp8 || is_plain_number(s->elements.type);
}

static void widen_plain(dtype type, const unsigned char *from, unsigned count, float *restrict to)
{
    for (unsigned i = 0; i < count; i++) {
        switch (type) {
        case DTYPE_BF16:
            to[i] = bf16_widen(le16_load(from + (size_t)2 * i));
            break;
        case DTYPE_F16:
            to[i] = f16_widen(le16_load(from + (size_t)2 * i));
            break;
        default:
            to[i] = le_float_load(from + (size_t)4 * i);
        }
    }
}

/* One row of FP8: `scales` of its row of blocks. */
static void widen_row(const ideal_source *s, const source_part *part, const unsigned char *codes,
                      const float *scales, const float *value, float *restrict to)
{
    const uint64_t width = block_width(s->block, s->elements.cols);
    for (unsigned done = 0; done < part->cols;) {
        const uint64_t block = (part->col + done) / width;
        const uint64_t end = num_min((block + 1) * width - part->col, part->cols);
        for (; done < end; done++) {
            to[done] = value[codes[done]] * scales[block];
        }
    }
}

void ideal_source_widen(const ideal_source *s, const source_part *part,
                        const unsigned char *elements, const float *scales, uint64_t scales_first,
                        const float *value, float *to, size_t pitch)
{
    const uint64_t slice = ideal_slice_rows(&s->elements);
    const uint64_t height = s->fp8 ? block_height(s->block, slice) : slice;
    const uint64_t across = s->fp8 ? block_across(s->block, s->elements.cols) : 0;
    const uint64_t above = scales_first % slice / height;
    for (unsigned i = 0; i < part->rows; i++) {
        const unsigned char *const row = elements + i * s->elements.row_bytes;
        const uint64_t down = (part->first + i) % slice / height - above;
        if (s->fp8) {
            widen_row(s, part, row, scales + down * across, value, to + i * pitch);
        } else {
            widen_plain(s->elements.type, row, part->cols, to + i * pitch);
        }
    }
}

/* ---- rounding -------------------------------------------------- */

/* Half of the last place that is left is added, and less than half where that bit is even. Of a NaN
 * the payload is lost, or it might become an infinity. */
static uint16_t round_bf16(float x)
{
    const uint32_t bits = float_bits(x);
    return isnan(x) ? (uint16_t)(bits >> 16 | 0x40)
                    : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* In steps of the last place, of which rint makes a whole number; if it is 2048, the sum carries
 * into the exponent. */
static uint16_t round_f16(float x)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    int exponent = 0;
    (void)frexpf(x, &exponent);
    if (isnan(x)) {
        return 0x7e00 | sign;
    }
    if (isinf(x) || exponent > 16) {
        return 0x7c00 | sign;
    }
    const bool normal = x != 0 && exponent > -14;
    const long steps = lrint(ldexp(fabs((double)x), normal ? 11 - exponent : 24));
    const long bits = normal ? ((exponent + 14L) << 10) + steps - 1024 : steps;
    return (uint16_t)(bits | sign);
}

void ideal_round(dtype type, const float *x, size_t count, unsigned char *to)
{
    for (size_t i = 0; i < count; i++) {
        switch (type) {
        case DTYPE_BF16:
            le16_store(to + 2 * i, round_bf16(x[i]));
            break;
        case DTYPE_F16:
            le16_store(to + 2 * i, round_f16(x[i]));
            break;
        default:
            le_float_store(to + 4 * i, x[i]);
        }
    }
}
