/* Measures: distributions whose divergence is known, everything again in long double, hidden
 * states. test_measure_summary.c has all positions together. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"
#include "verify/forward/measure.h"

#define expect_close(found, expected, tolerance)                                                   \
    ck_assert_msg(fabs((double)((found) - (expected))) <= (tolerance),                             \
                  "%s: %.17g, expected %.17g", #found, (double)(found), (double)(expected))

static void expect_plus_zero(double x)
{
    const double zero = 0;
    ck_assert_mem_eq(&x, &zero, sizeof x);
}

/* ---- oracle ---------------------------------------------------- */

static long double log_sum(const float *z, size_t n)
{
    long double sum = 0;
    for (size_t v = 0; v < n; v++) {
        sum += expl((long double)z[v]);
    }
    return logl(sum);
}

static long double divergence(const float *a, const float *b, size_t n)
{
    const long double p_sum = log_sum(a, n);
    const long double q_sum = log_sum(b, n);
    long double kl = 0;
    for (size_t v = 0; v < n; v++) {
        const long double log_p = (long double)a[v] - p_sum;
        kl += expl(log_p) * (log_p - ((long double)b[v] - q_sum));
    }
    return kl;
}

/* How many tokens rank before token v? */
static size_t rank_of(const float *z, size_t n, size_t v)
{
    size_t before = 0;
    for (size_t i = 0; i < n; i++) {
        before += z[i] > z[v] || (z[i] == z[v] && i < v);
    }
    return before;
}

static bool tops_agree(const float *a, const float *b, size_t n, size_t k)
{
    for (size_t v = 0; v < n; v++) {
        if ((rank_of(a, n, v) < k) != (rank_of(b, n, v) < k)) {
            return false;
        }
    }
    return true;
}

/* ---- one position ---------------------------------------------- */

enum { VOCAB = 200000 };

static float *random_logits(size_t n, uint64_t *state, float spread)
{
    float *const z = malloc(n * sizeof *z);
    ck_assert_ptr_nonnull(z);
    for (size_t v = 0; v < n; v++) {
        const double unit = (double)(oracle_random(state) >> 11) * 0x1p-53;
        z[v] = (float)((unit - 0.5) * 2) * spread;
    }
    return z;
}

/* Measure one position; `packed`: NULL for none. */
static void measure_pair(const float *source, const float *packed, size_t vocab, int64_t target,
                         position_measure *out)
{
    const softmax_kernel *const k = &softmax_kernel_baseline;
    const measure_row a = measure_prepare(k, source, vocab);
    const measure_row b = packed ? measure_prepare(k, packed, vocab) : a;
    measure_position(k, &a, packed ? &b : NULL, target, out);
}

START_TEST(one_logit_against_uniform)
{
    /* KL(uniform || one token lifted by a) = ln((n - 1 + e^a) / n) - a / n */
    static float flat[1000];
    static float lifted[1000];
    position_measure m;
    lifted[7] = 3.5F;
    measure_pair(flat, lifted, 1000, 7, &m);
    expect_close(m.kl, log((999 + exp(3.5)) / 1000) - 3.5 / 1000, 1e-15);
    expect_close(m.source_nll, log(1000), 1e-14);
    expect_close(m.packed_nll, log(999 + exp(3.5)) - 3.5, 1e-14);
    ck_assert_double_eq(m.max_difference, 3.5);
    expect_close(m.mean_difference, 0.0035, 1e-18);
    ck_assert(m.compared && m.scored);
    ck_assert(!m.top1 && !m.top5); /* of equal logits the tokens 0 … 4; then 7, 0 … 3 */
    measure_pair(lifted, flat, 1000, -1, &m);
    const double p = exp(3.5) / (999 + exp(3.5));
    expect_close(m.kl, 3.5 * p - log((999 + exp(3.5)) / 1000), 1e-15);
    ck_assert(!m.scored && isnan(m.source_nll) && isnan(m.packed_nll));
}
END_TEST

START_TEST(direction_by_hand)
{
    /* p = (3/4, 1/4), q = (1/4, 3/4): 3/4 ln 3 - 1/4 ln 3; the logits are floats near it */
    const float a[2] = {(float)log(3), 0};
    const float b[2] = {0, (float)log(3)};
    position_measure m;
    measure_pair(a, b, 2, 1, &m);
    expect_close(m.kl, log(3) / 2, 1e-7);
    expect_close(m.source_nll, log(4), 1e-7);
    expect_close(m.packed_nll, log(4) - log(3), 1e-7);
}
END_TEST

START_TEST(row_with_itself_is_zero)
{
    uint64_t state = random_seed(_i);
    float *const z = random_logits(VOCAB, &state, _i == 0 ? 1e30F : 30);
    float *const same = malloc(VOCAB * sizeof *same);
    ck_assert_ptr_nonnull(same);
    memcpy(same, z, VOCAB * sizeof *same);
    position_measure m;
    measure_pair(z, same, VOCAB, 123, &m);
    expect_plus_zero(m.kl);
    expect_plus_zero(m.max_difference);
    expect_plus_zero(m.mean_difference);
    ck_assert(m.top1 && m.top5);
    ck_assert_mem_eq(&m.source_nll, &m.packed_nll, sizeof m.source_nll);
    free(z);
    free(same);
}
END_TEST

/* Packed is the source plus noise of 2 to the power of -2, -10, -18. */
START_TEST(agrees_with_long_double)
{
    uint64_t state = random_seed(_i);
    float *const a = random_logits(VOCAB, &state, 12);
    float *const b = random_logits(VOCAB, &state, ldexpf(1, -2 - 8 * _i));
    long double sum = 0;
    float max = 0;
    for (size_t v = 0; v < VOCAB; v++) {
        b[v] += a[v];
        sum += fabsl((long double)b[v] - (long double)a[v]);
        max = fmaxf(max, fabsf(b[v] - a[v])); /* exact: the two are close */
    }
    position_measure m;
    measure_pair(a, b, VOCAB, VOCAB - 1, &m);
    const long double expected = divergence(a, b, VOCAB);
    ck_assert(expected > 0);
    expect_close(m.kl, expected, 1e-15); /* sums of terms up to 1e-2 end in these digits */
    expect_close(m.source_nll, log_sum(a, VOCAB) - (long double)a[VOCAB - 1], 1e-14);
    expect_close(m.packed_nll, log_sum(b, VOCAB) - (long double)b[VOCAB - 1], 1e-14);
    expect_close(m.mean_difference, sum / VOCAB, 1e-12 * (double)sum / VOCAB);
    ck_assert_float_eq((float)m.max_difference, max);
    free(a);
    free(b);
}
END_TEST

/* Few values, so that there are ties; few tokens, sometimes fewer than five. */
START_TEST(tops_with_ties)
{
    uint64_t state = random_seed(_i);
    size_t agreed1 = 0;
    size_t agreed5 = 0;
    for (int round = 0; round < 2000; round++) {
        const size_t n = 1 + oracle_random(&state) % 12;
        float a[12];
        float b[12];
        for (size_t v = 0; v < n; v++) {
            a[v] = (float)(oracle_random(&state) % 4) - 1;
            b[v] = oracle_random(&state) % 4 ? a[v] : (float)(oracle_random(&state) % 4) - 1;
        }
        position_measure m;
        measure_pair(a, b, n, -1, &m);
        ck_assert_int_eq(m.top1, tops_agree(a, b, n, 1));
        ck_assert_int_eq(m.top5, tops_agree(a, b, n, 5));
        agreed1 += m.top1;
        agreed5 += m.top5;
    }
    ck_assert(agreed1 > 200 && agreed1 < 1990 && agreed5 > 200 && agreed5 < 1990);
}
END_TEST

START_TEST(one_side_only)
{
    const float z[3] = {1, 2, 3};
    position_measure m;
    measure_pair(z, NULL, 3, 0, &m);
    expect_close(m.source_nll, log(exp(1) + exp(2) + exp(3)) - 1, 1e-15);
    ck_assert(m.scored && !m.compared);
    ck_assert(isnan(m.kl) && isnan(m.packed_nll) && isnan(m.max_difference));
    position_summary s;
    expect_ok(measure_summarize(&m, 1, 1, NULL, &s, NULL), NULL);
    expect_close(s.source_perplexity, exp(m.source_nll), 1e-14);
    ck_assert_uint_eq(s.scored, 1);
    ck_assert_uint_eq(s.compared, 0);
    ck_assert(isnan(s.kl_mean) && isnan(s.kl_max) && isnan(s.kl_p99) && isnan(s.top1));
    ck_assert(isnan(s.logit_max_difference) && isnan(s.logit_mean_difference));
    ck_assert(isnan(s.packed_perplexity) && isnan(s.perplexity_ratio));
}
END_TEST

START_TEST(not_a_number_is_seen)
{
    const float a[6] = {1, 2, 3, 4, 5, 6};
    for (size_t v = 0; v < 6; v++) {
        float b[6];
        memcpy(b, a, sizeof b);
        b[v] = NAN;
        position_measure m;
        measure_pair(a, b, 6, 0, &m);
        ck_assert(isnan(m.kl) && isnan(m.max_difference) && isnan(m.mean_difference));
        ck_assert(isnan(m.packed_nll) && !isnan(m.source_nll));
    }
}
END_TEST

/* ---- hidden states --------------------------------------------- */

START_TEST(hidden_by_hand)
{
    const float a[2] = {3, 4};
    const float b[2] = {4, 3};
    hidden_sums s = {0};
    hidden_sums_add(&s, a, b, 2);
    expect_close(hidden_relative_rms(&s), sqrt(2) / 5, 1e-16);
    expect_close(hidden_cosine(&s), 0.96, 1e-16);
    const float zero[2] = {0, 0};
    hidden_sums_add(&s, zero, a, 2); /* over both rows */
    expect_close(hidden_relative_rms(&s), sqrt(27) / 5, 1e-15);
    expect_close(hidden_cosine(&s), 24 / sqrt(25 * 50), 1e-15);
}
END_TEST

START_TEST(hidden_of_equals)
{
    uint64_t state = random_seed(_i);
    static const float scales[] = {1e-45F, 1e-20F, 1, 1e38F};
    for (int c = 0; c < COUNT(scales); c++) {
        float *const a = random_logits(1000, &state, 1);
        float *const x = random_logits(1000, &state, scales[c]);
        for (size_t i = 0; i < 1000; i++) {
            a[i] *= scales[c];
        }
        hidden_sums s = {0};
        hidden_sums increment = {0};
        hidden_sums_add(&s, a, a, 1000);
        hidden_sums_add_increment(&increment, x, a, a, 1000);
        ck_assert(s.source_sq > 0);
        expect_plus_zero(hidden_relative_rms(&s));
        expect_plus_zero(hidden_relative_rms(&increment));
        ck_assert_double_eq(hidden_cosine(&s), 1);
        ck_assert_double_eq(hidden_cosine(&increment), 1);
        free(a);
        free(x);
    }
}
END_TEST

START_TEST(hidden_of_zeros)
{
    const float zero[3] = {0, -0.0F, 0};
    const float one[3] = {0, 1, 0};
    hidden_sums s = {0};
    hidden_sums_add(&s, zero, zero, 3);
    expect_plus_zero(hidden_relative_rms(&s));
    ck_assert_double_eq(hidden_cosine(&s), 1);
    hidden_sums_add(&s, zero, one, 3);
    ck_assert(isinf(hidden_relative_rms(&s)));
    ck_assert_double_eq(hidden_cosine(&s), 0);
    s = (hidden_sums){0};
    hidden_sums_add(&s, one, zero, 3);
    ck_assert_double_eq(hidden_relative_rms(&s), 1);
    ck_assert_double_eq(hidden_cosine(&s), 0);
    const float bad[3] = {0, NAN, 0};
    hidden_sums_add(&s, one, bad, 3);
    ck_assert(isnan(hidden_relative_rms(&s)) && isnan(hidden_cosine(&s)));
}
END_TEST

START_TEST(increments)
{
    /* increments (3, 4) and (3.5, 4) on top of a large residual */
    const float x[2] = {0x1p20F, -0x1p20F};
    const float a[2] = {0x1p20F + 3, -0x1p20F + 4};
    const float b[2] = {0x1p20F + 3.5F, -0x1p20F + 4};
    hidden_sums s = {0};
    hidden_sums_add_increment(&s, x, a, b, 2);
    expect_close(hidden_relative_rms(&s), 0.1, 1e-16);
    expect_close(hidden_cosine(&s), 26.5 / (5 * sqrt(28.25)), 1e-15);
    const float tiny[2] = {0x1p-30F, 0};
    const float other[2] = {0x1p-30F, 0x1p-10F};
    s = (hidden_sums){0};
    hidden_sums_add_increment(&s, x, tiny, other, 2); /* differences that float32 cannot hold */
    expect_close(s.difference_sq, 0x1p-20, 0x1p-60);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("measure");
    tcase_add_test(tc, one_logit_against_uniform);
    tcase_add_test(tc, direction_by_hand);
    tcase_add_loop_test(tc, row_with_itself_is_zero, 0, 2);
    tcase_add_loop_test(tc, agrees_with_long_double, 0, 3);
    tcase_add_loop_test(tc, tops_with_ties, 0, 2);
    tcase_add_test(tc, one_side_only);
    tcase_add_test(tc, not_a_number_is_seen);
    tcase_add_test(tc, hidden_by_hand);
    tcase_add_test(tc, hidden_of_equals);
    tcase_add_test(tc, hidden_of_zeros);
    tcase_add_test(tc, increments);
    return run_tests("measure", tc);
}
