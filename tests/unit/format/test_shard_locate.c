/* Which files of a directory belong to the checkpoint. */
#include <check.h>
#include <stdio.h>
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
    expect(e.hint, "if one of them is the whole model");
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

#define ONE(name, weight) scratch_safetensors(name, "{" U8(weight, 0, 1, "1") "}", 1, 5)

static void index_of(const char *name, const char *weight, const char *file)
{
    char text[256];
    snprintf(text, sizeof text, "{\"weight_map\":{\"%s\":\"%s\"}}", weight, file);
    scratch_text(name, text);
}

/* model.safetensors.index.json, model.safetensors, the only other index, the only file. */
START_TEST(which_index_counts)
{
    err e;
    scratch_text("config.json", "{}");
    ONE("c.safetensors", "c");
    ONE("m.safetensors", "m");
    index_of("consolidated.safetensors.index.json", "c", "c.safetensors");
    checkpoint *cp = open_good("");
    ck_assert_str_eq(cp->index_name, "consolidated.safetensors.index.json");
    ck_assert_str_eq(cp->shards[0].name, "c.safetensors");
    checkpoint_close(cp);
    expect(notes, "ignored: m.safetensors");

    index_of("._model.safetensors.index.json", "x", "x.safetensors");
    checkpoint_close(open_good(""));
    index_of("mtp.safetensors.index.json", "m", "m.safetensors");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "2 indexes, and none is model.safetensors.index.json: consolidated");

    ONE("model.safetensors", "a");
    cp = open_good("");
    ck_assert_ptr_null(cp->index_name);
    ck_assert_str_eq(cp->shards[0].name, "model.safetensors");
    checkpoint_close(cp);
    expect(notes, "c.safetensors; consolidated.safetensors.index.json; m.safetensors; mtp");

    index_of("model.safetensors.index.json", "m", "m.safetensors");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "two models: model.safetensors, which transformers loads");
    expect(e.hint, "name the file");
    ck_assert_int_eq(unlink(scratch("model.safetensors")), 0);
    cp = open_good("");
    ck_assert_str_eq(cp->index_name, "model.safetensors.index.json");
    checkpoint_close(cp);
    index_of("model.safetensors.index.json", "a", "model.safetensors");
    ONE("model.safetensors", "a");
    checkpoint_close(open_good(""));
}
END_TEST

START_TEST(weights_in_directories_are_named)
{
    scratch_text("config.json", "{}");
    ONE("sub/model-1.safetensors", "a");
    ONE("sub/left.safetensors", "b");
    ONE("2_Dense/model.safetensors", "c");
    ONE(".cache/model.safetensors", "d");
    index_of("model.safetensors.index.json", "a", "sub/model-1.safetensors");
    checkpoint_close(open_good(""));
    ck_assert_uint_eq(note_count, 1);
    expect(notes, "ignored: 2_Dense/model.safetensors; sub/left.safetensors");
}
END_TEST

static const struct {
    const char *file, *text, *hint;
} instead[] = {
    {"pytorch_model.bin", "weights pickled by PyTorch", "save_pretrained"},
    {"pytorch_model-00001-of-00002.bin", "weights pickled by PyTorch", "save_pretrained"},
    {"consolidated.00.pth", "weights pickled by PyTorch", "save_pretrained"},
    {"model-Q4_K_M.gguf", "GGUF", "convert the checkpoint that it was made from"},
    {"model.safetensors.incomplete", "unfinished download", "fetch all files"},
    {"model-00001-of-00002.safetensors.incomplete", "unfinished download", "fetch all files"},
    {"adapter_config.json", "an adapter (LoRA), not a model", "merge"},
    {"tf_model.h5", "TensorFlow", "save_pretrained"},
    {"adapter_model.safetensors", "an adapter (LoRA), not a model", "merge"},
    {"model-00002-of-00003.safetensors", "shard 2 of 3, not a whole model",
     "fetch the other shards"},
    {"step/model.safetensors", "no .safetensors file", "/step"},
};

/* The file is recognized by its name, and not opened. */
START_TEST(something_else)
{
    err e;
    scratch_text("config.json", "{}");
    scratch_text(instead[_i].file, "");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, instead[_i].text);
    expect(e.hint, instead[_i].hint);
}
END_TEST

START_TEST(shards_without_an_index)
{
    err e;
    scratch_text("model-00001-of-00003.safetensors", "");
    scratch_text("model-00003-of-00003.safetensors", "");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "2 of 3 shards, and no model.safetensors.index.json");
    expect(e.hint, "fetch the other shards and the index");
    scratch_text("model-00002-of-00003.safetensors", "");
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "3 of 3 shards");
    expect(e.hint, "fetch the index");
    scratch_text("other-00002-of-00003.safetensors", "");
    open_bad("", ERR_INPUT, &e);
    expect(e.hint, "if one of them is the whole model");
}
END_TEST

/* A command may look into a part of a model; a conversion asks whether it is one. */
START_TEST(parts_of_a_model)
{
    static const char *const parts[] = {"model-00001-of-00002.safetensors",
                                        "adapter_model.safetensors"};
    err e = {0};
    for (size_t i = 0; i < 2; i++) {
        ONE(parts[i], "a");
        checkpoint *cp = open_good(parts[i]);
        e = (err){0};
        ck_assert_int_eq(checkpoint_check_whole(cp, &e), ERR_INPUT);
        expect(e.text, "not a");
        checkpoint_close(cp);
    }
    ONE("whole.safetensors", "a");
    checkpoint *cp = open_good("whole.safetensors");
    e = (err){0};
    ck_assert_int_eq(checkpoint_check_whole(cp, &e), OK);
    checkpoint_close(cp);
}
END_TEST

START_TEST(a_link_to_nothing)
{
    err e;
    scratch_text("config.json", "{}");
    ck_assert_int_eq(symlink("../../blobs/0123", scratch("model.safetensors")), 0);
    open_bad("", ERR_IO, &e);
    expect(e.text, "model.safetensors: cannot open: a link to ../../blobs/0123");
    expect(e.hint, "never downloaded");
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
    tcase_add_test(tc, which_index_counts);
    tcase_add_test(tc, weights_in_directories_are_named);
    tcase_add_loop_test(tc, something_else, 0, sizeof instead / sizeof *instead);
    tcase_add_test(tc, shards_without_an_index);
    tcase_add_test(tc, parts_of_a_model);
    tcase_add_test(tc, a_link_to_nothing);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
