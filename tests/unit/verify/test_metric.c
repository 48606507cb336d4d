/* The list of metrics: which ones can have a limit, and that each row reads the number it names. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "verify/forward/metric.h"

START_TEST(each_has_its_row)
{
    static const struct {
        const char *name;
        metric_scope scope;
        metric_limit limit;
    } expected[METRIC_COUNT] = {
        {"local_error", SCOPE_LAYER, LIMIT_MAXIMUM},
        {"other_slope_error", SCOPE_SLOPES, LIMIT_NONE},
        {"hidden_rms", SCOPE_LAYER, LIMIT_MAXIMUM},
        {"hidden_cosine", SCOPE_LAYER, LIMIT_MINIMUM},
        {"router_agreement", SCOPE_ROUTER, LIMIT_MINIMUM},
        {"kl_mean", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"kl_standard_error", SCOPE_SUMMARY, LIMIT_NONE},
        {"kl_low", SCOPE_SUMMARY, LIMIT_NONE},
        {"kl_high", SCOPE_SUMMARY, LIMIT_NONE},
        {"kl_median", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"kl_p99", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"kl_p999", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"kl_max", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"kl_choice", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"kl_routing", SCOPE_SUMMARY, LIMIT_NONE},
        {"top1", SCOPE_SUMMARY, LIMIT_MINIMUM},
        {"top1_low", SCOPE_SUMMARY, LIMIT_NONE},
        {"top1_high", SCOPE_SUMMARY, LIMIT_NONE},
        {"top5", SCOPE_SUMMARY, LIMIT_MINIMUM},
        {"source_perplexity", SCOPE_SUMMARY, LIMIT_NONE},
        {"packed_perplexity", SCOPE_SUMMARY, LIMIT_NONE},
        {"perplexity_ratio", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"perplexity_ratio_low", SCOPE_SUMMARY, LIMIT_NONE},
        {"perplexity_ratio_high", SCOPE_SUMMARY, LIMIT_NONE},
        {"logit_mean_difference", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"logit_max_difference", SCOPE_SUMMARY, LIMIT_MAXIMUM},
        {"reference_error", SCOPE_REFERENCE, LIMIT_MAXIMUM},
    };
    for (int m = 0; m < METRIC_COUNT; m++) {
        ck_assert_str_eq(metrics[m].name, expected[m].name);
        ck_assert_int_eq(metrics[m].scope, expected[m].scope);
        ck_assert_int_eq(metrics[m].limit, expected[m].limit);
        ck_assert(m == METRIC_REFERENCE_ERROR || isnan(metrics[m].bound));
    }
}
END_TEST

START_TEST(layers_are_read)
{
    layer_measure l = layer_unmeasured();
    for (metric m = 0; m < METRIC_COUNT; m++) {
        ck_assert(metrics[m].scope == SCOPE_SUMMARY || isnan(metric_of_layer(m, &l)));
    }
    l.local_error = 1;
    l.other_slope_error = 2;
    l.hidden_rms = 3;
    l.hidden_cosine = 4;
    l.router_agreement = 5;
    ck_assert_double_eq(metric_of_layer(METRIC_LOCAL_ERROR, &l), 1);
    ck_assert_double_eq(metric_of_layer(METRIC_OTHER_SLOPE_ERROR, &l), 2);
    ck_assert_double_eq(metric_of_layer(METRIC_HIDDEN_RMS, &l), 3);
    ck_assert_double_eq(metric_of_layer(METRIC_HIDDEN_COSINE, &l), 4);
    ck_assert_double_eq(metric_of_layer(METRIC_ROUTER_AGREEMENT, &l), 5);
    ck_assert_double_eq(metric_of_layer(METRIC_REFERENCE_ERROR, &l), 1);
}
END_TEST

START_TEST(summaries_are_read)
{
    const position_summary s = {.kl_mean = 1,
                                .kl_low = 7,
                                .top1_high = 8,
                                .perplexity_ratio_low = 9,
                                .kl_p999 = 2,
                                .top1 = 3,
                                .perplexity_ratio = 4,
                                .logit_mean_difference = 5,
                                .logit_max_difference = 6};
    ck_assert_double_eq(metric_of_summary(METRIC_KL_MEAN, &s), 1);
    ck_assert_double_eq(metric_of_summary(METRIC_KL_P999, &s), 2);
    ck_assert_double_eq(metric_of_summary(METRIC_TOP1, &s), 3);
    ck_assert_double_eq(metric_of_summary(METRIC_PERPLEXITY_RATIO, &s), 4);
    ck_assert_double_eq(metric_of_summary(METRIC_LOGIT_MEAN_DIFFERENCE, &s), 5);
    ck_assert_double_eq(metric_of_summary(METRIC_LOGIT_MAX_DIFFERENCE, &s), 6);
    ck_assert_double_eq(metric_of_summary(METRIC_KL_LOW, &s), 7);
    ck_assert_double_eq(metric_of_summary(METRIC_TOP1_HIGH, &s), 8);
    ck_assert_double_eq(metric_of_summary(METRIC_PERPLEXITY_RATIO_LOW, &s), 9);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("metric");
    tcase_add_test(tc, each_has_its_row);
    tcase_add_test(tc, layers_are_read);
    tcase_add_test(tc, summaries_are_read);
    return run_tests("metric", tc);
}
