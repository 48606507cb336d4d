/* The weight check's arithmetic against exact oracles. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/pack/pack_table.h"
#include "format/tensor/widen.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"
#include "tests/aid/random_elements.h"
#include "verify/rule/code_check.h"
#include "verify/rule/code_rule.h"

static code_rules rules;

static void setup(void)
{
    err e = {0};
    expect_ok(code_rules_create(&rules, &e), &e);
}

static void teardown(void)
{
    code_rules_free(&rules);
}

/* Check one row of floats that begins with 448: its scale must be 1, so all elements are
 * quotients. */
static tile_verdict check_floats(const float *x, const unsigned char *codes, unsigned cols)
{
    tile_verdict v;
    const tile_view t = {.source = (const unsigned char *)x,
                         .codes = codes,
                         .type = DTYPE_F32,
                         .pitch = cols,
                         .rows = 1,
                         .cols = cols,
                         .scale = 1};
    tile_check(&rules, &t, &v);
    ck_assert_float_eq(v.scale, 1);
    ck_assert(v.scale_right);
    return v;
}

/* In a tile with 448, whose scale is 1, the code of y is `right`. */
static void expect_defined(float y, uint8_t right)
{
    const float x[2] = {448, y};
    unsigned char codes[2];
    float scale = 0;
    const tile_view t = {
        .source = (const unsigned char *)x, .type = DTYPE_F32, .pitch = 2, .rows = 1, .cols = 2};
    tile_define(&rules, &t, t.rows, codes, t.pitch, &scale);
    ck_assert_float_eq(scale, 1);
    ck_assert_uint_eq(codes[0], ORACLE_LARGEST);
    ck_assert_uint_eq(codes[1], right);
}

/* For this quotient all codes except one are wrong: it is checked against each half of the
 * codes. */
static void try_quotient(float y)
{
    float x[BLOCK_MAX_COLS] = {448};
    unsigned char codes[BLOCK_MAX_COLS] = {ORACLE_LARGEST};
    const uint8_t right = oracle_encode(y);
    expect_defined(y, right);
    for (unsigned sign = 0; sign <= 0x80; sign += 0x80) {
        for (unsigned j = 1; j < BLOCK_MAX_COLS; j++) {
            x[j] = y;
            codes[j] = (unsigned char)(sign | j);
        }
        const bool has_right = (right & 0x80) == sign && (right & 0x7f) != 0;
        const tile_verdict v = check_floats(x, codes, BLOCK_MAX_COLS);
        ck_assert_msg(v.wrong_codes == BLOCK_MAX_COLS - 1U - has_right,
                      "quotient %a, right code %02x, sign %u: %u wrong", (double)y, right, sign,
                      v.wrong_codes);
        ck_assert_uint_eq(v.wrong_col, has_right && (right & 0x7f) == 1 ? 2 : 1);
        x[1] = y; /* code 0 is missing above */
        codes[1] = (unsigned char)sign;
        ck_assert_uint_eq(check_floats(x, codes, 2).wrong_codes, right != sign);
    }
}

START_TEST(quotients_around_every_boundary)
{
    for (int c = 0; c <= ORACLE_LARGEST; c++) {
        const float value = ldexpf((float)oracle_units(c), -10);
        const float middle = ldexpf((float)oracle_midpoint(c), -10);
        const float near[] = {value,  nextafterf(value, INFINITY),  nextafterf(value, -INFINITY),
                              middle, nextafterf(middle, INFINITY), nextafterf(middle, -INFINITY)};
        for (int i = 0; i < COUNT(near); i++) {
            if (fabsf(near[i]) <= 448) {
                try_quotient(near[i]);
                try_quotient(-near[i]);
            }
        }
    }
    try_quotient(FLT_TRUE_MIN);
    try_quotient(-0.0f);
}
END_TEST

/* Floats that agree in the upper twelve bits of their magnitude share an entry of a table. Rounding
 * is monotonic: if the second and the last of them have the same code, so have all between them. */
START_TEST(definitions_by_upper_bits)
{
    for (uint32_t i = 0; i < 1 << 12; i++) {
        const uint32_t bits = i << 19;
        for (unsigned k = 0; k < 3; k++) {
            const float y = oracle_float(bits + (k == 2 ? (1 << 19) - 1 : k));
            if (y <= 448) {
                expect_defined(y, oracle_encode(y));
                expect_defined(-y, oracle_encode(-y));
            }
        }
        const float last = oracle_float(bits + (1 << 19) - 1);
        ck_assert(!(last <= 448) || oracle_encode(oracle_float(bits + 1)) == oracle_encode(last));
    }
}
END_TEST

START_TEST(random_quotients)
{
    uint64_t state = 20;
    for (int i = 0; i < 20000; i++) {
        const uint64_t r = oracle_random(&state);
        const float y = oracle_float((uint32_t)(r >> 32));
        try_quotient(fabsf(y) <= 448 ? y : ldexpf((float)(r >> 40), -16));
    }
}
END_TEST

static float scale_of(float amax, scale_format scales)
{
    return code_rule_of(DIALECT_IEEE, DTYPE_F32, scales, amax).scale;
}

START_TEST(scales)
{
    const float edges[] = {0,
                           FLT_TRUE_MIN,
                           225 * FLT_TRUE_MIN,
                           224 * FLT_TRUE_MIN,
                           0x1p-126f,
                           0x1p-118f,
                           448 * 0x1p-126f,
                           FLT_MAX,
                           1,
                           1.75f,
                           448,
                           0x1.000002p0f,
                           0x1.8p-133f};
    for (int i = 0; i < COUNT(edges); i++) {
        ck_assert_float_eq(scale_of(edges[i], SCALES_F32), oracle_scale(edges[i], 0));
        ck_assert_float_eq(scale_of(edges[i], SCALES_UE8M0), oracle_scale(edges[i], 1));
    }
    uint64_t state = 30;
    for (int i = 0; i < 1000000; i++) {
        const float amax = oracle_float((uint32_t)(oracle_random(&state) >> 33));
        if (isfinite(amax)) {
            const float scale = scale_of(amax, SCALES_F32);
            ck_assert_float_eq(scale, oracle_scale(amax, 0));
            ck_assert_float_eq(scale, fmaxf(amax / 448.0f, amax == 0 ? 1 : 0x1p-126f));
            ck_assert_float_eq(scale_of(amax, SCALES_UE8M0), oracle_scale(amax, 1));
        }
    }
}
END_TEST

/* Of all dialects, types and forms of scales: what is defined is found to be right, and nothing
 * outside a clipped tile is written. */
START_TEST(definitions_are_right)
{
    enum { PITCH = BLOCK_MAX_COLS + 3 };
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    static unsigned char source[BLOCK_MAX_ROWS * PITCH * sizeof(float)];
    static unsigned char codes[BLOCK_MAX_ROWS * PITCH];
    uint64_t state = 40 + (uint64_t)_i;
    for (int i = 0; i < 3 * 2 * 8; i++) {
        tile_view t = {.source = source,
                       .codes = codes,
                       .type = types[i % 3],
                       .pitch = PITCH,
                       .rows = i % 4 ? 128 : 5,
                       .cols = i % 8 < 4 ? 128 : 7,
                       .scales = i / 3 % 2 ? SCALES_UE8M0 : SCALES_F32,
                       .dialect = (pack_dialect)_i};
        tile_verdict v;
        if (dialect_lacks(t.dialect, t.type, t.scales)) {
            continue;
        }
        const random_range range = random_range_any(&state, t.type);
        const size_t each = dtype_bits(t.type) / 8;
        for (size_t k = 0; k < BLOCK_MAX_ROWS * PITCH; k++) {
            const uint32_t bits = random_finite(&state, t.type, range); /* little-endian */
            memcpy(source + k * each, &bits, each);
        }
        memset(codes, 0xaa, sizeof codes);
        tile_define(&rules, &t, t.rows, codes, t.pitch, &t.scale);
        tile_check(&rules, &t, &v);
        ck_assert(v.scale_right);
        ck_assert_uint_eq(v.wrong_codes, 0);
        ck_assert_uint_eq(codes[t.cols], 0xaa);
    }
}
END_TEST

/* All numbers in BF16 that a tile of this amax can have: what is defined is found to be right. */
static void define_below(pack_dialect d, scale_format form, uint16_t amax)
{
    static uint16_t source[BLOCK_MAX_ROWS * BLOCK_MAX_COLS];
    static unsigned char codes[BLOCK_MAX_ROWS * BLOCK_MAX_COLS];
    enum { EACH = BLOCK_MAX_ROWS * BLOCK_MAX_COLS };
    for (uint32_t first = 0; first <= amax; first += EACH / 2) {
        for (uint32_t k = 0; k < EACH; k++) {
            const uint32_t magnitude = first + k / 2;
            source[k] = (uint16_t)((magnitude < amax ? magnitude : amax) | k % 2 << 15);
        }
        source[0] = amax;
        tile_view t = {.source = (const unsigned char *)source,
                       .codes = codes,
                       .type = DTYPE_BF16,
                       .pitch = BLOCK_MAX_COLS,
                       .rows = BLOCK_MAX_ROWS,
                       .cols = BLOCK_MAX_COLS,
                       .scales = form,
                       .dialect = d};
        tile_verdict v;
        tile_define(&rules, &t, t.rows, codes, t.pitch, &t.scale);
        tile_check(&rules, &t, &v);
        ck_assert(v.scale_right);
        ck_assert_msg(v.wrong_codes == 0, "%s, amax %04x, element %u, %u", dialect_name(d), amax,
                      v.wrong_row, v.wrong_col);
    }
}

/* Around the floors of scales, powers of two and 1.75 times these, and the ends; and at random. */
START_TEST(definitions_of_all_numbers)
{
    static const uint16_t edges[] = {0,      1,      2,      0x7f,   0x80,   0x81,   0x0460,
                                     0x04df, 0x04e0, 0x04e1, 0x38d1, 0x38d2, 0x3f7f, 0x3f80,
                                     0x3f81, 0x3fdf, 0x3fe0, 0x3fe1, 0x43e0, 0x7f00, 0x7f7f};
    uint64_t state = 50 + (uint64_t)_i;
    for (int form = 0; form < SCALE_FORMAT_COUNT; form++) {
        for (int i = 0; i < 2 * COUNT(edges); i += SANITIZED ? 8 : 1) {
            const uint16_t amax =
                i < COUNT(edges) ? edges[i] : (uint16_t)(oracle_random(&state) % 0x7f80);
            if (!dialect_lacks((pack_dialect)_i, DTYPE_BF16, (scale_format)form)) {
                define_below((pack_dialect)_i, (scale_format)form, amax);
            }
        }
    }
}
END_TEST

/* A NaN has no code but NaN, whatever its sign and bits; what shares a tile with an infinity has no
 * value. */
START_TEST(definitions_of_what_is_not_finite)
{
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16, DTYPE_F32};
    static const uint32_t infinities[] = {0x7f80, 0x7c00, 0x7f800000};
    for (int i = 0; i < COUNT(types) * 4; i++) {
        const dtype type = types[i / 4];
        const size_t each = dtype_bits(type) / 8;
        const uint32_t sign = i & 1 ? (uint32_t)1 << (dtype_bits(type) - 1) : 0;
        const uint32_t bits = infinities[i / 4] | sign | (i & 2 ? 1 : 0);
        unsigned char x[3 * sizeof bits] = {0};
        unsigned char codes[3];
        float scale = 0;
        memcpy(x + each, &bits, each);
        const tile_view t = {.source = x,
                             .type = type,
                             .rows = 1,
                             .cols = 3,
                             .pitch = 3,
                             .dialect = (pack_dialect)_i};
        tile_define(&rules, &t, 1, codes, 3, &scale);
        ck_assert(!isfinite(rules.value[codes[1]] * scale));
        ck_assert_int_eq(isfinite(rules.value[codes[0]] * scale) != 0, (i & 2) != 0);
    }
}
END_TEST

START_TEST(half_precision_numbers)
{
    for (unsigned h = 0; h < 65536; h++) {
        const float expected = f16_widen((uint16_t)h);
        if (isnan(expected)) {
            ck_assert(isnan(rules.f16[h]));
        } else {
            ck_assert_uint_eq(oracle_bits(rules.f16[h]), oracle_bits(expected));
        }
    }
}
END_TEST

START_TEST(values_of_codes)
{
    for (unsigned c = 0; c < 256; c++) {
        const float expected = oracle_decode((uint8_t)c);
        ck_assert(isnan(expected) ? isnan(rules.value[c])
                                  : oracle_bits(rules.value[c]) == oracle_bits(expected));
    }
}
END_TEST

/* Elements that the quantizer refuses have no right code. */
START_TEST(infinities_and_nans_are_wrong)
{
    const float bad[] = {INFINITY, -INFINITY, NAN};
    for (int i = 0; i < COUNT(bad); i++) {
        for (unsigned c = 0; c < 256; c++) {
            const float x[] = {448, bad[i]};
            const unsigned char codes[] = {ORACLE_LARGEST, (unsigned char)c};
            const tile_view t = {
                (const unsigned char *)x, codes, DTYPE_F32, 2, 1, 2, 1, false, DIALECT_IEEE};
            tile_verdict v;
            tile_check(&rules, &t, &v);
            ck_assert(v.wrong_codes >= 1);
            ck_assert(!v.scale_right || isnan(bad[i]));
        }
    }
}
END_TEST

START_TEST(counts_and_errors)
{
    /* scale 2: quotients 0, -0, 0.0004 (flushed), 1.03 (to 1), 448 */
    const float x[2][3] = {{0, -0.0f, 0.0008f}, {2.06f, -896, 896}};
    const unsigned char codes[2][3] = {{0, 0x80, 0}, {0x38, 0xfe, 0x7e}};
    const tile_view t = {.source = (const unsigned char *)x,
                         .codes = codes[0],
                         .type = DTYPE_F32,
                         .pitch = 3,
                         .rows = 2,
                         .cols = 3,
                         .scale = 2,
                         .scales = SCALES_UE8M0};
    tile_verdict v;
    tile_check(&rules, &t, &v);
    ck_assert(v.scale_right);
    ck_assert_uint_eq(v.wrong_codes, 0);
    ck_assert_uint_eq(v.zero, 2);
    ck_assert_uint_eq(v.flushed, 1);
    ck_assert_uint_eq(v.saturated, 0);
    ck_assert_float_eq(v.amax, 896);
    const double error = (double)2.06f - 2;
    const double tiny = (double)0.0008f;
    ck_assert_double_eq_tol(v.max_error, error, 1e-15);
    ck_assert_double_eq_tol(v.sum_sq_error, error * error + tiny * tiny, 1e-15);
    ck_assert_double_eq_tol(v.sum_sq_source, 2 * 896.0 * 896 + 2.06 * 2.06, 1e-6);
}
END_TEST

START_TEST(the_first_wrong_code_is_named)
{
    float x[5 * 7] = {448};
    unsigned char codes[5 * 7] = {ORACLE_LARGEST};
    codes[3 * 7 + 2] = 1;
    codes[3 * 7 + 5] = 1;
    codes[4 * 7] = 0x80;
    const tile_view t = {
        (const unsigned char *)x, codes, DTYPE_F32, 7, 5, 6, 1, false, DIALECT_IEEE};
    tile_verdict v;
    tile_check(&rules, &t, &v);
    ck_assert_uint_eq(v.wrong_codes, 3);
    ck_assert_uint_eq(v.wrong_row, 3);
    ck_assert_uint_eq(v.wrong_col, 2);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("code_check");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, quotients_around_every_boundary);
    tcase_add_test(t, definitions_by_upper_bits);
    tcase_add_test(t, random_quotients);
    tcase_add_test(t, scales);
    tcase_add_loop_test(t, definitions_are_right, DIALECT_IEEE, DIALECT_COUNT);
    tcase_add_loop_test(t, definitions_of_all_numbers, DIALECT_IEEE, DIALECT_COUNT);
    tcase_add_loop_test(t, definitions_of_what_is_not_finite, DIALECT_IEEE, DIALECT_COUNT);
    tcase_add_test(t, half_precision_numbers);
    tcase_add_test(t, values_of_codes);
    tcase_add_test(t, infinities_and_nans_are_wrong);
    tcase_add_test(t, counts_and_errors);
    tcase_add_test(t, the_first_wrong_code_is_named);
    return run_tests("code_check", t);
}
