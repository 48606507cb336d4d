/* Every loop here is written so that the compiler vectorizes it (gcc 12 or later): one element
 * width, a fixed number of columns, no branches. Floats are added across rows only, never across
 * columns, so vectors of any width keep the order of spec/quant.md section 5. A tile takes three
 * passes: widen it into the scratch and find amax there; encode it in groups of eight rows, with
 * sums by column; fold the sums. The scratch also helps the caches: the rows of a tile lie far
 * apart in memory, and if the number of columns is a power of two they compete for few cache sets.
 */
#include "quant/engine/tile_kernel.h"

#include <stddef.h>
#include <string.h>

#include "format/base/num.h"
#include "quant/engine/tile_rule.h"
#include "format/tensor/e4m3.h"
#include "format/tensor/widen.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "source tensors are little-endian and are read as they are"
#endif

/* Lane l of section 5 consists of the rows l, l+32, l+64 and l+96; two adjacent lanes are a group. */
enum { LANE_STEP = 32, LANE_ROWS = TILE / LANE_STEP, GROUP_LANES = TILE_GROUP / LANE_ROWS };

/* Where a tile lies in its matrix. */
typedef struct tile_place {
    const unsigned char *from; /* first element */
    size_t pitch, row_bytes;   /* bytes from row to row; bytes of the tile in each */
    size_t code_off;           /* of the first code */
    unsigned rows, cols;
} tile_place;

static tile_place tile_find(const engine_job *job, const unsigned char *in, uint64_t index)
{
    const size_t element = dtype_bits(job->source) / 8;
    const uint64_t across = num_ceil_div(job->cols, TILE);
    const uint64_t row = index / across * TILE;
    const uint64_t col = index % across * TILE;
    const size_t first = row * job->cols + col;
    const unsigned rows = (unsigned)num_min(job->rows - row, TILE);
    const unsigned cols = (unsigned)num_min(job->cols - col, TILE);
    return (tile_place){.from = in + job->in_off + first * element,
                        .pitch = job->cols * element,
                        .row_bytes = cols * element,
                        .code_off = job->out_off + first,
                        .rows = rows,
                        .cols = cols};
}

/* ---- first pass: widen, amax, zeros ---------------------------- */

typedef float (*load_fn)(const unsigned char *from);

static inline float load_bf16(const unsigned char *from)
{
    uint16_t h;
    memcpy(&h, from, sizeof h);
    return bf16_widen(h);
}

static inline float load_f16(const unsigned char *from)
{
    uint16_t h;
    memcpy(&h, from, sizeof h);
    return f16_widen(h);
}

static inline float load_f32(const unsigned char *from)
{
    float f;
    memcpy(&f, from, sizeof f);
    return f;
}

/* Inlined with a constant `load`, and with a constant `cols` if it is TILE, so that the calls become
 * vector instructions. */
static inline __attribute__((always_inline)) void widen_rows(float (*restrict x)[TILE],
                                                             const tile_place *t, unsigned first,
                                                             unsigned end, unsigned cols,
                                                             load_fn load, size_t element)
{
    for (unsigned i = first; i < end; i++) {
        const unsigned char *restrict from = t->from + i * t->pitch;
        for (unsigned j = 0; j < cols; j++) {
            x[i][j] = load(from + j * element);
        }
    }
}

static inline __attribute__((always_inline)) void widen_group(float (*restrict x)[TILE],
                                                              const tile_place *t, unsigned first,
                                                              load_fn load, size_t element)
{
    const unsigned end = first + TILE_GROUP < t->rows ? first + TILE_GROUP : t->rows;
    if (t->cols == TILE) {
        widen_rows(x, t, first, end, TILE, load, element);
    } else {
        widen_rows(x, t, first, end, t->cols, load, element);
    }
}

/* Found by the first pass in the bits of magnitudes, which compare like the magnitudes themselves,
 * with infinities and NaNs above all numbers. */
typedef struct tile_scan {
    uint32_t largest;
    uint32_t zeros; /* +0 and -0, those outside a clipped tile included */
} tile_scan;

static void scan_group(const float *restrict x, tile_scan *scan)
{
    uint32_t largest = scan->largest;
    uint32_t zeros = scan->zeros;
    for (unsigned i = 0; i < TILE_GROUP * TILE; i++) {
        const uint32_t magnitude = float_bits(x[i]) & 0x7fffffff;
        largest = magnitude > largest ? magnitude : largest;
        zeros += magnitude == 0;
    }
    scan->largest = largest;
    scan->zeros = zeros;
}

static tile_scan load_tile(float (*restrict x)[TILE], const tile_place *t, dtype source)
{
    tile_scan scan = {0, 0};
    if (t->rows < TILE || t->cols < TILE) {
        memset(x, 0, TILE * sizeof *x);
    }
    for (unsigned first = 0; first < TILE; first += TILE_GROUP) {
        if (source == DTYPE_BF16) {
            widen_group(x, t, first, load_bf16, 2);
        } else if (source == DTYPE_F16) {
            widen_group(x, t, first, load_f16, 2);
        } else {
            widen_group(x, t, first, load_f32, 4);
        }
        scan_group(x[first], &scan);
    }
    return scan;
}

/* An index in the scratch is what tile_stats counts in, and outside a clipped tile there are zeros.
 */
static void find_nonfinite(const float *x, tile_stats *stats)
{
    for (uint32_t i = TILE * TILE; i-- > 0;) {
        if ((float_bits(x[i]) & 0x7f800000) == 0x7f800000) {
            stats->nonfinite++;
            stats->first_nonfinite = i;
        }
    }
}

/* ---- second pass: codes, and sums by column -------------------- */

/* Row k of a group, counted from its first. */
static inline unsigned group_row(unsigned k)
{
    return k / LANE_ROWS + k % LANE_ROWS * LANE_STEP;
}

static inline float lane_sum(const float v[LANE_ROWS])
{
    return ((v[0] + v[1]) + v[2]) + v[3];
}

/* Where the codes and sums of a group go. */
typedef struct group_results {
    uint32_t (*codes)[TILE];
    float *sum_y2, *sum_d2;
} group_results;

/* Encode the rows of a group; x is its first row. Inlined with a constant step and unrolled, the
 * inner loop becomes code without branches for one column, which is then vectorized by column. */
static inline __attribute__((always_inline)) void
encode_group_by(const float *restrict x, float by, tile_step step, const group_results *to)
{
    uint32_t(*restrict codes)[TILE] = to->codes;
    float *restrict sum_y2 = to->sum_y2;
    float *restrict sum_d2 = to->sum_d2;
    for (unsigned j = 0; j < TILE; j++) {
        float y2[TILE_GROUP], d2[TILE_GROUP];
#pragma GCC unroll 8
        for (unsigned k = 0; k < TILE_GROUP; k++) {
            const uint32_t bits = float_bits(x[group_row(k) * TILE + j]);
            const float y = dialect_quotient(float_from_bits(bits & 0x7fffffff), step, by);
            const e4m3_rounded r = e4m3_round(dialect_narrow(y, step));
            const float d = y - r.value;
            codes[k][j] = r.code | (bits >> 24 & 0x80);
            y2[k] = y * y;
            d2[k] = d * d;
        }
        sum_y2[j] = sum_y2[j] + (lane_sum(y2) + lane_sum(y2 + LANE_ROWS));
        sum_d2[j] = sum_d2[j] + (lane_sum(d2) + lane_sum(d2 + LANE_ROWS));
    }
}

/* Each step gets a loop of its own, in which it is constant. */
static void encode_group(const float *x, const tile_rule *rule, const group_results *to)
{
    switch (rule->step) {
    case STEP_DIVIDE:
        encode_group_by(x, rule->by, STEP_DIVIDE, to);
        break;
    case STEP_MULTIPLY:
        encode_group_by(x, rule->by, STEP_MULTIPLY, to);
        break;
    case STEP_DIVIDE_BF16:
        encode_group_by(x, rule->by, STEP_DIVIDE_BF16, to);
        break;
    case STEP_DIVIDE_F16:
        encode_group_by(x, rule->by, STEP_DIVIDE_F16, to);
        break;
    }
}

static void narrow_row(unsigned char *restrict to, const uint32_t *restrict wide)
{
    for (unsigned j = 0; j < TILE; j++) {
        to[j] = (unsigned char)wide[j];
    }
}

/* Counts fit in bytes, because a column has 128 codes. */
static void count_zero_codes(unsigned char *restrict counts, const unsigned char *restrict codes)
{
    for (unsigned j = 0; j < TILE; j++) {
        counts[j] = (unsigned char)(counts[j] + ((codes[j] & 0x7f) == 0));
    }
}

/* The rows of a tile are too far apart for the hardware prefetcher to predict the next tile. */
static void prefetch_group(const tile_place *t, unsigned first)
{
    for (unsigned i = first; i < first + TILE_GROUP && i < t->rows; i++) {
        const unsigned char *from = t->from + i * t->pitch;
        for (size_t b = 0; b < t->row_bytes; b += 64) {
            __builtin_prefetch(from + b, 0, 2);
        }
    }
}

/* Encode the tile in the scratch; the codes of each row begin `pitch` bytes after those of the row
 * above. Meanwhile the tile `next` is prefetched from memory. */
static void encode_tile(tile_scratch *s, const tile_rule *rule, unsigned char *codes, size_t pitch,
                        const tile_place *next)
{
    const group_results results = {s->wide_codes, s->sum_y2, s->sum_d2};
    memset(s->zero_codes, 0, sizeof s->zero_codes);
    memset(s->sum_y2, 0, sizeof s->sum_y2);
    memset(s->sum_d2, 0, sizeof s->sum_d2);
    for (unsigned lane = 0; lane < LANE_STEP; lane += GROUP_LANES) {
        prefetch_group(next, lane * LANE_ROWS);
        encode_group(s->x[lane], rule, &results);
        for (unsigned k = 0; k < TILE_GROUP; k++) {
            unsigned char *to = codes + (lane + group_row(k)) * pitch;
            narrow_row(to, s->wide_codes[k]);
            count_zero_codes(s->zero_codes, to);
        }
    }
}

static void copy_codes(unsigned char *to, size_t pitch, unsigned char (*codes)[TILE],
                       const tile_place *t)
{
    for (unsigned i = 0; i < t->rows; i++) {
        memcpy(to + i * pitch, codes[i], t->cols);
    }
}

/* ---- third pass: fold the columns ------------------------------ */

static float fold_sums(float *column)
{
    for (unsigned w = TILE / 2; w > 0; w /= 2) {
        for (unsigned j = 0; j < w; j++) {
            column[j] = column[j] + column[j + w];
        }
    }
    return column[0];
}

static uint32_t fold_counts(const unsigned char *column)
{
    uint32_t sum = 0;
    for (unsigned j = 0; j < TILE; j++) {
        sum += column[j];
    }
    return sum;
}

static tile_stats summarize(tile_scratch *s, const tile_place *t, tile_scan scan,
                            const tile_rule *rule)
{
    const float amax = float_from_bits(scan.largest);
    const uint32_t clipped = TILE * TILE - t->rows * t->cols;
    tile_stats stats = {.amax = amax,
                        .sum_y2 = fold_sums(s->sum_y2),
                        .sum_d2 = fold_sums(s->sum_d2),
                        .zero = scan.zeros - clipped,
                        .flushed = fold_counts(s->zero_codes) - scan.zeros};
    if (dialect_quotient(amax, rule->step, rule->by) >= E4M3_SATURATED) {
        stats.saturated = stats_count_saturated(s->x[0], TILE * TILE, rule);
    }
    if (scan.largest >= 0x7f800000) {
        find_nonfinite(s->x[0], &stats);
    }
    return stats;
}

static void quantize(const engine_job *job, const unsigned char *in, unsigned char *out,
                     uint64_t first, uint64_t count, tile_scratch *s)
{
    tile_place next = tile_find(job, in, first);
    for (uint64_t i = first; i < first + count; i++) {
        const tile_place t = next;
        next = i + 1 < first + count ? tile_find(job, in, i + 1) : (tile_place){.rows = 0};
        const tile_scan scan = load_tile(s->x, &t, job->source);
        const float amax = float_from_bits(scan.largest);
        const tile_rule rule = dialect_rule(job->dialect, job->block.scale, job->source, amax);
        if (t.rows == TILE && t.cols == TILE) {
            encode_tile(s, &rule, out + t.code_off, job->cols, &next);
        } else {
            encode_tile(s, &rule, s->codes[0], TILE, &next);
            copy_codes(out + t.code_off, job->cols, s->codes, &t);
        }
        job->tile_scales[i] = rule.scale;
        job->stats[i] = summarize(s, &t, scan, &rule);
    }
}

const tile_kernel LEVELLED(tile_kernel) = {LEVEL_NAME, quantize};
