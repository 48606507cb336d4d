/* Statistics in a packed file whose weights are right: every field of every slice is compared. */
#include <math.h>

#include "format/pack/pack_layout.h"
#include "tests/aid/weights_case.h"

typedef void change(pack_stat *s);

static void amax(pack_stat *s)
{
    s->amax = nextafterf(s->amax, 0);
}

static void scale_min(pack_stat *s)
{
    s->scale_min = nextafterf(s->scale_min, 0);
}

static void scale_max(pack_stat *s)
{
    s->scale_max = nextafterf(s->scale_max, INFINITY);
}

static void saturated(pack_stat *s)
{
    s->saturated++;
}

static void zero(pack_stat *s)
{
    s->zero++;
}

static void flushed(pack_stat *s)
{
    s->flushed++;
}

static void source_sum(pack_stat *s)
{
    s->sum_sq_source *= 1 + 1e-4;
}

static void error_sum(pack_stat *s)
{
    s->sum_sq_error *= 1 + 1e-4;
}

/* float32 sums may differ by so much. */
static void rounding(pack_stat *s)
{
    s->sum_sq_source *= 1 - 1e-7;
    s->sum_sq_error *= 1 + 1e-7;
}

static change *const changes[] = {amax, scale_min, scale_max,  saturated,
                                  zero, flushed,   source_sum, error_sum};

static small_pack pack;

/* Changes row `row` of STAT, and compares. */
static void compare_changed(change *c, uint64_t row)
{
    static const weights_options how = {.threads = 2, .memory = 64 << 20};
    checkpoint *cp = NULL;
    pack_stat s;
    err e = {0};
    unsigned char *const at =
        pack.bytes + small_pack_section(&pack, TAG_STAT)->off + row * PACK_STAT_BYTES;
    ck_assert(pack_stat_decode(at, &s));
    c(&s);
    pack_stat_encode(&s, at);
    small_pack_sign(&pack, pack.bytes);
    scratch_write("a.octavo", pack.bytes, pack.length);
    mkdir(scratch("source"), 0777);
    small_checkpoint_write(&small_model_default, scratch("source"));
    expect_ok(pack_open(scratch("a.octavo"), &file, &e), &e);
    expect_ok(checkpoint_open(scratch("source"), NULL, &cp, &e), &e);
    expect_ok(weights_check(file, cp, &how, NULL, &report, &e), &e);
    checkpoint_close(cp);
}

static void setup(void)
{
    scratch_make();
    small_pack_build(&small_model_default, &(small_options){0}, &pack);
    ck_assert_uint_gt(pack.table.stat_count, 1);
}

static void end(void)
{
    small_pack_free(&pack);
    weights_case_end();
}

START_TEST(each_field_counts)
{
    compare_changed(changes[_i / 2], _i % 2 ? pack.table.stat_count - 1 : 0);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE("the statistics (STAT) of slice", "do not match its codes");
    ck_assert_uint_eq(report.wrong_tensors, 0);
}
END_TEST

START_TEST(roundings_do_not)
{
    compare_changed(rounding, 0);
    ck_assert_uint_eq(report.difference_count, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("compare_stats");
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_loop_test(tc, each_field_counts, 0, 2 * COUNT(changes));
    tcase_add_test(tc, roundings_do_not);
    return run_tests("compare_stats", tc);
}
