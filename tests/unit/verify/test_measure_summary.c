/* Measures of all positions together: ranks of numbers that are their own rank, sums by hand, and
 * statistics over sequences. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"
#include "verify/forward/interval.h"
#include "verify/forward/measure.h"

#define expect_close(found, expected, tolerance)                                                   \
    ck_assert_msg(fabs((double)((found) - (expected))) <= (tolerance),                             \
                  "%s: %.17g, expected %.17g", #found, (double)(found), (double)(expected))

/* `count` compared positions whose divergences are 1 … count, shuffled. */
static position_measure *shuffled(size_t count, uint64_t *state)
{
    position_measure *const p = calloc(count + 1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < count; i++) {
        const size_t j = oracle_random(state) % (i + 1);
        p[i] = p[j];
        p[j] = (position_measure){.kl = (double)(i + 1), .compared = true};
    }
    return p;
}

START_TEST(ranks)
{
    static const struct {
        size_t n, median, p99, p999;
    } cases[] = {
        {1, 1, 1, 1},           {2, 1, 2, 2},
        {3, 2, 3, 3},           {4, 2, 4, 4},
        {99, 50, 99, 99},       {100, 50, 99, 100},
        {101, 51, 100, 101},    {1000, 500, 990, 999},
        {1001, 501, 991, 1000}, {2000, 1000, 1980, 1998},
    };
    uint64_t state = random_seed(_i);
    for (int c = 0; c < COUNT(cases); c++) {
        const size_t n = cases[c].n;
        position_measure *const p = shuffled(n, &state);
        position_summary s;
        expect_ok(measure_summarize(p, n, 1, NULL, &s, NULL), NULL);
        ck_assert_uint_eq(s.compared, n);
        ck_assert_double_eq(s.kl_median, (double)cases[c].median);
        ck_assert_double_eq(s.kl_p99, (double)cases[c].p99);
        ck_assert_double_eq(s.kl_p999, (double)cases[c].p999);
        ck_assert_double_eq(s.kl_max, (double)n);
        ck_assert_double_eq(p[s.kl_max_index].kl, (double)n);
        ck_assert_double_eq(s.kl_mean, (double)(n + 1) / 2);
        if (n > 1) { /* the variance of 1 … n is n (n + 1) / 12 */
            expect_close(s.kl_standard_error, sqrt((double)(n + 1) / 12), 1e-12 * (double)n);
        } else {
            ck_assert(isnan(s.kl_standard_error));
        }
        free(p);
    }
}
END_TEST

START_TEST(summary_by_hand)
{
    const double ln2 = log(2);
    const position_measure p[4] = {
        {.kl = 0.25,
         .compared = true,
         .top1 = true,
         .top5 = true,
         .scored = true,
         .source_nll = ln2,
         .packed_nll = 2 * ln2,
         .max_difference = 1,
         .mean_difference = 0.5},
        {.kl = 0.75,
         .compared = true,
         .top1 = true,
         .scored = true,
         .source_nll = 3 * ln2,
         .packed_nll = 4 * ln2,
         .max_difference = 4,
         .mean_difference = 1},
        {.kl = 0.75,
         .compared = true,
         .top1 = true,
         .source_nll = NAN,
         .packed_nll = NAN,
         .max_difference = 2,
         .mean_difference = 0.25},
        {.kl = 0.25,
         .compared = true,
         .scored = true,
         .source_nll = 2 * ln2,
         .packed_nll = 3 * ln2,
         .max_difference = 3,
         .mean_difference = 0.25},
    };
    position_summary s;
    expect_ok(measure_summarize(p, 2, 2, NULL, &s, NULL), NULL);
    ck_assert_double_eq(s.kl_mean, 0.5);
    ck_assert_double_eq(s.kl_standard_error, 0); /* 0.5 in both sequences */
    ck_assert_double_eq(s.kl_low, 0.5);
    ck_assert_double_eq(s.kl_high, 0.5);
    ck_assert_double_eq(s.top1_low, 0.5);
    ck_assert_double_eq(s.top1_high, 1);
    expect_close(s.perplexity_ratio_low, 2, 1e-14);
    expect_close(s.perplexity_ratio_high, 2, 1e-14);
    ck_assert_double_eq(s.kl_median, 0.25);
    ck_assert_double_eq(s.kl_max, 0.75);
    ck_assert_uint_eq(s.kl_max_index, 1);
    ck_assert_double_eq(s.top1, 0.75);
    ck_assert_double_eq(s.top5, 0.25);
    ck_assert_double_eq(s.logit_max_difference, 4);
    ck_assert_double_eq(s.logit_mean_difference, 0.5);
    ck_assert_uint_eq(s.scored, 3);
    expect_close(s.source_perplexity, 4, 1e-14);
    expect_close(s.packed_perplexity, 8, 1e-14);
    expect_close(s.perplexity_ratio, 2, 1e-14);
}
END_TEST

START_TEST(summary_of_nothing_and_of_nan)
{
    position_measure p[3] = {{.kl = 1, .compared = true},
                             {.kl = NAN, .compared = true, .max_difference = NAN},
                             {.kl = 3, .compared = true, .max_difference = 5}};
    position_summary s;
    expect_ok(measure_summarize(p, 0, 3, NULL, &s, NULL), NULL);
    ck_assert(s.compared == 0 && s.scored == 0 && isnan(s.kl_mean) && isnan(s.source_perplexity));
    ck_assert(isnan(s.kl_standard_error) && isnan(s.kl_low) && isnan(s.top1_high));
    expect_ok(measure_summarize(p, 1, 3, NULL, &s, NULL), NULL);
    ck_assert(isnan(s.kl_mean) && isnan(s.kl_max) && isnan(s.logit_max_difference));
    ck_assert_uint_eq(s.kl_max_index, 1);
    ck_assert_double_eq(s.kl_median, 3);
}
END_TEST

/* ---- by sequence ----------------------------------------------- */

/* Two kinds of sequences: positions of a sequence are alike, so that a standard error over positions
 * would be too small, by the root of their number. */
START_TEST(statistics_are_over_sequences)
{
    enum { SEQUENCES = 10, LENGTH = 50 };
    static position_measure p[SEQUENCES * LENGTH];
    for (size_t i = 0; i < SEQUENCES * LENGTH; i++) {
        const bool odd = i / LENGTH % 2;
        const bool last = i % LENGTH + 1 == LENGTH;
        p[i] = (position_measure){.kl = odd ? 3 : 1,
                                  .compared = true,
                                  .scored = !last,
                                  .top1 = odd || i % 2,
                                  .source_nll = last ? NAN : 1,
                                  .packed_nll = last  ? NAN
                                                : odd ? 1.5
                                                      : 1};
    }
    position_summary s;
    expect_ok(measure_summarize(p, SEQUENCES, LENGTH, NULL, &s, NULL), NULL);
    double kl[SEQUENCES];
    double top1[SEQUENCES];
    double nll[SEQUENCES];
    for (size_t i = 0; i < SEQUENCES; i++) {
        kl[i] = i % 2 ? 3 : 1;
        top1[i] = i % 2 ? 1 : 0.5;
        nll[i] = i % 2 ? 0.5 : 0;
    }
    interval i;
    expect_ok(interval_of(kl, SEQUENCES, NULL, &i, NULL), NULL);
    ck_assert_double_eq(s.kl_mean, 2);
    expect_close(s.kl_standard_error, 1.0 / 3, 1e-15);
    ck_assert_double_eq(s.kl_standard_error, i.standard_error);
    ck_assert(s.kl_low == i.low && s.kl_high == i.high && 1 < i.low && i.low < i.high);
    expect_ok(interval_of(top1, SEQUENCES, NULL, &i, NULL), NULL);
    ck_assert(s.top1_low == i.low && s.top1_high == i.high && i.low < i.high);
    expect_ok(interval_of(nll, SEQUENCES, NULL, &i, NULL), NULL);
    expect_close(s.perplexity_ratio_low, exp(i.low), 1e-15);
    expect_close(s.perplexity_ratio_high, exp(i.high), 1e-15);
    ck_assert(1 < s.perplexity_ratio_low && s.perplexity_ratio_low < s.perplexity_ratio_high);
    expect_ok(measure_summarize(p, 1, LENGTH, NULL, &s, NULL), NULL);
    ck_assert(s.kl_mean == 1 && isnan(s.kl_standard_error) && isnan(s.kl_low) && isnan(s.kl_high) &&
              isnan(s.top1_low) && isnan(s.top1_high) && isnan(s.perplexity_ratio_low) &&
              isnan(s.perplexity_ratio_high));
}
END_TEST

static err_code summarized(void *ctx, const monitor *m, err *e)
{
    position_summary s;
    return measure_summarize(ctx, 2, 1, m, &s, e);
}

START_TEST(summaries_can_be_interrupted)
{
    position_measure p[2] = {{.kl = 1, .compared = true}, {.kl = 2, .compared = true}};
    err e = {0};
    question q = {.last = 2 + INTERVAL_RESAMPLES}; /* within the second interval */
    const monitor m = {.cancelled = answer, .ctx = &q};
    expect_error(summarized(p, &m, &e), ERR_CANCELLED, &e, "interrupted");
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("measure_summary");
    tcase_add_test(tc, ranks);
    tcase_add_test(tc, summary_by_hand);
    tcase_add_test(tc, summary_of_nothing_and_of_nan);
    tcase_add_test(tc, statistics_are_over_sequences);
    tcase_add_test(tc, summaries_can_be_interrupted);
    return run_tests("measure_summary", tc);
}
