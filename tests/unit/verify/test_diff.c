/* Differences of models: what digests leave unread, stacks of other heights, one wrong code in the
 * last chunk, and the same findings with any number of threads. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"
#include "verify/diff/diff.h"

#define STACK  "model.layers.0.mlp.experts.*.down_proj.weight"
#define MEMBER "model.layers.0.mlp.experts.2.down_proj.weight"
#define WIDE   "model.layers.0.mlp.down_proj.weight"
#define CUBE   "model.layers.1.mlp.experts.gate_up_proj"

enum { WIDE_ROWS = 260, WIDE_COLS = 16500, ACROSS = 129 };

/* A row of tiles of WIDE is a chunk of its own. */
#define TENSORS(height)                                                                            \
    {"model.norm.weight", DTYPE_BF16, 1, {77}, false},                                             \
        {STACK, DTYPE_BF16, 3, {height, 140, 150}, true},                                          \
        {WIDE, DTYPE_F32, 2, {WIDE_ROWS, WIDE_COLS}, true},                                        \
        {CUBE, DTYPE_F16, 3, {2, 130, 140}, true},                                                 \
        {"model.layers.1.mlp.experts.*.bias", DTYPE_F32, 3, {3, 2, 5}, false},                     \
        {"scalar", DTYPE_I64, 0, {0}, false}, {"empty", DTYPE_F32, 2, {0, 4}, false},

static const small_tensor three[] = {TENSORS(3)};
static const small_tensor four[] = {TENSORS(4)};
static const small_model model = {three, COUNT(three), "{\"a\": 1}", 5};
static const small_model higher = {four, COUNT(four), "{\"a\": 2, \"b\": {}}", 5};

static err e;
static diff_options options;
static diff_report found;
static store *a, *b;

static void setup(void)
{
    e = (err){0};
    options = (diff_options){.threads = 2, .memory = 64 * MIB};
    scratch_make();
}

static void forget(void)
{
    diff_report_free(&found);
    store_close(a);
    store_close(b);
    a = b = NULL;
}

static void teardown(void)
{
    forget();
    scratch_remove();
}

/* A packed file; `tamper` changes bytes before they are digested. */
static void write_pack(const char *name, const small_model *of,
                       void (*tamper)(small_pack *, const void *), bool sha256)
{
    small_pack p;
    small_pack_build(of, &(small_options){.tamper = tamper, .sha256 = sha256}, &p);
    scratch_write(name, p.bytes, p.length);
    small_pack_free(&p);
}

static void write_source(const char *name, const small_model *of)
{
    ck_assert_int_eq(mkdir(scratch(name), 0777), 0);
    small_checkpoint_write(of, scratch(name));
}

static void run(const char *left, const char *right)
{
    forget();
    expect_ok(store_open(scratch(left), NULL, &a, &e), &e);
    expect_ok(store_open(scratch(right), NULL, &b, &e), &e);
    expect_ok(diff_run(a, b, &options, NULL, &found, &e), &e);
}

static const diff_result *result(const char *name)
{
    for (size_t i = 0; i < found.count; i++) {
        if (strcmp(found.results[i].name, name) == 0) {
            return &found.results[i];
        }
    }
    ck_abort_msg("no result for %s", name);
    return NULL;
}

static void expect_counts(uint64_t alike, uint64_t different, uint64_t only_a, uint64_t only_b)
{
    ck_assert_uint_eq(found.alike, alike);
    ck_assert_uint_eq(found.different, different);
    ck_assert_uint_eq(found.only_a, only_a);
    ck_assert_uint_eq(found.only_b, only_b);
}

/* Tensors of the model, and their bytes as codes and as source. */
enum { NAMES = 11 };

START_TEST(digests_spare_the_reading)
{
    write_pack("p", &model, NULL, false);
    write_pack("q", &model, NULL, true);
    run("p", "p");
    expect_counts(NAMES, 0, 0, 0);
    ck_assert_uint_eq(found.bytes_read, 0);
    ck_assert_uint_eq(found.files_alike, 2); /* config.json and a license */
    run("p", "q");                           /* digests of two kinds cannot be compared */
    expect_counts(NAMES, 0, 0, 0);
    ck_assert_uint_gt(found.bytes_read, 0);
    const uint64_t all = found.bytes_read;
    options.full = true;
    run("p", "p");
    expect_counts(NAMES, 0, 0, 0);
    ck_assert_uint_eq(found.bytes_read, all);
}
END_TEST

/* Chunks of the members are equal, that of the scales is not: it holds more scales. */
START_TEST(stacks_of_two_heights)
{
    write_pack("p", &model, NULL, false);
    write_pack("q", &higher, NULL, false);
    run("p", "q");
    expect_counts(NAMES, 0, 0, 1);
    ck_assert_uint_eq(found.bytes_read, 2 * 3 * 140 * 150);
    ck_assert_uint_eq(result("model.layers.0.mlp.experts.3.down_proj.weight")->what, DIFF_ONLY_B);
    ck_assert_uint_eq(found.files.count, 2);
    ck_assert_str_eq(found.files.items[0], "file config.json: a: 1 in A, 2 in B");
    ck_assert_str_eq(found.files.items[1], "file config.json: b: only in B");
    ck_assert_uint_eq(found.files_different, 1);
}
END_TEST

/* The code before the last one of WIDE, the last scale of CUBE, an element of a kept stack. */
static void tamper(small_pack *p, const void *ctx)
{
    (void)ctx;
    const pack_record *const wide = pack_table_find(&p->table, WIDE);
    const pack_record *const scales = pack_table_find(&p->table, CUBE "_scale_inv");
    const pack_record *const bias = pack_table_find(&p->table, "model.layers.1.mlp.experts.*.bias");
    p->bytes[wide->off + wide->len - 2] ^= 0x80;
    p->bytes[scales->off + scales->len - 2] ^= 1;
    p->bytes[bias->off + 4 * 27 + 3] ^= 0x80;
}

static void expect_tampered(unsigned wide, unsigned cube, unsigned bias)
{
    const diff_result *const w = result(WIDE);
    const diff_result *const c = result(CUBE);
    const diff_result *const k = result("model.layers.1.mlp.experts.2.bias");
    expect_counts(NAMES - 3, 3, 0, 0);
    ck_assert_uint_eq(w->what, wide);
    ck_assert_uint_eq(w->elements, (uint64_t)WIDE_ROWS * WIDE_COLS);
    ck_assert_uint_eq(w->different, 1);
    ck_assert_uint_eq(w->first, (uint64_t)WIDE_ROWS * WIDE_COLS - 2);
    ck_assert_uint_eq(w->different_scales, 0);
    ck_assert_uint_eq(c->what, cube);
    ck_assert_uint_eq(c->different, 0);
    ck_assert_uint_eq(c->different_scales, 1);
    ck_assert_uint_eq(c->first_scale, 7);
    ck_assert(c->largest > 0);
    ck_assert_uint_eq(k->what, bias);
    ck_assert_uint_eq(k->different, 1);
    ck_assert_uint_eq(k->first, 7);
}

START_TEST(one_wrong_code)
{
    write_pack("p", &model, NULL, false);
    write_pack("q", &model, tamper, false);
    run("p", "q");
    expect_tampered(DIFF_CODES, DIFF_SCALES, DIFF_BITS);
    ck_assert(!result(WIDE)->measured);
    ck_assert_uint_gt(found.bytes_read, 0);
    ck_assert_uint_lt(found.bytes_read, 2 * (uint64_t)WIDE_ROWS * WIDE_COLS);
    run("q", "p");
    expect_tampered(DIFF_CODES, DIFF_SCALES, DIFF_BITS);
}
END_TEST

START_TEST(against_the_source)
{
    write_source("source", &model);
    write_pack("p", &model, NULL, false);
    write_pack("q", &model, tamper, false);
    run("source", "p");
    expect_counts(NAMES, 0, 0, 0);
    ck_assert(result(MEMBER)->measured && result(MEMBER)->sqnr > 20);
    run("q", "source");
    expect_tampered(DIFF_ROUNDING, DIFF_ROUNDING, DIFF_BITS);
    ck_assert(result(WIDE)->measured && result(CUBE)->measured);
    ck_assert_uint_eq(found.files_alike, 1);
    run("source", "source");
    expect_counts(NAMES, 0, 0, 0);
}
END_TEST

START_TEST(threads_make_no_difference)
{
    write_source("source", &model);
    write_pack("q", &model, tamper, false);
    options.threads = 1;
    run("q", "source");
    const diff_report one = found;
    diff_result *const before = malloc(one.count * sizeof *before);
    memcpy(before, one.results, one.count * sizeof *before);
    options.threads = 7;
    run("q", "source");
    ck_assert_uint_eq(found.count, one.count);
    ck_assert(found.sum_sq_error == one.sum_sq_error && found.sum_sq_source == one.sum_sq_source);
    for (size_t i = 0; i < found.count; i++) {
        const diff_result *const x = &before[i];
        const diff_result *const y = &found.results[i];
        ck_assert(x->what == y->what && x->different == y->different && x->first == y->first);
        ck_assert(memcmp(&x->sqnr, &y->sqnr, sizeof x->sqnr) == 0);
        ck_assert(memcmp(&x->largest, &y->largest, sizeof x->largest) == 0);
        ck_assert(x->worst_row == y->worst_row && x->worst_col == y->worst_col);
    }
    free(before);
}
END_TEST

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

START_TEST(what_keeps_from_looking)
{
    const monitor stop = {.cancelled = yes};
    write_source("source", &model);
    write_pack("p", &model, NULL, false);
    run("p", "source");
    diff_report_free(&found);
    expect_error(diff_run(a, b, &options, &stop, &found, &e), ERR_CANCELLED, &e, "");
    diff_report_free(&found);
    options.memory = 1 << 20;
    expect_error(diff_run(a, b, &options, NULL, &found, &e), ERR_MEMORY, &e, "tensor " WIDE);
    diff_report_free(&found);
    options.memory = 100;
    expect_error(diff_run(a, b, &options, NULL, &found, &e), ERR_MEMORY, &e,
                 ": 1 pieces need 112 bytes each, 100 are allowed");
    diff_report_free(&found);
    options.memory = 64 * MIB;
    options.tensor_glob = "nothing*";
    expect_error(diff_run(a, b, &options, NULL, &found, &e), ERR_USAGE, &e, "no tensor matches");
    diff_report_free(&found);
    options.tensor_glob = "*.experts.1.*";
    expect_ok(diff_run(a, b, &options, NULL, &found, &e), &e);
    expect_counts(2, 0, 0, 0);
    ck_assert_uint_eq(found.files_alike, 0);
}
END_TEST

static bool count_down(void *ctx)
{
    int *const left = ctx;
    return __atomic_sub_fetch(left, 1, __ATOMIC_RELAXED) < 0;
}

/* Whichever question is answered with yes, the comparison ends; and it asks within units as well. */
START_TEST(any_question_may_end_it)
{
    int left = 1 << 20;
    const monitor stop = {.cancelled = count_down, .ctx = &left};
    write_source("source", &model);
    write_pack("p", &model, NULL, false);
    run("p", "source");
    diff_report_free(&found);
    options.threads = 1;
    expect_ok(diff_run(a, b, &options, &stop, &found, &e), &e);
    diff_report_free(&found);
    const int asked = (1 << 20) - left;
    ck_assert_int_ge(asked, 45); /* 37 between units and for digests */
    for (int k = 0; k < asked; k += 1 + asked / 5) {
        left = k;
        expect_error(diff_run(a, b, &options, &stop, &found, &e), ERR_CANCELLED, &e, "interrupted");
        diff_report_free(&found);
    }
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("diff");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, digests_spare_the_reading);
    tcase_add_test(tc, any_question_may_end_it);
    tcase_add_test(tc, stacks_of_two_heights);
    tcase_add_test(tc, one_wrong_code);
    tcase_add_test(tc, against_the_source);
    tcase_add_test(tc, threads_make_no_difference);
    tcase_add_test(tc, what_keeps_from_looking);
    return run_tests("diff", tc);
}
