/* The tile kernel at every level of this processor against spec/quant.md, computed one element at a
 * time: codes, scales and statistics, all bits. SEED=N chooses the data. */
#include <check.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/num.h"
#include "quant/engine/tile_kernel.h"
#include "format/tensor/widen.h"
#include "tests/aid/oracle_e4m3.h"
#include "tests/aid/random_elements.h"
#include "verify/rule/code_rule.h"

enum { LARGEST = 300, GUARD = 64, GUARD_BYTE = 0xa5 };

static uint64_t random_state;

static const dtype sources[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
static const uint64_t sides[] = {1,  2,   31,  32,  33,  64,  65,  96,  97,
                                 98, 127, 128, 129, 191, 255, 256, 257, LARGEST};
enum { SOURCES = sizeof sources / sizeof *sources, SIDES = sizeof sides / sizeof *sides };

/* ---- a matrix, and buffers for the results of a kernel --------- */

typedef struct matrix {
    engine_job job;
    unsigned char *in, *out; /* exactly as large as the job says */
    size_t in_bytes, out_bytes;
    uint64_t tiles;
} matrix;

static size_t element_bytes(const matrix *m)
{
    return dtype_bits(m->job.source) / 8;
}

static matrix matrix_new(dtype source, scale_format scales, uint64_t rows, uint64_t cols)
{
    matrix m = {.tiles = num_ceil_div(rows, TILE) * num_ceil_div(cols, TILE)};
    m.job = (engine_job){.source = source, .block = block_fp8(scales), .rows = rows, .cols = cols};
    m.job.in_off = 3 * element_bytes(&m);
    m.job.out_off = 5;
    m.job.tile_scales = calloc(m.tiles, sizeof *m.job.tile_scales);
    m.job.stats = calloc(m.tiles, sizeof *m.job.stats);
    m.in_bytes = m.job.in_off + rows * cols * element_bytes(&m);
    m.out_bytes = m.job.out_off + rows * cols + GUARD;
    m.in = malloc(m.in_bytes);
    m.out = malloc(m.out_bytes);
    ck_assert(m.job.tile_scales && m.job.stats && m.in && m.out);
    memset(m.in, 0, m.in_bytes);
    memset(m.out, GUARD_BYTE, m.out_bytes);
    return m;
}

static void matrix_free(matrix *m)
{
    free(m->job.tile_scales);
    free(m->job.stats);
    free(m->in);
    free(m->out);
}

static void set_bits(matrix *m, uint64_t index, uint32_t bits)
{
    memcpy(m->in + m->job.in_off + index * element_bytes(m), &bits, element_bytes(m));
}

static float element(const matrix *m, uint64_t row, uint64_t col)
{
    const unsigned char *from =
        m->in + m->job.in_off + (row * m->job.cols + col) * element_bytes(m);
    if (m->job.source == DTYPE_F32) {
        return oracle_float(le32_load(from));
    }
    return m->job.source == DTYPE_F16 ? f16_widen(le16_load(from)) : bf16_widen(le16_load(from));
}

static void fill_random(matrix *m)
{
    const random_range r = random_range_any(&random_state, m->job.source);
    for (uint64_t i = 0; i < m->job.rows * m->job.cols; i++) {
        set_bits(m, i, random_finite(&random_state, m->job.source, r));
    }
}

/* ---- the definition -------------------------------------------- */

typedef struct sums {
    float v[TILE][TILE]; /* +0 where the tile is clipped */
} sums;

/* Section 5, word for word. */
static float reference_sum(const sums *s)
{
    float column[TILE];
    for (int j = 0; j < TILE; j++) {
        column[j] = 0;
        for (int h = 0; h < 16; h++) {
            float lane[2];
            for (int l = 2 * h; l <= 2 * h + 1; l++) {
                float sum = s->v[l][j] + s->v[l + 32][j];
                sum = sum + s->v[l + 64][j];
                sum = sum + s->v[l + 96][j];
                lane[l - 2 * h] = sum;
            }
            const float pair = lane[0] + lane[1];
            column[j] = column[j] + pair;
        }
    }
    for (int w = 64; w >= 1; w /= 2) {
        for (int j = 0; j < w; j++) {
            column[j] = column[j] + column[j + w];
        }
    }
    return column[0];
}

/* amax of a tile and its infinities and NaNs. */
static tile_stats reference_scan(const matrix *m, uint64_t row, uint64_t col)
{
    tile_stats t = {0};
    for (uint64_t i = row; i < num_min(row + TILE, m->job.rows); i++) {
        for (uint64_t j = col; j < num_min(col + TILE, m->job.cols); j++) {
            const float x = element(m, i, j);
            if (!isfinite(x) && t.nonfinite++ == 0) {
                t.first_nonfinite = (uint32_t)((i - row) * 128 + (j - col));
            }
            t.amax = fabsf(x) > t.amax ? fabsf(x) : t.amax;
            t.zero += x == 0;
        }
    }
    return t;
}

static void reference_tile(const matrix *m, uint64_t index, unsigned char *out)
{
    static sums y2, d2;
    const uint64_t across = num_ceil_div(m->job.cols, TILE);
    const uint64_t row = index / across * TILE;
    const uint64_t col = index % across * TILE;
    tile_stats t = reference_scan(m, row, col);
    const code_rule rule = code_rule_of(m->job.dialect, m->job.source, m->job.block.scale, t.amax);
    memset(&y2, 0, sizeof y2);
    memset(&d2, 0, sizeof d2);
    for (uint64_t i = row; i < num_min(row + TILE, m->job.rows); i++) {
        for (uint64_t j = col; j < num_min(col + TILE, m->job.cols); j++) {
            const float x = element(m, i, j);
            float y, narrow;
            code_rule_divide(&rule, &x, 1, &y);
            code_rule_narrow(&rule, &y, 1, &narrow);
            const uint8_t magnitude = oracle_encode(narrow);
            const uint8_t code = (uint8_t)(magnitude | (signbit(x) ? 0x80 : 0));
            const float d = y - oracle_decode(magnitude);
            out[m->job.out_off + i * m->job.cols + j] = code;
            y2.v[i - row][j - col] = y * y;
            d2.v[i - row][j - col] = d * d;
            t.saturated += y >= 464;
            t.flushed += x != 0 && (code & 0x7f) == 0;
        }
    }
    t.sum_y2 = reference_sum(&y2);
    t.sum_d2 = reference_sum(&d2);
    m->job.tile_scales[index] = rule.scale;
    m->job.stats[index] = t;
}

/* The same matrix with the results of the definition; shares `in`. */
static matrix reference_new(const matrix *m)
{
    matrix r = *m;
    r.in = NULL;
    r.out = malloc(m->out_bytes);
    r.job.tile_scales = calloc(m->tiles, sizeof *r.job.tile_scales);
    r.job.stats = calloc(m->tiles, sizeof *r.job.stats);
    ck_assert(r.out && r.job.tile_scales && r.job.stats);
    memset(r.out, GUARD_BYTE, r.out_bytes);
    matrix whole = r;
    whole.in = m->in;
    for (uint64_t i = 0; i < m->tiles; i++) {
        reference_tile(&whole, i, r.out);
    }
    return r;
}

/* ---- comparison ------------------------------------------------ */

static void check_stats(const char *what, uint64_t tile, const tile_stats *t, const tile_stats *r)
{
    if (r->nonfinite) {
        ck_assert_msg(t->nonfinite == r->nonfinite && t->first_nonfinite == r->first_nonfinite,
                      "%s tile %zu: %u nonfinite from %u, expected %u from %u", what, (size_t)tile,
                      t->nonfinite, t->first_nonfinite, r->nonfinite, r->first_nonfinite);
        return;
    }
    ck_assert_msg(memcmp(t, r, sizeof *t) == 0,
                  "%s tile %zu: amax %a, A %a, B %a, saturated %u, zero %u, flushed %u, nonfinite "
                  "%u; expected %a %a %a %u %u %u",
                  what, (size_t)tile, (double)t->amax, (double)t->sum_y2, (double)t->sum_d2,
                  t->saturated, t->zero, t->flushed, t->nonfinite, (double)r->amax,
                  (double)r->sum_y2, (double)r->sum_d2, r->saturated, r->zero, r->flushed);
}

static void check_codes(const char *what, const matrix *m, const matrix *r)
{
    for (size_t i = 0; i < m->out_bytes; i++) {
        if (m->out[i] != r->out[i]) {
            ck_abort_msg("%s: byte %zu of the output: 0x%02x, expected 0x%02x", what, i, m->out[i],
                         r->out[i]);
        }
    }
}

/* Run a level in portions of `portion` tiles, and compare with the definition. */
static void check_level(cpu_level level, matrix *m, const matrix *r, uint64_t portion)
{
    char what[128];
    snprintf(what, sizeof what, "%s %s [%u, %u] %s scales %d portions %u", cpu_level_name(level),
             dtype_name(m->job.source), (unsigned)m->job.rows, (unsigned)m->job.cols,
             dialect_name(m->job.dialect), (int)m->job.block.scale, (unsigned)portion);
    tile_scratch *scratch = aligned_alloc(64, sizeof *scratch);
    ck_assert_ptr_nonnull(scratch);
    memset(scratch, 0xff, sizeof *scratch);
    memset(m->out, GUARD_BYTE, m->out_bytes);
    memset(m->job.stats, 0xff, m->tiles * sizeof *m->job.stats);
    memset(m->job.tile_scales, 0xff, m->tiles * sizeof *m->job.tile_scales);
    for (uint64_t first = 0; first < m->tiles; first += portion) {
        const uint64_t count = num_min(portion, m->tiles - first);
        tile_kernel_at(level)->quantize(&m->job, m->in, m->out, first, count, scratch);
    }
    free(scratch);
    bool finite = true;
    for (uint64_t i = 0; i < m->tiles; i++) {
        check_stats(what, i, &m->job.stats[i], &r->job.stats[i]);
        finite = finite && r->job.stats[i].nonfinite == 0;
    }
    if (finite) {
        ck_assert_msg(memcmp(m->job.tile_scales, r->job.tile_scales,
                             m->tiles * sizeof *m->job.tile_scales) == 0,
                      "%s: scales", what);
        check_codes(what, m, r);
    }
}

static void check_all_levels(matrix *m)
{
    matrix r = reference_new(m);
    for (cpu_level level = CPU_BASELINE; level < CPU_LEVELS; level++) {
        if (cpu_level_available(level)) {
            check_level(level, m, &r, m->tiles);
            check_level(level, m, &r, 1 + random_below(&random_state, (uint32_t)m->tiles));
        }
    }
    matrix_free(&r);
}

/* ---- tests ----------------------------------------------------- */

static void seed_random(void)
{
    const char *text = getenv("SEED");
    const uint64_t seed = text ? strtoull(text, NULL, 10) : 20240607;
    printf("SEED=%llu\n", (unsigned long long)seed);
    random_state = seed * 2 + 1;
}

START_TEST(ragged_shapes)
{
    const dtype source = sources[_i];
    for (int i = 0; i < SIDES; i++) {
        for (int j = 0; j < SIDES; j++) {
            matrix m =
                matrix_new(source, (i + j) % 2 ? SCALES_UE8M0 : SCALES_F32, sides[i], sides[j]);
            fill_random(&m);
            check_all_levels(&m);
            matrix_free(&m);
        }
    }
}
END_TEST

START_TEST(random_shapes)
{
    const dtype source = sources[_i];
    for (int i = 0; i < 60; i++) {
        matrix m = matrix_new(source, i % 2 ? SCALES_UE8M0 : SCALES_F32,
                              1 + random_below(&random_state, LARGEST),
                              1 + random_below(&random_state, LARGEST));
        fill_random(&m);
        check_all_levels(&m);
        matrix_free(&m);
    }
}
END_TEST

/* Tiles that hold one magnitude, from zero to the largest: -0, the floor of the scale, flushing. */
START_TEST(uniform_tiles)
{
    const dtype source = sources[_i];
    const float_layout l = float_layout_of(source);
    const uint32_t largest = (((1u << l.exponent_bits) - 1) << l.mantissa_bits) - 1;
    const uint32_t sign = 1u << (l.exponent_bits + l.mantissa_bits);
    const uint32_t values[] = {0, 1, 224, 225, 1u << l.mantissa_bits, largest / 2, largest};
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        matrix m = matrix_new(source, v % 2 ? SCALES_UE8M0 : SCALES_F32, 129, 130);
        for (uint64_t i = 0; i < 129 * 130; i++) {
            set_bits(&m, i, values[v] | (i % 3 ? sign : 0));
        }
        set_bits(&m, 77, 1); /* the least magnitude next to it */
        check_all_levels(&m);
        matrix_free(&m);
    }
}
END_TEST

/* Every dialect, with elements of all magnitudes: below floors, and where scales are subnormal. */
START_TEST(dialects)
{
    for (int i = 0; i < 3 * SOURCES * 2 * SIDES; i++) {
        const scale_format scales = i / SOURCES % 2 ? SCALES_UE8M0 : SCALES_F32;
        matrix m = matrix_new(sources[i % SOURCES], scales, sides[i % SIDES], sides[i / 7 % SIDES]);
        m.job.dialect = (pack_dialect)_i;
        if (!dialect_lacks(m.job.dialect, m.job.source, scales)) {
            fill_random(&m);
            check_all_levels(&m);
        }
        matrix_free(&m);
    }
}
END_TEST

/* A scale that is too coarse: quotients are limited, and counted. */
START_TEST(saturation)
{
    matrix m = matrix_new(DTYPE_F16, SCALES_F32, 1, 4);
    m.job.dialect = DIALECT_COMPRESSED_TENSORS;
    set_bits(&m, 0, 671); /* times 2^-24, which becomes the scale */
    set_bits(&m, 1, 0x8000 | 464);
    set_bits(&m, 2, 463);
    check_all_levels(&m);
    static const unsigned char codes[] = {0x7e, 0xfe, 0x7e, 0x00};
    ck_assert_mem_eq(m.out + m.job.out_off, codes, sizeof codes);
    ck_assert_float_eq(m.job.tile_scales[0], 0x1p-24f);
    ck_assert_uint_eq(m.job.stats[0].saturated, 2);
    ck_assert_uint_eq(m.job.stats[0].flushed, 0);
    matrix_free(&m);
}
END_TEST

START_TEST(negative_zero_and_flush)
{
    matrix m = matrix_new(DTYPE_F32, SCALES_F32, 1, 6);
    const float x[] = {448, -0.0f, 0.0f, -0x1p-11f, 0x1p-11f, -0x1p-9f};
    for (uint64_t i = 0; i < 6; i++) {
        set_bits(&m, i, oracle_bits(x[i]));
    }
    check_all_levels(&m);
    static const unsigned char codes[] = {0x7e, 0x80, 0x00, 0x80, 0x00, 0x81};
    ck_assert_mem_eq(m.out + m.job.out_off, codes, sizeof codes);
    ck_assert_uint_eq(m.job.stats[0].zero, 2);
    ck_assert_uint_eq(m.job.stats[0].flushed, 2);
    ck_assert_uint_eq(m.job.stats[0].saturated, 0);
    matrix_free(&m);
}
END_TEST

/* Infinities and NaNs at random places: number and first of each tile. */
START_TEST(nonfinite)
{
    const dtype source = sources[_i];
    const float_layout l = float_layout_of(source);
    const uint32_t infinity = ((1u << l.exponent_bits) - 1) << l.mantissa_bits;
    const uint32_t sign = 1u << (l.exponent_bits + l.mantissa_bits);
    for (int i = 0; i < 40; i++) {
        const uint64_t rows = 1 + random_below(&random_state, LARGEST);
        const uint64_t cols = 1 + random_below(&random_state, LARGEST);
        matrix m = matrix_new(source, SCALES_F32, rows, cols);
        fill_random(&m);
        for (uint32_t k = random_below(&random_state, 9) + 1; k > 0; k--) {
            const uint32_t payload = k % 2 ? random_below(&random_state, 1u << l.mantissa_bits) : 0;
            const uint32_t bits = infinity | payload | (random_below(&random_state, 2) ? sign : 0);
            set_bits(&m, random_below(&random_state, (uint32_t)(rows * cols)), bits);
        }
        check_all_levels(&m);
        matrix_free(&m);
    }
    matrix last = matrix_new(source, SCALES_F32, TILE, TILE);
    set_bits(&last, TILE * TILE - 1, infinity | 1);
    check_all_levels(&last);
    ck_assert_uint_eq(last.job.stats[0].first_nonfinite, TILE * TILE - 1);
    matrix_free(&last);
}
END_TEST

int main(void)
{
    seed_random();
    Suite *suite = suite_create("tile_kernel");
    TCase *tests = tcase_create("against the definition");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, ragged_shapes, 0, SOURCES);
    tcase_add_loop_test(tests, random_shapes, 0, SOURCES);
    tcase_add_loop_test(tests, uniform_tiles, 0, SOURCES);
    tcase_add_loop_test(tests, dialects, DIALECT_IEEE, DIALECT_COUNT);
    tcase_add_test(tests, saturation);
    tcase_add_test(tests, negative_zero_and_flush);
    tcase_add_loop_test(tests, nonfinite, 0, SOURCES);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
