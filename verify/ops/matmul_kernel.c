/* The micro-tile keeps ROWS x WIDTH sums in registers: 24 of the 32 of AVX-512, 12 of the 16 of
 * AVX2. It is plain C, written so that gcc 12 leaves the sums there: the loop over lanes must not
 * be unrolled before it is vectorized. Check the assembly and `make bench` after a change. */
#include "verify/ops/matmul_kernel.h"

#include <math.h>
#include <string.h>

#include "format/tensor/e4m3.h"
#include "quant/tile/scale.h"
#include "format/tensor/widen.h"
#include "verify/ops/transpose.h"

#ifdef __AVX512F__
#define WIDTH_LIMIT 32
enum { ROWS = 12, WIDTH = WIDTH_LIMIT };
#else
#define WIDTH_LIMIT 16
enum { ROWS = 6, WIDTH = WIDTH_LIMIT };
#endif

#define INLINED static inline __attribute__((always_inline))

/* ---- pack ------------------------------------------------------ */

/* The tokens of one panel and the columns of one slice of x. */
typedef struct pack_place {
    const float *from;
    size_t stride, tokens; /* floats from token to token; tokens < width: pad */
    size_t width, cols;
    float *to; /* [cols][width] */
} pack_place;

static void pack_tokens(const pack_place *p)
{
    transpose(p->from, p->stride, p->tokens, p->cols, p->to, p->width);
    for (size_t k = 0; k < p->cols && p->tokens < p->width; k++) {
        memset(p->to + k * p->width + p->tokens, 0, (p->width - p->tokens) * sizeof *p->to);
    }
}

/* The scale of a group; NaN if a value is not finite, so that it shows in all products. */
static float group_scale(const float *x, size_t count, scale_format kind)
{
    uint32_t largest = 0;
    for (size_t k = 0; k < count; k++) {
        const uint32_t magnitude = float_bits(x[k]) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest < 0x7f800000 ? scale_from_amax(float_from_bits(largest), kind)
                                : float_from_bits(0x7fc00000);
}

/* The value of the code of each element, without the scale. */
static void round_group(const float *restrict x, size_t count, float scale, float *restrict to)
{
    for (size_t k = 0; k < count; k++) {
        const uint32_t bits = float_bits(x[k]);
        const e4m3_rounded r = e4m3_round(float_from_bits(bits & 0x7fffffff) / scale);
        to[k] = float_from_bits(float_bits(r.value) | (bits & 0x80000000));
    }
}

/* Quantize and pack one group of each token: p covers at most TILE columns. */
static void pack_group(const pack_place *p, scale_format kind, float *scales)
{
    float rounded[WIDTH][TILE];
    pack_place group = *p;
    group.from = rounded[0];
    group.stride = TILE;
    memset(scales, 0, p->width * sizeof *scales);
    for (size_t l = 0; l < p->tokens; l++) {
        const float *from = p->from + l * p->stride;
        scales[l] = group_scale(from, p->cols, kind);
        round_group(from, p->cols, scales[l], rounded[l]);
    }
    pack_tokens(&group);
}

static size_t panel_width(const matmul_job *job, size_t panel)
{
    return matmul_panel_width(job->x.rows - panel * WIDTH, WIDTH);
}

static void pack(const matmul_job *job, size_t panel, size_t slice)
{
    const mat *const x = &job->x;
    const size_t token = panel * WIDTH;
    const size_t col = slice * MATMUL_SLICE;
    const size_t end = num_min(x->cols, col + MATMUL_SLICE);
    const size_t width = panel_width(job, panel);
    pack_place p = {.from = x->data + token * x->stride + col,
                    .stride = x->stride,
                    .tokens = num_min(x->rows - token, width),
                    .width = width,
                    .cols = end - col,
                    .to = job->panels + token * x->cols + col * width};
    if (!job->fp8) {
        pack_tokens(&p);
        return;
    }
    const scale_format kind = job->w->block.scale;
    float *scales = job->scales + token * num_ceil_div(x->cols, TILE) + col / TILE * width;
    for (size_t k = col; k < end; k += TILE) {
        p.cols = num_min(TILE, end - k);
        pack_group(&p, kind, scales);
        p.from += TILE;
        p.to += TILE * width;
        scales += width;
    }
}

/* ---- widen ----------------------------------------------------- */

static void widen_bf16(const uint16_t *restrict from, size_t count, float *restrict to)
{
    for (size_t k = 0; k < count; k++) {
        to[k] = bf16_widen(from[k]);
    }
}

static void widen_f16(const uint16_t *restrict from, size_t count, float *restrict to)
{
    for (size_t k = 0; k < count; k++) {
        to[k] = f16_widen(from[k]);
    }
}

static void widen_codes(const uint8_t *restrict from, size_t count, float scale, float *restrict to)
{
    for (size_t k = 0; k < count; k++) {
        to[k] = e4m3_decode(from[k]) * scale;
    }
}

static float tile_scale(const weight *w, size_t row, size_t col)
{
    return w->scales[row / TILE * num_ceil_div(w->cols, TILE) + col / TILE];
}

/* Multiplying by 1 is exact: with FP8 activations, scales are applied later. */
static void widen_tiles(const matmul_job *job, size_t row, size_t col, size_t count, float *to)
{
    const weight *const w = job->w;
    const uint8_t *const from = (const uint8_t *)w->data + row * w->cols + col;
    for (size_t k = 0; k < count; k += TILE) {
        const float scale = job->fp8 ? 1 : tile_scale(w, row, col + k);
        widen_codes(from + k, num_min(TILE, count - k), scale, to + k);
    }
}

static void widen_row(const matmul_job *job, size_t row, size_t col, size_t count, float *to)
{
    const weight *const w = job->w;
    const size_t first = row * w->cols + col;
    switch (w->type) {
    case DTYPE_F8_E4M3:
        widen_tiles(job, row, col, count, to);
        break;
    case DTYPE_BF16:
        widen_bf16((const uint16_t *)w->data + first, count, to);
        break;
    case DTYPE_F16:
        widen_f16((const uint16_t *)w->data + first, count, to);
        break;
    default:
        memcpy(to, (const float *)w->data + first, count * sizeof *to);
        break;
    }
}

/* ---- multiply -------------------------------------------------- */

/* Columns of a slice, for all rows and panels of a block. */
typedef struct slice {
    const matmul_job *job;
    const matmul_block *block;
    size_t col, cols;
    size_t rows;       /* of the block, rounded up to micro-tiles */
    const float *wide; /* [rows][MATMUL_SLICE] */
    float *sums;       /* [rows][pitch] */
    size_t pitch;
} slice;

/* One micro-tile: its rows of wide and of sums, its columns of a panel. */
typedef struct tile {
    size_t cols;
    const float *w, *x;
    float *sums;
    size_t pitch;
} tile;

/* a[i][l] = the chain of fma(w[i][k], x[k][l], a[i][l]), k ascending. */
INLINED void tile_chains(const tile *t, float (*a)[WIDTH], const unsigned width)
{
    const float *restrict x = t->x;
    const float *restrict w = t->w;
    const size_t cols = t->cols;
    for (size_t k = 0; k < cols; k++) {
#pragma GCC unroll 16
        for (size_t i = 0; i < ROWS; i++) {
            const float factor = w[i * MATMUL_SLICE + k];
#pragma GCC unroll 1
            for (size_t l = 0; l < width; l++) {
                a[i][l] = fmaf(factor, x[k * width + l], a[i][l]);
            }
        }
    }
}

INLINED void tile_multiply(const tile *t, bool first, const unsigned width)
{
    float a[ROWS][WIDTH];
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t l = 0; l < width; l++) {
            a[i][l] = first ? 0 : t->sums[i * t->pitch + l];
        }
    }
    tile_chains(t, a, width);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t l = 0; l < width; l++) {
            t->sums[i * t->pitch + l] = a[i][l];
        }
    }
}

/* One group: a separate chain, which is multiplied by the scales of both sides and added to the
 * sums. */
INLINED void tile_multiply_group(const tile *t, bool first, const float *restrict row_scales,
                                 const float *restrict scales, const unsigned width)
{
    float a[ROWS][WIDTH];
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t l = 0; l < width; l++) {
            a[i][l] = 0;
        }
    }
    tile_chains(t, a, width);
    for (size_t i = 0; i < ROWS; i++) {
        float *restrict sums = t->sums + i * t->pitch;
        for (size_t l = 0; l < width; l++) {
            sums[l] = fmaf(a[i][l], scales[l] * row_scales[i], first ? 0 : sums[l]);
        }
    }
}

/* All micro-tiles of a panel; `sums` begins at its first token. */
INLINED void panel_multiply(const slice *s, const float *x, float *sums, const unsigned width)
{
    for (size_t i = 0; i < s->rows; i += ROWS) {
        const tile t = {.cols = s->cols,
                        .w = s->wide + i * MATMUL_SLICE,
                        .x = x,
                        .sums = sums + i * s->pitch,
                        .pitch = s->pitch};
        tile_multiply(&t, s->col == 0, width);
    }
}

/* The scales of the rows of a block for the group at `col`; 0 for padding. */
static void find_row_scales(const slice *s, size_t col, float *to)
{
    for (size_t i = 0; i < s->rows; i++) {
        to[i] = i < s->block->rows ? tile_scale(s->job->w, s->block->row + i, col) : 0;
    }
}

/* The same with FP8 activations, group by group; `scales`: of the panel, for the slice. */
INLINED void panel_multiply_groups(const slice *s, const float *x, const float *scales, float *sums,
                                   const unsigned width)
{
    float row_scales[MATMUL_ROWS + ROWS];
    for (size_t k = 0; k < s->cols; k += TILE) {
        find_row_scales(s, s->col + k, row_scales);
        for (size_t i = 0; i < s->rows; i += ROWS) {
            const tile t = {.cols = num_min(TILE, s->cols - k),
                            .w = s->wide + i * MATMUL_SLICE + k,
                            .x = x + k * width,
                            .sums = sums + i * s->pitch,
                            .pitch = s->pitch};
            tile_multiply_group(&t, s->col + k == 0, row_scales + i, scales + k / TILE * width,
                                width);
        }
    }
}

INLINED void panel_do(const slice *s, size_t panel, const unsigned width)
{
    const matmul_job *const job = s->job;
    const size_t token = panel * WIDTH;
    const float *const x = job->panels + token * job->x.cols + s->col * width;
    float *const sums = s->sums + (panel - s->block->panel) * WIDTH;
    if (job->fp8) {
        const size_t groups = num_ceil_div(job->x.cols, TILE);
        const float *const scales = job->scales + token * groups + s->col / TILE * width;
        panel_multiply_groups(s, x, scales, sums, width);
    } else {
        panel_multiply(s, x, sums, width);
    }
}

/* One function for each width, so that the width is a constant. */
static void panel_do_8(const slice *s, size_t panel)
{
    panel_do(s, panel, 8);
}

static void panel_do_16(const slice *s, size_t panel)
{
    panel_do(s, panel, 16);
}

#if WIDTH_LIMIT > 16
static void panel_do_32(const slice *s, size_t panel)
{
    panel_do(s, panel, 32);
}
#endif

static void slice_do(const slice *s)
{
    for (size_t p = s->block->panel; p < s->block->panel + s->block->panels; p++) {
        switch (panel_width(s->job, p)) {
        case 8:
            panel_do_8(s, p);
            break;
        case 16:
            panel_do_16(s, p);
            break;
#if WIDTH_LIMIT > 16
        default:
            panel_do_32(s, p);
            break;
#endif
        }
    }
}

/* In the sums, a column is a token; in y, a row is. */
static void write_out(const matmul_job *job, const matmul_block *b, const float *sums, size_t pitch)
{
    const size_t first = b->panel * WIDTH;
    const size_t tokens = num_min(job->y.rows - first, b->panels * WIDTH);
    transpose(sums, pitch, b->rows, tokens, job->y.data + first * job->y.stride + b->row,
              job->y.stride);
}

static void multiply(const matmul_job *job, const matmul_block *b, float *work)
{
    const size_t cols = job->x.cols;
    const size_t tokens = num_min(job->x.rows - b->panel * WIDTH, b->panels * WIDTH);
    slice s = {.job = job,
               .block = b,
               .rows = num_ceil_div(b->rows, ROWS) * ROWS,
               .wide = work,
               .pitch = matmul_padded(tokens, WIDTH)};
    s.sums = work + s.rows * MATMUL_SLICE;
    for (s.col = 0; s.col < cols; s.col += MATMUL_SLICE) {
        s.cols = num_min(MATMUL_SLICE, cols - s.col);
        for (size_t i = 0; i < s.rows; i++) {
            float *const to = work + i * MATMUL_SLICE;
            if (i < b->rows) {
                widen_row(job, b->row + i, s.col, s.cols, to);
            } else {
                memset(to, 0, s.cols * sizeof *to);
            }
        }
        slice_do(&s);
    }
    write_out(job, b, s.sums, s.pitch);
}

const matmul_kernel LEVELLED(matmul_kernel) = {LEVEL_NAME, ROWS, WIDTH, pack, multiply};
