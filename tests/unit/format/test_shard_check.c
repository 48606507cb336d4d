/* Every disagreement between index and shards is listed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/checkpoint/checkpoint.h"
#include "tests/aid/made_dir.h"

START_TEST(every_disagreement_is_listed)
{
    err e;
    scratch_text(INDEX, "{\"weight_map\":{\"ok\":\"s1\",\"ghost\":\"s1\",\"moved\":\"s1\","
                        "\"twice\":\"s1\",\"m1\":\"s3\","
                        "\"m2\":\"s3\",\"dup\":\"s2\"}}");
    scratch_safetensors(
        "s1", "{" U8("ok", 0, 1, "1") "," U8("twice", 1, 2, "1") "," U8("dup", 2, 3, "1") "}", 3,
        5);
    scratch_safetensors(
        "s2",
        "{" U8("moved", 0, 1, "1") "," U8("twice", 1, 2, "1") "," U8("extra", 2, 3, "1") "," U8(
            "dup", 3, 4, "1") "," U8("zz", 4, 5, "1") "}",
        5, 5);
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "index and shards disagree: ");
    expect(e.text, "shard s3 is missing, with 2 tensors; ");
    expect(e.text, "tensor dup is in s1 and in s2; ");
    expect(e.text, "tensor extra in s2 is not in the index; ");
    expect(e.text, "tensor ghost is in the index, but not in s1; ");
    expect(e.text, "tensor moved is in s2, not in s1 as the index says; ");
    expect(e.text, "tensor twice is in s1 and in s2; ");
    expect(e.text, "tensor zz in s2 is not in the index");
    ck_assert_ptr_null(strstr(e.text, "tensor ok"));
    ck_assert_ptr_null(strstr(e.text, "tensor m1"));
    ck_assert_ptr_null(strstr(e.text, "more"));
    ck_assert_ptr_null(strstr(notes, "tensor"));
}
END_TEST

START_TEST(many_disagreements_are_counted)
{
    enum { COUNT = 300 };
    static char text[COUNT * 64];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"weight_map\":{\"a\":\"s1\"");
    for (int i = 0; i < COUNT; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 ",\"model.layers.%03d.weight\":\"s1\"", i);
    }
    snprintf(text + used, sizeof text - used, "}}");
    scratch_text(INDEX, text);
    scratch_text("config.json", "{}");
    scratch_safetensors("s1", "{" U8("a", 0, 1, "1") "}", 1, 5);
    err e;
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "tensor model.layers.000.weight is in the index, but not in s1; ");
    const char *more = strstr(e.text, "; ... and ");
    ck_assert_ptr_nonnull(more);
    const long counted = strtol(more + strlen("; ... and "), NULL, 10);
    long shown = 0;
    for (const char *p = e.text; (p = strstr(p, "tensor ")); p++) {
        shown++;
    }
    ck_assert_int_eq(counted + shown, COUNT);
    ck_assert_int_gt(shown, 5);
    ck_assert_uint_eq(note_count, 100);
}
END_TEST

/* ---- what would repair it -------------------------------------- */

/* Shards "a" with the BF16 weight w and "b" with the F8_E4M3 weight f, under an index with these
 * entries. */
static const struct {
    const char *index, *hint;
} repairs[] = {
    {"\"w\":\"a\",\"f\":\"b\",\"x\":\"gone\"", "fetch the missing shards"},
    {"\"w\":\"b\",\"f\":\"a\"", "fetch the index again, or write a new one from the headers"},
    {"\"w\":\"b\",\"f\":\"a\",\"x\":\"a\"", "belongs to other shards"},
    {"\"w\":\"a\",\"x\":\"b\"", "belongs to other shards"},
    {"\"w\":\"a\",\"f\":\"b\",\"w_scale_inv\":\"a\"", "remove the 1 scale from its weight_map"},
    {"\"w\":\"a\",\"f\":\"b\",\"w_scale\":\"a\"", "remove the 1 scale from its weight_map"},
    /* These scales are needed, or belong to nothing: removing them would lose a part of the model. */
    {"\"w\":\"a\",\"f\":\"b\",\"f_scale_inv\":\"b\"", "come from different saves: fetch all"},
    {"\"w\":\"a\",\"f\":\"b\",\"x_scale_inv\":\"b\"", "come from different saves: fetch all"},
    {"\"w\":\"a\",\"f\":\"b\",\"w_scale\":\"a\",\"x\":\"a\"",
     "come from different saves: fetch all"},
    {"\"w\":\"a\",\"f\":\"b\",\"lm_head.weight\":\"b\"", "if tie_word_embeddings is true"},
    {"\"w\":\"a\",\"f\":\"b\",\"lm_head.weight\":\"b\",\"x\":\"b\"",
     "come from different saves: fetch all"},
    {"\"w\":\"a\",\"x\":\"gone\"", "fetch the missing shards"},
};

START_TEST(hints_lead_to_a_repair)
{
    char text[256];
    err e;
    scratch_safetensors("a", "{\"w\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2,
                        5);
    scratch_safetensors("b", "{\"f\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                        1, 5);
    snprintf(text, sizeof text, "{\"weight_map\":{%s}}", repairs[_i].index);
    scratch_text(INDEX, text);
    open_bad("", ERR_INPUT, &e);
    expect(e.hint, repairs[_i].hint);
}
END_TEST

START_TEST(a_tensor_that_is_not_listed)
{
    err e;
    scratch_safetensors("a", "{" U8("w", 0, 1, "1") "," U8("x", 1, 2, "1") "}", 2, 5);
    scratch_text(INDEX, "{\"weight_map\":{\"w\":\"a\"}}");
    open_bad("", ERR_INPUT, &e);
    expect(e.hint, "add the tensor to the weight_map of " INDEX);
}
END_TEST

START_TEST(the_same_tensor_twice)
{
    err e;
    scratch_safetensors("a", "{" U8("w", 0, 1, "1") "}", 1, 5);
    scratch_safetensors("b", "{" U8("w", 0, 1, "1") "}", 1, 5);
    scratch_text(INDEX, "{\"weight_map\":{\"w\":\"a\",\"x\":\"b\"}}");
    open_bad("", ERR_INPUT, &e);
    expect(e.hint, "different saves: fetch or save");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shard_check");
    TCase *tc = tcase_create("shard_check");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, every_disagreement_is_listed);
    tcase_add_loop_test(tc, hints_lead_to_a_repair, 0, sizeof repairs / sizeof *repairs);
    tcase_add_test(tc, a_tensor_that_is_not_listed);
    tcase_add_test(tc, the_same_tensor_twice);
    tcase_add_test(tc, many_disagreements_are_counted);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
