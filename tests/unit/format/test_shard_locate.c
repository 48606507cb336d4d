/* Which files of a directory belong to the checkpoint. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/checkpoint/checkpoint.h"
#include "tests/aid/made_dir.h"

START_TEST(a_single_file)
{
    scratch_safetensors("x/any.name", "{" U8("a", 0, 1, "1") "}", 1, 5);
    checkpoint *cp = open_good("x/any.name");
    ck_assert_str_eq(cp->dir, scratch("x"));
    ck_assert_str_eq(cp->shards[0].name, "any.name");
    ck_assert_str_eq(cp->shards[0].path, scratch("x/any.name"));
    ck_assert_uint_eq(cp->tensor_count, 1);
    expect(notes, "no config.json");
    checkpoint_close(cp);
    ck_assert_int_eq(chdir(scratch("x")), 0);
    err e = {0};
    ck_assert_int_eq(checkpoint_open("any.name", NULL, &cp, &e), OK);
    ck_assert_str_eq(cp->dir, ".");
    checkpoint_close(cp);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(model_file_without_index)
{
    scratch_text("config.json", "{}");
    scratch_safetensors("model.safetensors", "{" U8("a", 0, 1, "1") "}", 1, 5);
    scratch_safetensors("golden.safetensors", "{" U8("b", 0, 1, "1") "}", 1, 5);
    checkpoint *cp = open_good("");
    ck_assert_ptr_nonnull(checkpoint_find(cp, "a"));
    ck_assert_uint_eq(cp->tensor_count, 1);
    ck_assert_uint_eq(note_count, 1);
    expect(notes, "ignored: golden.safetensors");
    checkpoint_close(cp);
}
END_TEST

START_TEST(the_only_file)
{
    scratch_text("config.json", "{}");
    scratch_text("._other.safetensors", "resource fork");
    scratch_text(".safetensors", "");
    scratch_text("notes.safetensors.txt", "");
    scratch_safetensors("weights.safetensors", "{" U8("a", 0, 1, "1") "}", 1, 5);
    checkpoint *cp = open_good("");
    ck_assert_str_eq(cp->shards[0].name, "weights.safetensors");
    ck_assert_uint_eq(note_count, 0);
    checkpoint_close(cp);
}
END_TEST

START_TEST(several_files_are_named)
{
    err e;
    scratch_text("b.safetensors", "");
    scratch_text("a.safetensors", "");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "2 .safetensors files and no model.safetensors.index.json");
    expect(e.text, "a.safetensors; b.safetensors");
    expect(e.hint, "name the file");
}
END_TEST

START_TEST(no_checkpoint_at_all)
{
    err e;
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "no .safetensors file");
    open_bad("nowhere", ERR_IO, &e);
    expect(e.text, "No such file");
}
END_TEST

START_TEST(surplus_files_get_one_note)
{
    make_pair();
    scratch_text("z.safetensors", "");
    scratch_text("golden.safetensors", "");
    checkpoint_close(open_good(""));
    ck_assert_uint_eq(note_count, 1);
    expect(notes, "ignored: golden.safetensors; z.safetensors");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shard_locate");
    TCase *tc = tcase_create("shard_locate");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, a_single_file);
    tcase_add_test(tc, model_file_without_index);
    tcase_add_test(tc, the_only_file);
    tcase_add_test(tc, several_files_are_named);
    tcase_add_test(tc, no_checkpoint_at_all);
    tcase_add_test(tc, surplus_files_get_one_note);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
