/* Statistics over sequences: the random numbers and intervals that an independent program in Python
 * found (tests/cli/verify/statistics.py has it), equal values, values that are no numbers, and
 * whether an interval contains the true mean as often as it should. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "verify/forward/interval.h"

static interval of(const double *x, size_t n)
{
    interval i;
    err e = {0};
    expect_ok(interval_of(x, n, NULL, &i, &e), &e);
    return i;
}

static void expect_plus_zero(double x)
{
    const double zero = 0;
    ck_assert_mem_eq(&x, &zero, sizeof x);
}

/* ---- random numbers -------------------------------------------- */

START_TEST(draws_of_python)
{
    static const struct {
        uint64_t n, expected[4];
    } cases[] = {
        {1, {0, 0, 0, 0}},
        {2, {1, 0, 0, 1}},
        {10, {8, 4, 0, 9}},
        {1000, {0x373, 0x1af, 0x1a, 0x3ca}},
        {0xffffffff, {0xe220a838, 0x6e789e6a, 0x6c45d18, 0xf88bb8a7}},
        {0x100000000, {0xe220a839, 0x6e789e6a, 0x6c45d18, 0xf88bb8a8}},
        {0x200003039, {0x1c4417b0b, 0xdcf151a4, 0xd88bb77, 0x1f117a022}},
        {0x8000000080000007,
         {0x7110541d2e9f3afa, 0x373c4f3588190232, 0x3622e8c4366d133, 0x7c45dc54b56c1d51}},
        {0xffffffffffffffff,
         {0xe220a8397b1dcdae, 0x6e789e6aa1b965f3, 0x6c45d188009454e, 0xf88bb8a8724c81eb}},
    };
    for (int c = 0; c < COUNT(cases); c++) {
        uint64_t state = 0;
        for (int i = 0; i < 4; i++) {
            ck_assert_uint_eq(interval_draw(&state, cases[c].n), cases[c].expected[i]);
        }
    }
}
END_TEST

/* ---- intervals ------------------------------------------------- */

static void expect_interval(const double *x, size_t n, interval expected)
{
    const interval found = of(x, n);
    ck_assert_double_eq(found.mean, expected.mean);
    ck_assert_double_eq(found.standard_error, expected.standard_error);
    ck_assert_double_eq(found.low, expected.low);
    ck_assert_double_eq(found.high, expected.high);
}

START_TEST(intervals_of_python)
{
    static const double few[] = {0.1, 0.2, 0.30000000000000004, 0.7, -0.05, 0.11, 0.9, 0.33};
    expect_interval(few, 8,
                    (interval){0x1.4b851eb851eb8p-2, 0x1.d20c70126b399p-4, 0x1.028f5c28f5c29p-3,
                               0x1.15c28f5c28f5cp-1});
    static const double three[] = {1, 2, 4};
    expect_interval(three, 3, (interval){0x1.2aaaaaaaaaaaap+1, 0x1.c38aa37c3f68ep-1, 1, 4});
    static const double close[] = {0.001, 0.001 + 0x1p-60};
    expect_interval(close, 2,
                    (interval){0x1.0624dd2f1a9fep-10, 0x1p-61, close[0], 0x1.0624dd2f1aa00p-10});
    double squares[30];
    for (int i = 0; i < 30; i++) {
        squares[i] = (double)((i + 1) * (i + 1)) / 7;
    }
    expect_interval(squares, 30,
                    (interval){0x1.6830c30c30c32p+5, 0x1.d57dfb8440b9ap+2, 0x1.f9c09c09c09bep+4,
                               0x1.dcea0ea0ea0e8p+5});
}
END_TEST

/* The mean and standard error of 1 … n are known, and the interval is around the mean. */
START_TEST(consecutive_numbers)
{
    for (size_t n = 2; n <= 1000; n = n * 3 / 2 + 1) {
        double x[1000];
        for (size_t i = 0; i < n; i++) {
            x[i] = (double)(i + 1);
        }
        const interval i = of(x, n);
        const double expected = sqrt((double)(n + 1) / 12);
        ck_assert_double_eq(i.mean, (double)(n + 1) / 2);
        ck_assert_double_eq_tol(i.standard_error, expected, 1e-14 * expected);
        ck_assert(1 <= i.low && i.low < i.mean && i.mean < i.high && i.high <= (double)n);
        ck_assert(n < 20 || fabs((i.high - i.low) / (2 * 1.96 * expected) - 1) < 0.1);
    }
}
END_TEST

START_TEST(equal_values_stay)
{
    static const double values[] = {0,     0.1,     1.0 / 3, -0.7,     0x1p-1074,
                                    1e300, 0x1p480, -1e-9,   1e16 + 2, 0x1.fffffffffffffp-3};
    for (int v = 0; v < COUNT(values); v++) {
        double x[60];
        for (size_t n = 1; n <= 60; n++) {
            x[n - 1] = values[v];
            const interval i = of(x, n);
            if (fabs(values[v]) > 0x1p480) {
                ck_assert(isnan(i.mean));
                continue;
            }
            ck_assert_double_eq(i.mean, values[v]);
            if (n == 1) {
                ck_assert(isnan(i.standard_error) && isnan(i.low) && isnan(i.high));
                continue;
            }
            expect_plus_zero(i.standard_error);
            ck_assert_double_eq(i.low, values[v]);
            ck_assert_double_eq(i.high, values[v]);
        }
    }
}
END_TEST

START_TEST(extremes_do_not_overflow)
{
    double x[50];
    for (int i = 0; i < 50; i++) {
        x[i] = i % 2 ? 0x1p480 : -0x1p480;
    }
    const interval i = of(x, 50);
    ck_assert_double_eq(i.mean, 0);
    ck_assert(isfinite(i.standard_error) && i.standard_error > 0x1p476);
    ck_assert(isfinite(i.low) && isfinite(i.high) && i.low < 0 && i.high > 0);
}
END_TEST

START_TEST(no_numbers)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, 0x1.0000000000001p480, -1e300};
    for (int b = 0; b < COUNT(bad); b++) {
        for (size_t at = 0; at < 9; at++) {
            double x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
            x[at] = bad[b];
            const interval i = of(x, 9);
            ck_assert(isnan(i.mean) && isnan(i.standard_error) && isnan(i.low) && isnan(i.high));
        }
    }
    const interval none = of(NULL, 0);
    ck_assert(isnan(none.mean) && isnan(none.standard_error) && isnan(none.low) &&
              isnan(none.high));
}
END_TEST

/* A power of two changes no rounding, and there is no other seed for other values. */
START_TEST(scale_is_exact)
{
    uint64_t state = random_seed(_i);
    double x[20];
    double scaled[20];
    for (int i = 0; i < 20; i++) {
        x[i] = (double)(interval_draw(&state, 1U << 30)) / 3;
        scaled[i] = x[i] * 0x1p-40;
    }
    const interval i = of(x, 20);
    const interval small = of(scaled, 20);
    ck_assert_double_eq(small.mean, i.mean * 0x1p-40);
    ck_assert_double_eq(small.standard_error, i.standard_error * 0x1p-40);
    ck_assert_double_eq(small.low, i.low * 0x1p-40);
    ck_assert_double_eq(small.high, i.high * 0x1p-40);
}
END_TEST

/* Of 95 % intervals for the mean of 30 numbers, each the sum of 12 uniform ones, nearly 95 % contain
 * the true mean; the percentile bootstrap is known to be a little too narrow for few values. */
START_TEST(intervals_contain_the_mean)
{
    enum { ROUNDS = SANITIZED ? 100 : 400, VALUES = 30 };
    uint64_t state = 12345;
    int inside = 0;
    for (int r = 0; r < ROUNDS; r++) {
        double x[VALUES] = {0};
        for (int i = 0; i < VALUES; i++) {
            for (int k = 0; k < 12; k++) {
                x[i] += (double)interval_draw(&state, UINT64_C(1) << 53) * 0x1p-53;
            }
        }
        const interval i = of(x, VALUES);
        inside += i.low <= 6 && 6 <= i.high;
    }
    printf("%d of %d\n", inside, ROUNDS);
    ck_assert_int_ge(inside, ROUNDS * 90 / 100);
    ck_assert_int_le(inside, ROUNDS * 98 / 100);
}
END_TEST

static err_code interrupted(void *ctx, const monitor *m, err *e)
{
    const double *const x = ctx;
    interval i;
    return interval_of(x, 2 * MONITOR_STEPS, m, &i, e);
}

START_TEST(can_be_interrupted)
{
    static double x[2 * MONITOR_STEPS];
    question q = {.last = 3 + 2 * INTERVAL_RESAMPLES - 1}; /* late: in the last resample */
    const monitor m = {.cancelled = answer, .ctx = &q};
    err e = {0};
    expect_error(interrupted(x, &m, &e), ERR_CANCELLED, &e, "interrupted");
    q = (question){.last = 1};
    expect_error(interrupted(x, &m, &e), ERR_CANCELLED, &e, "interrupted");
    q = (question){.last = 0};
    expect_ok(interrupted(x, &m, &e), &e);
    ck_assert_uint_eq(q.asked, 2 + 2 * INTERVAL_RESAMPLES);
}
END_TEST

/* ---- judging --------------------------------------------------- */

START_TEST(three_standard_errors)
{
    static const struct {
        double mean, standard_error, sign;
        bool worse;
    } cases[] = {
        {0, 0, 1, false},          {0, NAN, 1, false},        {-0.0, 0, -1, false},
        {3, 1, 1, false},          {3.0000001, 1, 1, true},   {-3.0000001, 1, 1, false},
        {-3.0000001, 1, -1, true}, {3.0000001, 1, -1, false}, {0x1p-1074, 0, 1, false},
        {-0x1p-1074, 0, 1, false}, {NAN, NAN, 1, true},       {NAN, NAN, -1, true},
        {NAN, 1, 1, true},         {1, NAN, 1, true},         {1, NAN, -1, true},
    };
    for (int c = 0; c < COUNT(cases); c++) {
        const interval i = {cases[c].mean, cases[c].standard_error, NAN, NAN};
        ck_assert_msg(interval_is_worse(&i, 1 << 30, cases[c].sign) == cases[c].worse, "case %d",
                      c);
    }
}
END_TEST

/* Quantiles of Student's distribution at 0.99865, from tables: 7, 15, 29 and 99 degrees of freedom. */
START_TEST(few_values_need_more)
{
    static const struct {
        size_t n;
        double quantile;
    } cases[] = {{8, 4.530}, {16, 3.586}, {30, 3.280}, {100, 3.077}};
    for (int c = 0; c < COUNT(cases); c++) {
        const interval less = {0.99 * cases[c].quantile, 1, NAN, NAN};
        const interval more = {1.01 * cases[c].quantile, 1, NAN, NAN};
        ck_assert(!interval_is_worse(&less, cases[c].n, 1));
        ck_assert(interval_is_worse(&more, cases[c].n, 1));
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("interval");
    tcase_add_test(tc, draws_of_python);
    tcase_add_test(tc, intervals_of_python);
    tcase_add_test(tc, consecutive_numbers);
    tcase_add_test(tc, equal_values_stay);
    tcase_add_test(tc, extremes_do_not_overflow);
    tcase_add_test(tc, no_numbers);
    tcase_add_loop_test(tc, scale_is_exact, 0, 3);
    tcase_add_test(tc, intervals_contain_the_mean);
    tcase_add_test(tc, can_be_interrupted);
    tcase_add_test(tc, three_standard_errors);
    tcase_add_test(tc, few_values_need_more);
    return run_tests("interval", tc);
}
