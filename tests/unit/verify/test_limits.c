/* Limits: the defaults, what a file changes, and which values fail. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "verify/forward/limits.h"

static limits defaults(void)
{
    limits l;
    limits_default(&l);
    return l;
}

static err_code parse(limits *l, const char *text, err *e)
{
    return limits_parse(l, "L", text, strlen(text), e);
}

/* ---- the table ------------------------------------------------- */

START_TEST(built_in)
{
    const limits l = defaults();
    int found = 0;
    for (int m = 0; m < METRIC_COUNT; m++) {
        found += !isnan(l.bounds[LIMITS_F32][m]);
        ck_assert(metrics[m].limit != LIMIT_NONE || isnan(l.bounds[LIMITS_F32][m]));
    }
    ck_assert_int_eq(found, 1);
    ck_assert_double_eq(l.bounds[LIMITS_F32][METRIC_REFERENCE_ERROR], 0.03);
    ck_assert_double_eq(l.bounds[LIMITS_FP8][METRIC_REFERENCE_ERROR], 0.03);
}
END_TEST

/* ---- files ----------------------------------------------------- */

START_TEST(file_changes_what_it_names)
{
    limits l = defaults();
    limits expected = defaults();
    err e = {0};
    expect_ok(parse(&l, "{\"octavo_limits\": 1}", &e), &e);
    ck_assert_mem_eq(&l, &expected, sizeof l);
    scratch_text("limits.json", "{\"f32\": {\"local_error\": 0.05, \"kl_mean\": null, \"top5\": 1},"
                                " \"octavo_limits\": 1, \"fp8\": {\"kl_max\": 2}}");
    expect_ok(limits_read(scratch("limits.json"), &l, &e), &e);
    ck_assert(isnan(l.bounds[LIMITS_F32][METRIC_KL_MEAN]));
    expected.bounds[LIMITS_F32][METRIC_LOCAL_ERROR] = 0.05;
    expected.bounds[LIMITS_F32][METRIC_KL_MEAN] = l.bounds[LIMITS_F32][METRIC_KL_MEAN];
    expected.bounds[LIMITS_F32][METRIC_TOP5] = 1;
    expected.bounds[LIMITS_FP8][METRIC_KL_MAX] = 2;
    ck_assert_mem_eq(&l, &expected, sizeof l);
    expect_ok(parse(&l, "{\"octavo_limits\": 1, \"f32\": {\"kl_mean\": 0}}", &e), &e);
    expected.bounds[LIMITS_F32][METRIC_KL_MEAN] = 0;
    ck_assert_mem_eq(&l, &expected, sizeof l);
}
END_TEST

#define F32(metrics) "{\"octavo_limits\": 1, \"f32\": {\"kl_max\": 3, " metrics "}}"

static const struct {
    const char *text, *why;
} broken[] = {
    {"", "L: line 1"},
    {"[1]", "not a file of limits: \"octavo_limits\" has to be 1"},
    {"{}", "not a file of limits"},
    {"{\"octavo_limits\": 2}", "has to be 1"},
    {"{\"octavo_limits\": 1.0}", "has to be 1"},
    {"{\"octavo_limits\": true}", "has to be 1"},
    {"{\"octavo_limits\": 1, \"F32\": {}}", "unknown key \"F32\""},
    {"{\"octavo_limits\": 1, \"kl_mean\": 1}", "unknown key \"kl_mean\""},
    {"{\"octavo_limits\": 1, \"f32\": {}, \"f32\": {}}", "duplicate"},
    {"{\"octavo_limits\": 1, \"f32\": null}", "\"f32\" is not an object"},
    {"{\"octavo_limits\": 1, \"fp8\": [0.1]}", "\"fp8\" is not an object"},
    {F32("\"kl\": 1"), "\"f32\": unknown metric \"kl\""},
    {F32("\"top1\": \"0.9\""), "\"f32\": \"top1\" is neither a number nor null"},
    {F32("\"top1\": true"), "\"top1\" is neither"},
    {F32("\"top1\": {}"), "\"top1\" is neither"},
    {F32("\"kl_mean\": -1e-9"), "\"kl_mean\": expected 0 or more, found -1e-09"},
    {F32("\"kl_mean\": -3"), "\"kl_mean\": expected 0 or more, found -3"},
    {F32("\"kl_mean\": NaN"), "L: line 1"},
    {F32("\"kl_mean\": Infinity"), "L: line 1"},
    {F32("\"kl_mean\": 1e999"), "L: line 1"},
    {F32("\"top1\": 90"), "\"top1\": expected 0 to 1, found 90"},
    {F32("\"hidden_cosine\": 1.0000001"), "\"hidden_cosine\": expected 0 to 1"},
};

START_TEST(broken_text)
{
    const limits before = defaults();
    limits l = defaults();
    err e = {0};
    expect_error(parse(&l, broken[_i].text, &e), ERR_INPUT, &e, broken[_i].why);
    ck_assert_mem_eq(&l, &before, sizeof l);
}
END_TEST

START_TEST(unknown_metric_names_the_known)
{
    limits l = defaults();
    err e = {0};
    ck_assert_int_eq(parse(&l, F32("\"klmean\": 1"), &e), ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(e.hint, "metrics: local_error hidden_rms"));
    ck_assert_str_eq(strrchr(e.hint, ' '), " reference_error");
}
END_TEST

START_TEST(no_file)
{
    limits l = defaults();
    err e = {0};
    expect_error(limits_read(scratch("none"), &l, &e), ERR_IO, &e, "cannot open");
    scratch_text("bad", "{\"octavo_limits\": 3}");
    expect_error(limits_read(scratch("bad"), &l, &e), ERR_INPUT, &e, "/bad: not a file of limits");
}
END_TEST

/* ---- judging --------------------------------------------------- */

static void expect_failure(const limit_failures *f, size_t i, metric m, int64_t layer,
                           double measured, double limit)
{
    ck_assert_uint_lt(i, f->count);
    ck_assert_int_eq(f->items[i].of, m);
    ck_assert_int_eq(f->items[i].layer, layer);
    ck_assert_mem_eq(&f->items[i].measured, &measured, sizeof measured);
    ck_assert_double_eq(f->items[i].limit, limit);
}

/* Limits that only these tests have. */
static limits strict(void)
{
    limits l = defaults();
    l.bounds[LIMITS_F32][METRIC_LOCAL_ERROR] = 0.045;
    l.bounds[LIMITS_F32][METRIC_TOP1] = 0.9;
    return l;
}

START_TEST(judges_both_kinds)
{
    const limits l = strict();
    limit_failures f = {0};
    err e = {0};
    const double layers[5] = {0.04, 0.045, nextafter(0.045, 1), NAN, 0};
    expect_ok(limits_judge(&l, LIMITS_F32, METRIC_LOCAL_ERROR, layers, 3, 5, &f, &e), &e);
    ck_assert_uint_eq(f.count, 2);
    const double top1[3] = {0.9, nextafter(0.9, 0), NAN};
    for (int i = 0; i < 3; i++) {
        expect_ok(limits_judge(&l, LIMITS_F32, METRIC_TOP1, &top1[i], -1, 1, &f, &e), &e);
    }
    ck_assert_uint_eq(f.count, 4);
    expect_failure(&f, 0, METRIC_LOCAL_ERROR, 5, layers[2], 0.045);
    expect_failure(&f, 1, METRIC_LOCAL_ERROR, 6, layers[3], 0.045);
    expect_failure(&f, 2, METRIC_TOP1, -1, top1[1], 0.9);
    expect_failure(&f, 3, METRIC_TOP1, -1, top1[2], 0.9);
    limit_failures_free(&f);
    ck_assert(f.items == NULL && f.count == 0 && f.capacity == 0);
}
END_TEST

START_TEST(without_a_limit_nothing_fails)
{
    limits l = defaults();
    limit_failures f = {0};
    err e = {0};
    const double bad[2] = {NAN, INFINITY};
    expect_ok(limits_judge(&l, LIMITS_F32, METRIC_KL_MAX, bad, 0, 2, &f, &e), &e);
    ck_assert_uint_eq(f.count, 0);
    l.bounds[LIMITS_FP8][METRIC_KL_MAX] = 1e308; /* the other column */
    expect_ok(limits_judge(&l, LIMITS_F32, METRIC_KL_MAX, bad, 0, 2, &f, &e), &e);
    ck_assert_uint_eq(f.count, 0);
    expect_ok(limits_judge(&l, LIMITS_FP8, METRIC_KL_MAX, bad, 0, 2, &f, &e), &e);
    ck_assert_uint_eq(f.count, 2);
    limit_failures_free(&f);
}
END_TEST

START_TEST(many_failures)
{
    const limits l = strict();
    limit_failures f = {0};
    err e = {0};
    double layers[100];
    for (int i = 0; i < 100; i++) {
        layers[i] = i;
    }
    expect_ok(limits_judge(&l, LIMITS_F32, METRIC_LOCAL_ERROR, layers, 0, 100, &f, &e), &e);
    ck_assert_uint_eq(f.count, 99);
    for (size_t i = 0; i < 99; i++) {
        expect_failure(&f, i, METRIC_LOCAL_ERROR, (int64_t)i + 1, (double)i + 1, 0.045);
    }
    limit_failures_free(&f);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("limits");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, built_in);
    tcase_add_test(tc, file_changes_what_it_names);
    tcase_add_loop_test(tc, broken_text, 0, COUNT(broken));
    tcase_add_test(tc, unknown_metric_names_the_known);
    tcase_add_test(tc, no_file);
    tcase_add_test(tc, judges_both_kinds);
    tcase_add_test(tc, without_a_limit_nothing_fails);
    tcase_add_test(tc, many_failures);
    return run_tests("limits", tc);
}
