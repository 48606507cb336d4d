/* exp over every float of its range against the exp of the C library in float64, and the edges.
 * THIN=n in the environment takes every n-th float. */
#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "verify/ops/elementary.h"

#define ALLOWED_ULPS 0.9

/* One float32 ulp near y > 0, 2^-149 at least. */
static double ulp_of(double y)
{
    uint64_t bits;
    memcpy(&bits, &y, sizeof bits);
    const int64_t exponent = (int64_t)(bits >> 52) - 23; /* that of y, biased */
    const uint64_t ulp = (uint64_t)(exponent > 1023 - 149 ? exponent : 1023 - 149) << 52;
    double result;
    memcpy(&result, &ulp, sizeof result);
    return result;
}

/* Floats of one sign, by magnitude: a part for one thread. */
typedef struct part {
    uint32_t first, end, step; /* bits */
    double worst;              /* ulps */
    uint32_t worst_bits;
} part;

static inline void note_error(part *p, uint32_t bits, double error)
{
    if (error > p->worst) {
        p->worst = error;
        p->worst_bits = bits;
    }
}

/* Below 2^-26, where most floats are, the nearest float is 1: the library is not needed. */
static inline void scan_floats(part *p)
{
    for (uint32_t bits = p->first; bits < p->end; bits += p->step) {
        const float x = float_from_bits(bits);
        const float y = elementary_exp(x);
        if ((bits & 0x7fffffff) < 0x32800000) {
            note_error(p, bits, y == 1 ? 0 : 99);
        } else {
            const double expected = exp((double)x);
            note_error(p, bits, fabs((double)y - expected) / ulp_of(expected));
        }
    }
}

/* The same with the fma instruction, if there is one, instead of calls of fmaf. */
#ifdef __x86_64__
__attribute__((target("fma"))) static void scan_fused(part *p)
{
    scan_floats(p);
}

static bool has_fused(void)
{
    return __builtin_cpu_supports("fma");
}
#else
static void scan_fused(part *p)
{
    scan_floats(p);
}

static bool has_fused(void)
{
    return false;
}
#endif

static void *scan_part(void *arg)
{
    if (has_fused()) {
        scan_fused(arg);
    } else {
        scan_floats(arg);
    }
    return NULL;
}

static uint32_t thin(void)
{
    const char *const text = getenv("THIN");
    const unsigned long n = text ? strtoul(text, NULL, 10) : 1;
    return n > 1 ? (uint32_t)n : 1;
}

/* Above `end` the result would round to infinity, which is not measured in ulps. */
static void scan(uint32_t first, uint32_t end)
{
    enum { THREADS = 2 };
    part parts[THREADS];
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        parts[i] = (part){.first = first + i * thin(), .end = end, .step = THREADS * thin()};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, scan_part, &parts[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_msg(parts[i].worst < ALLOWED_ULPS, "exp(%a): %.3f ulp",
                      (double)float_from_bits(parts[i].worst_bits), parts[i].worst);
    }
}

START_TEST(exp_of_positive)
{
    scan(float_bits(0.0f), float_bits(88.72284f));
}
END_TEST

START_TEST(exp_of_negative)
{
    scan(float_bits(-0.0f), float_bits(-104.0f) + 1);
}
END_TEST

static void expect_bits(const char *what, float found, float expected)
{
    ck_assert_msg(float_bits(found) == float_bits(expected), "%s: %a, expected %a", what,
                  (double)found, (double)expected);
}

#define EXPECT(call, expected) expect_bits(#call, call, expected)

START_TEST(exp_at_the_edges)
{
    EXPECT(elementary_exp(0.0f), 1.0f);
    EXPECT(elementary_exp(-0.0f), 1.0f);
    EXPECT(elementary_exp(0x1p-149f), 1.0f);
    EXPECT(elementary_exp(INFINITY), INFINITY);
    EXPECT(elementary_exp(0x1.fffffep127f), INFINITY);
    EXPECT(elementary_exp(89.0f), INFINITY);
    EXPECT(elementary_exp(88.7229f), INFINITY);
    ck_assert(isfinite(elementary_exp(88.7227f)));
    EXPECT(elementary_exp(-INFINITY), 0.0f);
    EXPECT(elementary_exp(-0x1.fffffep127f), 0.0f);
    EXPECT(elementary_exp(-104.0f), 0.0f);
    EXPECT(elementary_exp(-103.9722f), 0.0f);
    EXPECT(elementary_exp(-103.972f), 0x1p-149f);
    for (uint32_t sign = 0; sign <= 1; sign++) {
        for (uint32_t payload = 1; payload <= 0x7fffff; payload = payload * 2 + 1) {
            const float x = float_from_bits(sign << 31 | 0x7f800000u | payload);
            ck_assert_uint_eq(float_bits(elementary_exp(x)), 0x7fc00000u);
        }
    }
}
END_TEST

START_TEST(sigmoid_and_silu)
{
    EXPECT(elementary_sigmoid(0.0f), 0.5f);
    EXPECT(elementary_sigmoid(-0.0f), 0.5f);
    EXPECT(elementary_sigmoid(INFINITY), 1.0f);
    EXPECT(elementary_sigmoid(-INFINITY), 0.0f);
    EXPECT(elementary_sigmoid(30.0f), 1.0f);
    EXPECT(elementary_silu(0.0f), 0.0f);
    EXPECT(elementary_silu(-0.0f), -0.0f);
    EXPECT(elementary_silu(100.0f), 100.0f);
    EXPECT(elementary_silu(-100.0f), -0.0f); /* exp(100) is infinite */
    ck_assert(isnan(elementary_sigmoid(NAN)));
    ck_assert(isnan(elementary_silu(NAN)));
    ck_assert(isnan(elementary_silu(-INFINITY)));
    for (int i = -800; i <= 800; i++) {
        const float x = (float)i * 0.1f;
        const double expected = 1 / (1 + exp(-(double)x));
        ck_assert(fabs((double)elementary_sigmoid(x) - expected) < 3e-7 * expected);
        ck_assert(fabs((double)elementary_silu(x) - (double)x * expected) <=
                  4e-7 * fabs((double)x) * expected);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("elementary");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, exp_of_positive);
    tcase_add_test(tc, exp_of_negative);
    tcase_add_test(tc, exp_at_the_edges);
    tcase_add_test(tc, sigmoid_and_silu);
    return run_tests("elementary", tc);
}
