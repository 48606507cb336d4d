/* Codes to plain numbers: every code under scales of every kind, clipped tiles, and the rounding to
 * BF16 against exact distances, to F16 around every number. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/plain/dequantize.h"
#include "format/base/num.h"
#include "format/tensor/widen.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

static uint32_t bits_of(float x)
{
    uint32_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float x = 0;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearest of the two neighbours by distances in float64, which are exact. */
static uint16_t nearest_bf16(float x)
{
    const uint32_t low = bits_of(x) >> 16;
    const double below = (double)from_bits(low << 16);
    const bool at_end = (low & 0x7fff) == 0x7f7f;
    const double above = at_end ? copysign(0x1p128, (double)x) : (double)from_bits((low + 1) << 16);
    const double down = fabs((double)x - below);
    const double up = fabs(above - (double)x);
    return (uint16_t)(up < down || (up == down && low % 2 == 1) ? low + 1 : low);
}

START_TEST(bf16_is_the_nearest)
{
    static const uint32_t ends[] = {0,      1,      0x7fff, 0x8000, 0x8001,
                                    0xffff, 0x4000, 0x7ffe, 0xfffe, 0xc000};
    for (uint32_t high = 0; high < 0x10000; high++) {
        for (int i = 0; i < COUNT(ends); i++) {
            const float x = from_bits(high << 16 | ends[i]);
            if (isfinite(x)) {
                ck_assert_msg(bf16_round(x) == nearest_bf16(x), "%a: %04x, expected %04x",
                              (double)x, bf16_round(x), nearest_bf16(x));
            }
        }
    }
    ck_assert_uint_eq(bf16_round(INFINITY), 0x7f80);
    ck_assert_uint_eq(bf16_round(-INFINITY), 0xff80);
    ck_assert_uint_eq(bf16_round(FLT_MAX), 0x7f80);
    for (uint32_t low = 1; low < 0x10000;
         low += 77) { /* NaNs whose payload is in the half that is cut off */
        ck_assert_uint_eq(bf16_round(from_bits(0x7f800000 | low)), 0x7fc0);
        ck_assert_uint_eq(bf16_round(from_bits(0xff800000 | low)), 0xffc0);
    }
}
END_TEST

/* Every number of F16, and the middle between it and the next one, which float32 holds. */
START_TEST(f16_is_the_nearest)
{
    for (uint16_t h = 0; h < 0x7bff; h++) {
        const float low = f16_widen(h);
        const float middle = (low + f16_widen((uint16_t)(h + 1))) / 2;
        const uint16_t even = (uint16_t)(h + h % 2);
        ck_assert_uint_eq(f16_round(low), h);
        ck_assert_uint_eq(f16_round(-low), h | 0x8000);
        ck_assert_uint_eq(f16_round(middle), even);
        ck_assert_uint_eq(f16_round(-middle), even | 0x8000);
        ck_assert_uint_eq(f16_round(nextafterf(middle, 0)), h);
        ck_assert_uint_eq(f16_round(nextafterf(middle, INFINITY)), h + 1);
    }
    static const float beyond[] = {65504, 65520, 65536, FLT_MAX, INFINITY};
    for (int i = 0; i < COUNT(beyond); i++) {
        ck_assert_uint_eq(f16_round(beyond[i]), 0x7bff);
        ck_assert_uint_eq(f16_round(-beyond[i]), 0xfbff);
    }
    ck_assert_uint_eq(f16_round(FLT_TRUE_MIN), 0);
    ck_assert_uint_eq(f16_round(NAN) & 0x7fff, 0x7e00);
}
END_TEST

static float expected_weight(uint8_t code, float scale)
{
    const int magnitude = code & 0x7f;
    if (magnitude > ORACLE_LARGEST) {
        return NAN;
    }
    const double value = ldexp((double)oracle_units(magnitude), -10);
    return (float)((code & 0x80 ? -value : value) *
                   (double)scale); /* 4 + 24 bits: exact before rounding */
}

static void expect_weight(const unsigned char *found, dtype as, uint8_t code, float scale)
{
    const float want = expected_weight(code, scale);
    if (isnan(want)) {
        ck_assert(isnan(as == DTYPE_F32   ? from_bits(le32_load(found))
                        : as == DTYPE_F16 ? f16_widen(le16_load(found))
                                          : from_bits((uint32_t)le16_load(found) << 16)));
    } else if (as == DTYPE_F32) {
        ck_assert_uint_eq(le32_load(found), bits_of(want));
    } else if (as == DTYPE_F16) {
        ck_assert_uint_eq(le16_load(found), f16_round(want));
    } else {
        ck_assert_uint_eq(le16_load(found), isinf(want) ? bits_of(want) >> 16 : nearest_bf16(want));
    }
}

enum { ROWS = 300, COLS = 270, DOWN = 3, ACROSS = 3 };

START_TEST(every_code_of_every_tile)
{
    static const float scales[DOWN * ACROSS] = {
        1, 0x1p-126f, 0x1.fffffep-126f, 0.1f, 0x1.8p-140f, 3.4e37f, 0x1.23456p7f, 0x1p119f, 7e-5f};
    static unsigned char codes[ROWS * COLS];
    static unsigned char to[4 * ROWS * COLS + 4];
    unsigned char stored[sizeof scales];
    static const dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    const dtype as = types[_i];
    const size_t each = _i == 0 ? 4 : 2;
    for (int i = 0; i < DOWN * ACROSS; i++) {
        le32_store(stored + 4 * i, bits_of(scales[i]));
    }
    for (size_t i = 0; i < sizeof codes; i++) {
        codes[i] = (unsigned char)(i * 37 + i / COLS);
    }
    memset(to, 0xa5, sizeof to);
    const code_band band = {.block = block_fp8(SCALES_F32),
                            .codes = codes,
                            .scales = stored,
                            .scale_type = DTYPE_F32,
                            .rows = ROWS,
                            .cols = COLS};
    dequantize(&band, as, to);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < COLS; j++) {
            const size_t at = i * COLS + j;
            expect_weight(to + at * each, as, codes[at], scales[i / 128 * ACROSS + j / 128]);
        }
    }
    ck_assert_uint_eq(to[each * ROWS * COLS], 0xa5); /* nothing is written after the end */
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("dequantize");
    tcase_add_test(tc, bf16_is_the_nearest);
    tcase_add_test(tc, f16_is_the_nearest);
    tcase_add_loop_test(tc, every_code_of_every_tile, 0, 3);
    return run_tests("dequantize", tc);
}
