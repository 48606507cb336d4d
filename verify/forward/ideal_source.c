#include "verify/forward/ideal_source.h"

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

/* ---- dequantizing ---------------------------------------------- */

/* One row: `scales` of its row of blocks. */
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

void ideal_source_widen(const ideal_source *s, const source_part *part, const unsigned char *codes,
                        const float *scales, uint64_t scales_first, const float *value, float *to,
                        size_t pitch)
{
    const uint64_t slice = ideal_slice_rows(&s->elements);
    const uint64_t height = block_height(s->block, slice);
    const uint64_t across = block_across(s->block, s->elements.cols);
    const uint64_t above = scales_first % slice / height;
    for (unsigned i = 0; i < part->rows; i++) {
        const uint64_t down = (part->first + i) % slice / height - above;
        widen_row(s, part, codes + i * s->elements.cols, scales + down * across, value,
                  to + i * pitch);
    }
}
