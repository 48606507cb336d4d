/* How a file and a checkpoint can differ except in weights: tensor lists, recipe, config.json,
 * digests of sources and statistics. */
#include "tests/aid/weights_case.h"

#define LAYER  "model.layers.0."
#define UP     LAYER "mlp.experts.*.up_proj.weight"
#define GATE   LAYER "mlp.gate.weight"
#define EMBED  "model.embed_tokens.weight"
#define CONFIG "{\"a\": 1, \"b\": {\"c\": [1, 2], \"d\": 2.5}}"

static const small_tensor few[] = {
    {EMBED, DTYPE_BF16, 2, {24, 40}, false},
    {GATE, DTYPE_F32, 2, {3, 40}, false},
    {UP, DTYPE_BF16, 3, {3, 14, 15}, true},
};

/* Compare a file of `few` with the source of the tensors that `change` makes of it. */
static void compare_changed(void (*change)(small_tensor *t), bool packed_changed)
{
    small_tensor changed[COUNT(few)];
    memcpy(changed, few, sizeof few);
    change(changed);
    const small_model one = {few, COUNT(few), CONFIG, 3};
    small_model other = {changed, COUNT(few), CONFIG, 3};
    while (other.count > 0 && changed[other.count - 1].name == NULL) {
        other.count--;
    }
    compare_ok(packed_changed ? &other : &one, &(small_options){0}, packed_changed ? &one : &other);
}

static void drop_last(small_tensor *t)
{
    t[2].name = NULL;
}

static void drop_expert(small_tensor *t)
{
    t[2].shape[0] = 2;
}

static void change_dtype(small_tensor *t)
{
    t[0].type = DTYPE_F16;
}

static void change_shape(small_tensor *t)
{
    t[1].shape[1] = 41;
}

static void quantize_router(small_tensor *t)
{
    t[1].quantize = true;
}

START_TEST(a_tensor_that_the_source_lacks)
{
    compare_changed(drop_expert, false);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE("experts.2.up_proj.weight", "not in the source");
    ck_assert_uint_eq(result_of(UP)->compared, 2);
    ck_assert_uint_eq(result_of(GATE)->compared, 1);
    compare_changed(drop_last, false);
    ck_assert_uint_eq(report.difference_count, 3);
}
END_TEST

START_TEST(a_tensor_that_the_file_lacks)
{
    compare_changed(drop_expert, true);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE("experts.2.up_proj.weight", "not in the packed file");
    ck_assert_uint_eq(report.wrong_tensors, 0);
}
END_TEST

START_TEST(another_dtype_or_shape)
{
    compare_changed(change_dtype, false);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE(EMBED, "BF16", "F16");
    compare_changed(change_shape, true);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE(GATE, "[3,41]", "[3,40]");
}
END_TEST

START_TEST(a_quantized_router)
{
    compare_changed(quantize_router, true);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE(GATE, "quantized", "keep", "a router, kept on purpose");
    ck_assert_uint_eq(report.wrong_tensors, 0);
}
END_TEST

static const struct config_case {
    const char *text; /* next to the checkpoint */
    const char *key, *said;
} config_cases[] = {
    {"{\"a\": 2, \"b\": {\"c\": [1, 2], \"d\": 2.5}}", "config.json: a:", "1 in the packed"},
    {"{\"a\": 1, \"b\": {\"c\": [2, 1], \"d\": 2.5}}", "config.json: b.c:", "[2,1] in the source"},
    {"{\"a\": 1, \"b\": {\"c\": [1, 2]}}", "config.json: b.d:", "only in the packed file"},
    {"{\"a\": 1, \"b\": {\"c\": [1, 2], \"d\": 2.5}, \"e\": 0}",
     "config.json: e:", "only in the source"},
    {"{\"a\": \"1\", \"b\": {\"c\": [1, 2], \"d\": 2.5}}", "config.json: a:", "\"1\""},
    {"{ \"b\" : {\"d\": 25e-1, \"c\": [1,2] },\n\"a\": 1.0}\n", NULL, NULL}, /* the same */
    {NULL, NULL, NULL},                                                      /* no file */
};

START_TEST(another_config)
{
    const struct config_case *const c = &config_cases[_i];
    const small_model packed = {few, COUNT(few), CONFIG, 3};
    const small_model source = {few, COUNT(few), c->text, 3};
    compare_ok(&packed, &(small_options){0}, &source);
    ck_assert_uint_eq(report.difference_count, c->key ? 1 : 0);
    if (c->key) {
        EXPECT_DIFFERENCE(c->key, c->said);
    }
}
END_TEST

static void mark_as_powers(small_pack *p)
{
    const pack_record *const r = pack_table_find(&p->table, UP "_scale_inv");
    const uint64_t number = (uint64_t)(r - p->table.records);
    p->bytes[small_pack_section(p, TAG_TENS)->off + number * PACK_RECORD_BYTES + 115] = 1;
}

/* ---- evidence -------------------------------------------------- */

/* Compare `few` with itself after `change` to the file, with digests repaired. */
static void compare_patched(void (*change)(small_pack *p), const char *glob)
{
    weights_options some = plain;
    some.tensor_glob = glob;
    small_pack p;
    err e = {0};
    checkpoint *cp = NULL;
    const small_model small = {few, COUNT(few), CONFIG, 3};
    small_pack_build(&small, &(small_options){0}, &p);
    change(&p);
    small_pack_sign(&p, p.bytes);
    scratch_write("a.octavo", p.bytes, p.length);
    small_pack_free(&p);
    small_checkpoint_write(&small, scratch(""));
    expect_ok(pack_open(scratch("a.octavo"), &file, &e), &e);
    expect_ok(checkpoint_open(scratch(""), NULL, &cp, &e), &e);
    expect_ok(weights_check(file, cp, &some, NULL, &report, &e), &e);
    ck_assert_uint_eq(report.wrong_tensors, 0);
    checkpoint_close(cp);
}

START_TEST(scales_marked_against_the_recipe)
{
    const char *const globs[] = {NULL, UP, LAYER "mlp.experts.1.up_proj.weight"};
    compare_patched(mark_as_powers, globs[_i]);
    ck_assert_uint_eq(report.difference_count, 1);
    EXPECT_DIFFERENCE(UP "_scale_inv", "marked as powers of two");
}
END_TEST

static void change_evidence(small_pack *p)
{
    p->bytes[small_pack_section(p, TAG_SDIG)->off + 16 * 2] ^= 1;  /* the first expert */
    p->bytes[small_pack_section(p, TAG_STAT)->off + 64 + 24] ^= 1; /* zeros in the second */
}

/* Another source that yields the same weights: only its digest differs. */
START_TEST(another_source_with_the_same_weights)
{
    compare_patched(change_evidence, NULL);
    ck_assert_uint_eq(report.difference_count, 2);
    EXPECT_DIFFERENCE(UP, "SDIG");
    ck_assert_ptr_nonnull(strstr(report.differences[1], "STAT"));
    ck_assert_ptr_nonnull(strstr(report.differences[1], "slice 1"));
    ck_assert(!result_of(UP)->source_same);
    ck_assert(result_of(GATE)->source_same);
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("compare_lists");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, scratch_make, weights_case_end);
    tcase_add_test(t, a_tensor_that_the_source_lacks);
    tcase_add_test(t, a_tensor_that_the_file_lacks);
    tcase_add_test(t, another_dtype_or_shape);
    tcase_add_test(t, a_quantized_router);
    tcase_add_loop_test(t, another_config, 0, COUNT(config_cases));
    tcase_add_loop_test(t, scales_marked_against_the_recipe, 0, 3);
    tcase_add_test(t, another_source_with_the_same_weights);
    return run_tests("compare_lists", t);
}
