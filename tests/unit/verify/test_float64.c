/* exp and ln of float64 against those of the C library in long double, and the edges; the kernels of
 * all instruction levels against each other. THIN=n in the environment takes every n-th number. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "tests/aid/expect.h"
#include "verify/forward/softmax_kernel.h"
#include "verify/ops/float64.h"

enum { NUMBERS = 3000000 };

/* A uniform number from 0 to below 1 (xorshift64). */
static double uniform(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) * 0x1p-53;
}

static long double ulp_of(long double y)
{
    const double near = fabs((double)y);
    return (long double)nextafter(near, INFINITY) - (long double)near;
}

static int numbers(void)
{
    const char *const thin = getenv("THIN");
    return NUMBERS / (thin ? (int)strtol(thin, NULL, 10) : 1);
}

/* Everywhere, and where most differences of logits are. */
START_TEST(exp_is_precise)
{
    uint64_t state = 1;
    long double worst = 0;
    for (int i = 0; i < numbers(); i++) {
        const double x = i % 2 ? -708 + 1417 * uniform(&state) : -40 * uniform(&state);
        const long double y = expl((long double)x);
        const long double error = fabsl((long double)float64_exp(x) - y) / ulp_of(y);
        worst = error > worst ? error : worst;
    }
    ck_assert_msg(worst < 0.9L, "%Lg", worst);
}
END_TEST

START_TEST(ln_is_precise)
{
    uint64_t state = 1;
    long double worst = 0;
    for (int i = 0; i < numbers(); i++) {
        const double u = uniform(&state);
        const double x = i % 3 == 0   ? exp(-708 + 1417 * u)
                         : i % 3 == 1 ? 0.5 + 1.5 * u
                                      : 1 + 2e5 * u;
        const long double y = logl((long double)x);
        const long double error = fabsl((long double)float64_ln(x) - y) / (0x1p-52L + ulp_of(y));
        worst = error > worst ? error : worst;
    }
    ck_assert_msg(worst < 1, "%Lg", worst);
}
END_TEST

START_TEST(edges)
{
    ck_assert_double_eq(float64_exp(0), 1);
    ck_assert_double_eq(float64_exp(-0.0), 1);
    ck_assert_double_eq(float64_exp(-708.5), 0);
    ck_assert(!signbit(float64_exp(-INFINITY)));
    ck_assert(isnormal(float64_exp(-708)) && isnormal(float64_exp(709)));
    ck_assert_double_infinite(float64_exp(709.5));
    ck_assert_double_infinite(float64_exp(INFINITY));
    ck_assert_double_nan(float64_exp(NAN));
    ck_assert_double_eq(float64_ln(1), 0);
    ck_assert(!signbit(float64_ln(1)));
    ck_assert(isfinite(float64_ln(0x1p-1022)) && isfinite(float64_ln(0x1.fffffffffffffp+1023)));
    const double none[] = {0, -0.0, -1, 0x1p-1023, INFINITY, -INFINITY, NAN};
    for (int i = 0; i < COUNT(none); i++) {
        ck_assert_double_nan(float64_ln(none[i]));
    }
}
END_TEST

/* A few bits of results: another machine, compiler or level gives the same. */
START_TEST(bits)
{
    ck_assert_uint_eq(float64_bits(float64_exp(-1)), 0x3fd78b56362cef38u);
    ck_assert_uint_eq(float64_bits(float64_exp(-20.25)), 0x3e1b93de1e27ca3bu);
    ck_assert_uint_eq(float64_bits(float64_ln(2)), 0x3fe62e42fefa39efu);
    ck_assert_uint_eq(float64_bits(float64_ln(157184)), 0x4027ee2b12bede6cu);
}
END_TEST

START_TEST(levels_agree)
{
    enum { LENGTH = 257 };
    uint64_t state = 1;
    float z[LENGTH];
    double expected[LENGTH];
    double y[LENGTH];
    const softmax_kernel *const k = softmax_kernel_at((cpu_level)_i);
    if (!cpu_level_available((cpu_level)_i)) {
        return;
    }
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < LENGTH; i++) {
            z[i] = (float)(1500 * uniform(&state) - 750);
        }
        k->exponentials(z, LENGTH, 3, 0.25, y);
        for (int i = 0; i < LENGTH; i++) {
            expected[i] = float64_exp(((double)z[i] - 3) - 0.25);
        }
        ck_assert_mem_eq(y, expected, sizeof y);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("float64");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, exp_is_precise);
    tcase_add_test(tc, ln_is_precise);
    tcase_add_test(tc, edges);
    tcase_add_test(tc, bits);
    tcase_add_loop_test(tc, levels_agree, 0, CPU_LEVELS);
    return run_tests("float64", tc);
}
