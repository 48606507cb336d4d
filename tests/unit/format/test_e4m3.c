/* format/tensor/e4m3.h, quant/tile/scale.h and format/tensor/widen.h against exact tables.
 *
 * OCTAVO_EXHAUSTIVE=1 in the environment adds all 2^32 floats (about ten seconds). SEED=N chooses
 * the random scales. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "format/tensor/e4m3.h"
#include "quant/tile/scale.h"
#include "format/tensor/widen.h"
#include "tests/aid/oracle_e4m3.h"

/* Check writes a note for every assertion; these are for loops of millions. */
#define REQUIRE(condition, ...)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg(__VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)

/* Compares all bits, so that -0 is not +0. */
#define REQUIRE_SAME(x, expected)                                                                  \
    REQUIRE(oracle_bits(x) == oracle_bits(expected), "%a, expected %a", (double)(x),               \
            (double)(expected))

static uint64_t seed(void)
{
    const char *text = getenv("SEED");
    const uint64_t value = text ? strtoull(text, NULL, 10) : 20240607;
    printf("SEED=%llu\n", (unsigned long long)value);
    return value * 2 + 1;
}

START_TEST(decode_all_codes)
{
    for (int code = 0; code < 256; code++) {
        const float value = e4m3_decode((uint8_t)code);
        if ((code & 0x7f) == 0x7f) {
            ck_assert(isnan(value));
            continue;
        }
        REQUIRE_SAME(value, oracle_decode((uint8_t)code));
        ck_assert_int_eq(e4m3_encode(value), code);
        const e4m3_rounded r = e4m3_round(fabsf(value));
        ck_assert_int_eq((int)r.code, code & 0x7f);
        REQUIRE_SAME(r.value, fabsf(value));
    }
    REQUIRE_SAME(e4m3_decode(0x7e), 448.0f);
    REQUIRE_SAME(e4m3_decode(0x01), 0x1p-9f);
    REQUIRE_SAME(e4m3_decode(0x88), -0x1p-6f);
}
END_TEST

static void check_encode(float y)
{
    const uint8_t code = oracle_encode(y);
    const e4m3_rounded r = e4m3_round(fabsf(y));
    REQUIRE(e4m3_encode(y) == code && e4m3_encode(-y) == (code ^ 0x80) && r.code == (code & 0x7fu),
            "%a: 0x%02x, 0x%02x and 0x%02x, expected 0x%02x", (double)y, e4m3_encode(y),
            e4m3_encode(-y), r.code, code);
    REQUIRE_SAME(r.value, oracle_decode(code & 0x7f));
}

/* Every value, every midpoint, and the floats next to them. */
START_TEST(encode_corners)
{
    for (int code = 0; code < ORACLE_LARGEST; code++) {
        const float corners[] = {(float)ldexp((double)oracle_units(code), -10),
                                 (float)ldexp((double)oracle_midpoint(code), -10)};
        for (int i = 0; i < 2; i++) {
            check_encode(corners[i]);
            check_encode(nextafterf(corners[i], INFINITY));
            check_encode(nextafterf(corners[i], 0));
        }
    }
}
END_TEST

START_TEST(encode_limits)
{
    ck_assert_uint_eq(e4m3_encode(0.0f), 0x00);
    ck_assert_uint_eq(e4m3_encode(-0.0f), 0x80);
    ck_assert_uint_eq(e4m3_encode(-0x1p-149f), 0x80);
    ck_assert_uint_eq(e4m3_encode(-0x1p-10f), 0x80); /* the tie between 0 and 2^-9 */
    ck_assert_uint_eq(e4m3_encode(nextafterf(0x1p-10f, 1)), 0x01);
    const float large[] = {448, 463.99997f, 464, 464.00003f, 480, 512, FLT_MAX, INFINITY};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        ck_assert_uint_eq(e4m3_encode(large[i]), 0x7e);
        ck_assert_uint_eq(e4m3_encode(-large[i]), 0xfe);
        REQUIRE_SAME(e4m3_round(large[i]).value, 448.0f);
    }
}
END_TEST

/* All BF16 values, divided by one scale, as the quantizer does it. */
static void check_all_bf16(float scale)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        const float x = bf16_widen((uint16_t)h);
        if (isfinite(x)) {
            const float y = x / scale;
            REQUIRE(e4m3_encode(y) == oracle_encode(y), "%a / %a: 0x%02x, expected 0x%02x",
                    (double)x, (double)scale, e4m3_encode(y), oracle_encode(y));
        }
    }
}

START_TEST(encode_all_bf16)
{
    static const float amax[] = {
        0,         0x1p-149f,   224 * 0x1p-149f, 225 * 0x1p-149f, 0x1p-133f, 0x1p-126f,
        0x1.4p-3f, 1,           0x1.99p-5f,      3.14159274f,     448,       464,
        0x1p100f,  0x1.fep127f, FLT_MAX};
    for (size_t i = 0; i < sizeof amax / sizeof amax[0]; i++) {
        check_all_bf16(scale_from_amax(amax[i], SCALES_F32));
        check_all_bf16(scale_from_amax(amax[i], SCALES_UE8M0));
    }
    for (int k = -120; k <= 120; k += 40) {
        const float corner = ldexpf(1.75f, k);
        check_all_bf16(scale_from_amax(corner, SCALES_F32));
        check_all_bf16(scale_from_amax(nextafterf(corner, 0), SCALES_F32));
        check_all_bf16(scale_from_amax(nextafterf(corner, INFINITY), SCALES_F32));
    }
    uint64_t random = seed();
    for (int i = 0; i < 32; i++) { /* any positive normal float is a scale here */
        const uint32_t bits = (uint32_t)oracle_random(&random) % (0x7f800000 - 0x00800000);
        check_all_bf16(oracle_float(bits + 0x00800000));
    }
}
END_TEST

/* x = 464 s and its neighbors, and every other tie times a scale that keeps it exact. */
START_TEST(encode_ties_times_scale)
{
    for (int k = -126; k <= 118; k++) {
        const float scale = ldexpf(1, k);
        for (int code = 0; code < ORACLE_LARGEST; code++) {
            const float x = (float)ldexp((double)oracle_midpoint(code), k - 10);
            check_encode(x / scale);
        }
        ck_assert_uint_eq(e4m3_encode(464 * scale / scale), 0x7e);
        ck_assert_uint_eq(e4m3_encode(nextafterf(464 * scale, INFINITY) / scale), 0x7e);
        ck_assert_uint_eq(e4m3_encode(nextafterf(464 * scale, 0) / scale), 0x7e);
    }
}
END_TEST

static void check_scale(float amax)
{
    const float f32 = scale_from_amax(amax, SCALES_F32);
    const float ue8m0 = scale_from_amax(amax, SCALES_UE8M0);
    REQUIRE_SAME(f32, oracle_scale(amax, 0));
    REQUIRE_SAME(ue8m0, oracle_scale(amax, 1));
    REQUIRE(amax / f32 < E4M3_SATURATED && amax / ue8m0 < E4M3_SATURATED, "%a", (double)amax);
    REQUIRE(f32 >= FLT_MIN && ue8m0 >= f32, "%a", (double)amax);
}

START_TEST(scale_of_every_bf16)
{
    for (uint32_t h = 0; h < 0x7f80; h++) {
        check_scale(bf16_widen((uint16_t)h));
    }
    uint64_t random = seed();
    for (int i = 0; i < 1000000; i++) {
        check_scale(oracle_float((uint32_t)oracle_random(&random) % 0x7f800000));
    }
}
END_TEST

START_TEST(scale_vectors)
{
    for (int k = -117; k <= 127; k++) {
        const float amax = ldexpf(1.75f, k); /* 448 x 2^(k-8) */
        const float exact = ldexpf(1, k - 8);
        REQUIRE_SAME(scale_from_amax(amax, SCALES_F32), exact);
        REQUIRE_SAME(scale_from_amax(amax, SCALES_UE8M0), exact);
        const float below = nextafterf(amax, 0);
        const float above = nextafterf(amax, INFINITY);
        check_scale(below);
        check_scale(above);
        REQUIRE_SAME(scale_from_amax(below, SCALES_UE8M0), exact);
        REQUIRE_SAME(scale_from_amax(above, SCALES_UE8M0), 2 * exact);
    }
    static const float tiny[] = {0x1p-149f, 224 * 0x1p-149f, 225 * 0x1p-149f, 0x1p-133f,
                                 0x1.bfffcp-118f};
    for (size_t i = 0; i < sizeof tiny / sizeof tiny[0]; i++) {
        REQUIRE_SAME(scale_from_amax(tiny[i], SCALES_F32), 0x1p-126f);
        REQUIRE_SAME(scale_from_amax(tiny[i], SCALES_UE8M0), 0x1p-126f);
    }
    REQUIRE_SAME(scale_from_amax(0, SCALES_F32), 1.0f);
    REQUIRE_SAME(scale_from_amax(0, SCALES_UE8M0), 1.0f);
    REQUIRE_SAME(scale_from_amax(FLT_MAX, SCALES_F32), 0x1.249248p119f);
    REQUIRE_SAME(scale_from_amax(FLT_MAX, SCALES_UE8M0), 0x1p120f);
}
END_TEST

/* `exponent_bits` and `mantissa_bits` of a 16-bit format, taken apart without bit tricks. */
static void check_widened(uint32_t h, float x, int exponent_bits, int mantissa_bits)
{
    const int exponent = (int)(h >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const int mantissa = (int)h & ((1 << mantissa_bits) - 1);
    const int bias = (1 << (exponent_bits - 1)) - 1;
    REQUIRE((signbit(x) != 0) == h >> 15, "0x%04x: %a", h, (double)x);
    if (exponent == (1 << exponent_bits) - 1) {
        const uint32_t payload = oracle_bits(x) & 0x7fffff;
        REQUIRE(mantissa ? isnan(x) : isinf(x), "0x%04x: %a", h, (double)x);
        REQUIRE(payload == (uint32_t)mantissa << (23 - mantissa_bits), "0x%04x: NaN", h);
        return;
    }
    const int significand = exponent ? (1 << mantissa_bits) + mantissa : mantissa;
    const int power = (exponent ? exponent : 1) - bias - mantissa_bits;
    REQUIRE((double)fabsf(x) == ldexp(significand, power), "0x%04x: %a", h, (double)x);
}

START_TEST(widen_all)
{
    for (uint32_t h = 0; h < 0x10000; h++) {
        check_widened(h, bf16_widen((uint16_t)h), 8, 7);
        check_widened(h, f16_widen((uint16_t)h), 5, 10);
    }
}
END_TEST

/* All floats in ascending order, so that the oracle only has to step over midpoints. */
START_TEST(encode_exhaustive)
{
    int code = 0;
    for (uint32_t bits = 0; bits <= 0x7f800000; bits++) {
        const float y = oracle_float(bits);
        const double units = (double)y * 1024;
        while (code < ORACLE_LARGEST && oracle_above(units, code)) {
            code++;
        }
        REQUIRE(e4m3_encode(y) == code && e4m3_encode(-y) == (code | 0x80),
                "%a: 0x%02x, expected 0x%02x", (double)y, e4m3_encode(y), code);
    }
    ck_assert_int_eq(code, ORACLE_LARGEST);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("e4m3");
    TCase *tests = tcase_create("tables");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, decode_all_codes);
    tcase_add_test(tests, encode_corners);
    tcase_add_test(tests, encode_limits);
    tcase_add_test(tests, encode_all_bf16);
    tcase_add_test(tests, encode_ties_times_scale);
    tcase_add_test(tests, scale_of_every_bf16);
    tcase_add_test(tests, scale_vectors);
    tcase_add_test(tests, widen_all);
    suite_add_tcase(suite, tests);
    if (getenv("OCTAVO_EXHAUSTIVE")) {
        TCase *all = tcase_create("all floats");
        tcase_set_timeout(all, 3600);
        tcase_add_test(all, encode_exhaustive);
        suite_add_tcase(suite, all);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
