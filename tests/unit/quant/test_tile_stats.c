#include <check.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "quant/tile/tile.h"

#define ck_double_same(x, expected)                                                                \
    ck_assert_msg((x) == (expected), "%a, expected %a", (double)(x), (double)(expected))

static const tile_stats tiles[] = {
    {.amax = 3, .sum_y2 = 1000, .sum_d2 = 4, .saturated = 1, .zero = 5, .flushed = 7},
    {.amax = 0, .sum_y2 = 0, .sum_d2 = 0, .zero = 16384},
    {.amax = 9, .sum_y2 = 2000.5f, .sum_d2 = 0.25f, .saturated = 2, .zero = 6, .flushed = 70},
    {.amax = 1, .sum_y2 = 0x1.fffffep20f, .sum_d2 = 0x1.000002p0f, .flushed = 700},
};
static const float scales[] = {0.5f, 1, 0x1.8p-3f, 0x1.000002p-20f};
enum { TILES = sizeof tiles / sizeof *tiles };

START_TEST(empty_slice)
{
    slice_stats s = SLICE_STATS_EMPTY;
    slice_stats_add(&s, tiles, scales, 0);
    ck_double_same(s.amax, 0);
    ck_double_same(s.scale_min, FLT_MAX);
    ck_double_same(s.scale_max, 0);
    ck_double_same(s.sum_sq_source, 0);
}
END_TEST

START_TEST(sums_and_extremes)
{
    slice_stats s = SLICE_STATS_EMPTY;
    slice_stats_add(&s, tiles, scales, TILES);
    ck_double_same(s.amax, 9);
    ck_double_same(s.scale_min, 0x1.000002p-20f);
    ck_double_same(s.scale_max, 1);
    ck_assert_uint_eq(s.saturated, 3);
    ck_assert_uint_eq(s.zero, 5 + 16384 + 6);
    ck_assert_uint_eq(s.flushed, 777);
    /* (1 + 2^-23)^2 2^-40: exact in float64, and so are the first three products */
    const double square = 0x1.000004000004p-40;
    ck_double_same(s.sum_sq_source, 250 + 2000.5 * 0x1.2p-5 + 0x1.fffffep20 * square);
    ck_double_same(s.sum_sq_error, 1 + 0.25 * 0x1.2p-5 + 0x1.000002p0 * square);
}
END_TEST

/* One after the other in float64: 2^53 + 1 + 1 stays 2^53, any other grouping gives 2^53 + 2. */
START_TEST(order_is_ascending)
{
    const tile_stats t[] = {{.sum_y2 = 0x1p53f}, {.sum_y2 = 1}, {.sum_y2 = 1}};
    const float one[] = {1, 1, 1};
    slice_stats s = SLICE_STATS_EMPTY;
    slice_stats_add(&s, t, one, 3);
    ck_double_same(s.sum_sq_source, 0x1p53);
}
END_TEST

/* With e = 2^-23, (1 + e)^3 is 1 + 3e + 3 x 2^-46 + 2^-69, and the last term does not fit into
 * float64. Without it the sum is a tie between two floats and goes to the even one; a fused
 * multiply and add would round up. */
START_TEST(products_are_rounded)
{
    const tile_stats t[] = {{.sum_y2 = 128}, {.sum_y2 = 0x1p-45f}, {.sum_y2 = 0x1.000002p0f}};
    const float scale[] = {1, 1, 0x1.000002p0f};
    slice_stats s = SLICE_STATS_EMPTY;
    slice_stats_add(&s, t, scale, 3);
    ck_double_same(s.sum_sq_source, 129 + 3 * 0x1p-23 + 0x1p-44);
}
END_TEST

START_TEST(bands_equal_the_whole)
{
    slice_stats whole = SLICE_STATS_EMPTY;
    slice_stats_add(&whole, tiles, scales, TILES);
    for (uint64_t cut = 0; cut <= TILES; cut++) {
        slice_stats bands = SLICE_STATS_EMPTY;
        slice_stats_add(&bands, tiles, scales, cut);
        slice_stats_add(&bands, tiles + cut, scales + cut, TILES - cut);
        ck_assert_mem_eq(&bands, &whole, sizeof whole);
    }
}
END_TEST

START_TEST(saturated_from_464)
{
    const float scales_exact[] = {1, 0x1p-126f, 0x1p100f, 0x1p-3f};
    for (int i = 0; i < 4; i++) {
        const float s = scales_exact[i];
        const tile_rule rule = {s, s, STEP_DIVIDE};
        const float limit = 464 * s;
        const float x[] = {
            limit, -limit,  nextafterf(limit, 0), -nextafterf(limit, 0), 2 * limit, 0,
            -0.0f, 448 * s, -1000000.0f * s};
        ck_assert_uint_eq(stats_count_saturated(x, 9, &rule), 4);
        ck_assert_uint_eq(stats_count_saturated(x + 2, 2, &rule), 0);
        ck_assert_uint_eq(stats_count_saturated(x, 0, &rule), 0);
    }
    /* before it is rounded to BF16, and by a factor that is not quite the reciprocal */
    const tile_rule narrow = {1, 1, STEP_DIVIDE_BF16};
    const tile_rule factor = {1, nextafterf(1, 2), STEP_MULTIPLY};
    const float x[] = {463.5f, -464, nextafterf(464, 0)};
    ck_assert_uint_eq(stats_count_saturated(x, 3, &narrow), 1);
    ck_assert_uint_eq(stats_count_saturated(x, 3, &factor), 2);
}
END_TEST

START_TEST(sqnr)
{
    ck_double_same(stats_sqnr(1000, 1), 30);
    ck_double_same(stats_sqnr(4, 4), 0);
    ck_assert(fabs(stats_sqnr(2, 1) - 3.0102999566398120) < 1e-12);
    ck_assert(isnan(stats_sqnr(5, 0)));
    ck_assert(isnan(stats_sqnr(0, 0)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tile_stats");
    TCase *tests = tcase_create("tile_stats");
    tcase_add_test(tests, empty_slice);
    tcase_add_test(tests, sums_and_extremes);
    tcase_add_test(tests, order_is_ascending);
    tcase_add_test(tests, products_are_rounded);
    tcase_add_test(tests, bands_equal_the_whole);
    tcase_add_test(tests, saturated_from_464);
    tcase_add_test(tests, sqnr);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
