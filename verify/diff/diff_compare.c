/* Compares one unit of two tensors, after its data was read. */
#include <math.h>
#include <string.h>

#include "format/base/num.h"
#include "format/tensor/scale_value.h"
#include "verify/diff/diff_job.h"

uint64_t diff_tiles_across(const diff_pair *p)
{
    return block_across(diff_block(p), p->side[0]->cols);
}

uint64_t diff_tiles(const diff_pair *p, uint64_t elements)
{
    return block_count(diff_block(p), elements / p->side[0]->cols, p->side[0]->cols);
}

/* Where a tile lies in its unit and in its slice. */
typedef struct tile_place {
    size_t element; /* the first element, within the unit */
    unsigned rows, cols;
    size_t pitch;
    uint64_t number;   /* of the tile, within the unit: index of its scale */
    uint64_t row, col; /* counted in tiles, within the slice */
} tile_place;

static float scale_at(const diff_pair *p, const diff_data *d, unsigned side, const tile_place *t)
{
    const dtype type = p->side[side]->scale_type;
    return scale_value(type, d->scales[side] + t->number * (dtype_bits(type) / 8));
}

typedef void (*tile_fn)(const diff_job *j, const diff_unit *u, const diff_data *d,
                        const tile_place *t, diff_finding *out);

static err_code each_tile(const diff_job *j, const diff_unit *u, const diff_data *d, tile_fn fn,
                          diff_finding *out, err *e)
{
    const uint64_t cols = j->pairs[u->pair].side[0]->cols;
    const uint64_t rows = u->size / cols;
    const block_format b = diff_block(&j->pairs[u->pair]);
    tile_place t = {.pitch = cols, .row = u->begin / cols / b.rows};
    for (uint64_t row = 0; row < rows; row += b.rows, t.row++) {
        t.col = 0;
        for (uint64_t col = 0; col < cols; col += b.cols, t.col++) {
            TRY(monitor_step(j->monitor, t.number, e));
            t.element = row * cols + col;
            t.rows = (unsigned)num_min(b.rows, rows - row);
            t.cols = (unsigned)num_min(b.cols, cols - col);
            fn(j, u, d, &t, out);
            t.number++;
        }
    }
    return OK;
}

/* The index within the tensor of an element of the unit. */
static uint64_t index_of(const diff_pair *p, const diff_unit *u, uint64_t element)
{
    return u->slice * p->slice_size + u->begin + element;
}

static void note_scale(const diff_pair *p, const diff_unit *u, const tile_place *t,
                       diff_finding *out)
{
    const uint64_t before = u->slice * diff_tiles(p, p->slice_size);
    out->first_scale =
        out->different_scales ? out->first_scale : before + t->row * diff_tiles_across(p) + t->col;
    out->different_scales++;
}

static void note_codes(uint64_t count, uint64_t index, diff_finding *out)
{
    if (count > 0) {
        out->first = out->different ? num_min(out->first, index) : index;
        out->different += count;
    }
}

/* ---- codes against codes --------------------------------------- */

/* How many codes of a tile differ. *first: index of the first one, within the unit. */
static uint64_t count_codes(const diff_data *d, const tile_place *t, size_t *first)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < t->rows; i++) {
        const size_t at = t->element + i * t->pitch;
        for (unsigned k = 0; k < t->cols; k++) {
            if (d->data[0][at + k] != d->data[1][at + k]) {
                *first = count ? *first : at + k;
                count++;
            }
        }
    }
    return count;
}

/* The largest difference of two dequantized values. */
static double largest_difference(const code_rules *rules, const diff_data *d, const tile_place *t,
                                 const float scales[2])
{
    float weights[2][256];
    double largest = -1;
    for (unsigned c = 0; c < 256; c++) {
        weights[0][c] = rules->value[c] * scales[0];
        weights[1][c] = rules->value[c] * scales[1];
    }
    for (unsigned i = 0; i < t->rows; i++) {
        const size_t at = t->element + i * t->pitch;
        for (unsigned k = 0; k < t->cols; k++) {
            const double a = (double)weights[0][d->data[0][at + k]];
            const double b = (double)weights[1][d->data[1][at + k]];
            const double difference = fabs(a - b);
            largest = difference > largest ? difference : largest; /* not if it is a NaN */
        }
    }
    return largest;
}

static void coded_tile(const diff_job *j, const diff_unit *u, const diff_data *d,
                       const tile_place *t, diff_finding *out)
{
    const diff_pair *const p = &j->pairs[u->pair];
    const float scales[] = {scale_at(p, d, 0, t), scale_at(p, d, 1, t)};
    const bool same_scale = float_bits(scales[0]) == float_bits(scales[1]);
    size_t first = 0;
    const uint64_t codes = count_codes(d, t, &first);
    if (!same_scale) {
        note_scale(p, u, t, out);
    }
    note_codes(codes, index_of(p, u, first), out);
    if (!same_scale || codes > 0) {
        out->largest = fmax(out->largest, largest_difference(&j->rules, d, t, scales));
    }
}

/* ---- codes against numbers ------------------------------------- */

static void rounded_tile(const diff_job *j, const diff_unit *u, const diff_data *d,
                         const tile_place *t, diff_finding *out)
{
    const diff_pair *const p = &j->pairs[u->pair];
    const store_tensor *const codes = p->side[p->coded];
    const dtype type = p->side[1 - p->coded]->type;
    const tile_view view = {
        .source = d->data[1 - p->coded] + t->element * (dtype_bits(type) / 8),
        .codes = d->data[p->coded] + t->element,
        .type = type,
        .pitch = t->pitch,
        .rows = t->rows,
        .cols = t->cols,
        .scale = scale_at(p, d, p->coded, t),
        .scales = codes->block.scale,
        .dialect = codes->dialect == DIALECT_NONE ? DIALECT_IEEE : codes->dialect,
    };
    tile_verdict v;
    tile_check(&j->rules, &view, &v);
    if (!v.scale_right) {
        note_scale(p, u, t, out);
    }
    note_codes(v.wrong_codes,
               index_of(p, u, t->element + (uint64_t)v.wrong_row * t->pitch + v.wrong_col), out);
    out->sum_sq_source += v.sum_sq_source;
    out->sum_sq_error += v.sum_sq_error;
    out->largest = fmax(out->largest, v.max_error);
    const double sqnr = 10 * log10(v.sum_sq_source / v.sum_sq_error);
    if (v.sum_sq_error > 0 && sqnr < out->worst_sqnr) {
        out->worst_sqnr = sqnr;
        out->worst_row = t->row;
        out->worst_col = t->col;
    }
}

/* Are all scales of the unit the same bits? Scales of different dtypes are compared by value, tile
 * by tile. */
static bool same_scales(const diff_pair *p, const diff_unit *u, const diff_data *d)
{
    const dtype type = p->side[0]->scale_type;
    return p->way != DIFF_CODED || (type == p->side[1]->scale_type &&
                                    memcmp(d->scales[0], d->scales[1],
                                           diff_tiles(p, u->size) * (dtype_bits(type) / 8)) == 0);
}

err_code diff_compare(const diff_job *j, const diff_unit *u, const diff_data *d, diff_finding *out,
                      err *e)
{
    const diff_pair *const p = &j->pairs[u->pair];
    *out = (diff_finding){.largest = -1, .worst_sqnr = INFINITY};
    if (p->way == DIFF_ROUNDED) {
        return each_tile(j, u, d, rounded_tile, out, e);
    }
    if (memcmp(d->data[0], d->data[1], u->size) == 0 && same_scales(p, u, d)) {
        return OK;
    }
    if (p->way == DIFF_CODED) {
        return each_tile(j, u, d, coded_tile, out, e);
    }
    const uint64_t each = num_max(1, dtype_bits(p->side[0]->type) / 8);
    return diff_elements(p->side[0]->type, d->data[0], d->data[1], u->size / each, u->begin / each,
                         j->monitor, out, e);
}
