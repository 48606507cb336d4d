/* Which files are embedded: the built-in list, then globs, and files that cannot be embedded. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/aid/cancel_each.h"
#include "tests/aid/embed_case.h"

START_TEST(the_built_in_list)
{
    embed_list list;
    make_all();
    choose_good(NULL, 0, &list);
    ck_assert_uint_eq(list.count, COUNT(embedded_names) + COUNT(other_names) + 1);
    ck_assert(!find(&list, "sub/config.json")->embedded);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert(i == 0 || strcmp(list.files[i - 1].name, list.files[i].name) < 0);
    }
    for (size_t i = 0; i < COUNT(embedded_names); i++) {
        const embed_file *f = find(&list, embedded_names[i]);
        ck_assert_msg(f && f->known && f->embedded, "%s", embedded_names[i]);
        ck_assert_uint_eq(f->bytes, strlen(embedded_names[i]));
        ck_assert_str_eq(f->path, scratch(embedded_names[i]));
        struct stat st;
        ck_assert_int_eq(stat(f->path, &st), 0);
        ck_assert_uint_eq(f->inode, (uint64_t)st.st_ino);
        ck_assert_uint_eq(f->device, (uint64_t)st.st_dev);
    }
    for (size_t i = 0; i < COUNT(other_names); i++) {
        const embed_file *f = find(&list, other_names[i]);
        ck_assert_msg(f && !f->known && !f->embedded, "%s", other_names[i]);
        bool noted_name = false;
        for (size_t k = 0; k < COUNT(noted_names); k++) {
            noted_name |= strcmp(other_names[i], noted_names[k]) == 0;
        }
        ck_assert_msg(f->matters == noted_name, "%s", other_names[i]);
    }
    embed_list_free(&list);
}
END_TEST

START_TEST(later_globs_win)
{
    embed_list list;
    make_all();
    const embed_glob globs[] = {
        {"*.md", false}, {"golden.*", true}, {"*config*", false}, {"config.json", true}};
    choose_good(globs, 4, &list);
    ck_assert(!find(&list, "README.md")->embedded);
    ck_assert(find(&list, "README.md")->known);
    ck_assert(find(&list, "golden.bin")->embedded);
    ck_assert(!find(&list, "golden.bin")->known);
    ck_assert(!find(&list, "video_preprocessor_config.json")->embedded);
    ck_assert(find(&list, "config.json")->embedded);
    ck_assert(find(&list, "LICENSE")->embedded);
    embed_list_free(&list);
    const embed_glob nothing[] = {{"*", true}, {"*", false}};
    choose_good(nothing, 2, &list);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert(!list.files[i].embedded);
    }
    embed_list_free(&list);
}
END_TEST

START_TEST(one_note_names_what_may_matter)
{
    make_all();
    note(NULL, 0);
    ck_assert_uint_eq(notes, 1);
    expect(noted, "Config.json.bak; recipe.yaml; sub/config.json");
    expect(noted, "not embedded");
    const embed_glob said[] = {{"recipe.yaml", false}, {"Config*", true}};
    const embed_glob all_said[] = {said[0], said[1], {"sub/*", false}};
    note(all_said, 3);
    ck_assert_uint_eq(notes, 0);
    note(said, 1);
    ck_assert_uint_eq(notes, 1);
    ck_assert(!strstr(noted, "recipe.yaml"));
}
END_TEST

/* Hundreds of names are counted, not listed. */
START_TEST(the_note_is_bounded)
{
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "some_file_%d.yaml", i);
        scratch_text(name, "x");
    }
    note(NULL, 0);
    ck_assert_uint_eq(notes, 0); /* nothing says that this is a checkpoint */
    scratch_text("config.json", "{}");
    note(NULL, 0);
    ck_assert_uint_eq(notes, 1);
    expect(noted, " more");
    ck_assert_uint_lt(strlen(noted), 900);
}
END_TEST

static const char pointer[] =
    "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 7\n";

START_TEST(a_pointer_is_refused)
{
    scratch_text("tokenizer.json", pointer);
    choose_bad(NULL, 0, ERR_INPUT, "tokenizer.json: a Git LFS pointer, not the file itself");
    embed_list list;
    const embed_glob without = {"tokenizer.json", false};
    choose_good(&without, 1, &list);
    embed_list_free(&list);
    scratch_text("tokenizer.json", "version https://git-lfs.example.com/");
    choose_good(NULL, 0, &list);
    embed_list_free(&list);
}
END_TEST

/* A file that begins like one but is longer than any pointer is a file. */
START_TEST(a_long_text_is_no_pointer)
{
    char text[1025];
    memset(text, ' ', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memcpy(text, pointer, sizeof pointer - 1);
    scratch_text("vocab.txt", text);
    embed_list list;
    choose_good(NULL, 0, &list);
    embed_list_free(&list);
    text[1023] = '\0';
    scratch_text("vocab.txt", text);
    choose_bad(NULL, 0, ERR_INPUT, "vocab.txt: a Git LFS pointer");
}
END_TEST

START_TEST(globs_must_match)
{
    make_all();
    const embed_glob absent = {"chat.txt", true};
    choose_bad(&absent, 1, ERR_USAGE, "--embed \"chat.txt\": matches no file");
    const embed_glob absent_out = {"*.exe", false};
    choose_bad(&absent_out, 1, ERR_USAGE, "--no-embed \"*.exe\": matches no file");
    const embed_glob index = {"model.safetensors.index.json", true};
    choose_bad(&index, 1, ERR_USAGE, "matches no file");
    const embed_glob shards = {"*.safetensors", true};
    choose_bad(&shards, 1, ERR_USAGE, "matches no file");
    const embed_glob sub = {"sub", true};
    choose_bad(&sub, 1, ERR_USAGE, "matches no file");
    const embed_glob broken = {"[a", true};
    choose_bad(&broken, 1, ERR_USAGE, "invalid glob");
    const embed_glob empty = {"", true};
    choose_bad(&empty, 1, ERR_USAGE, "invalid glob");
}
END_TEST

START_TEST(links_are_followed)
{
    embed_list list;
    scratch_text("blobs/b1", "{}");
    ck_assert_int_eq(symlink("blobs/b1", scratch("config.json")), 0);
    ck_assert_int_eq(symlink("nowhere", scratch("stale.txt")), 0);
    choose_good(NULL, 0, &list);
    ck_assert_uint_eq(list.count, 2);
    ck_assert(!find(&list, "blobs/b1")->embedded);
    ck_assert(find(&list, "config.json")->embedded);
    ck_assert_uint_eq(find(&list, "config.json")->bytes, 2);
    embed_list_free(&list);
    ck_assert_int_eq(symlink("nowhere", scratch("tokenizer.json")), 0);
    choose_bad(NULL, 0, ERR_IO, "tokenizer.json");
    const embed_glob without = {"tokenizer.json", false};
    choose_bad(&without, 1, ERR_USAGE, "matches no file");
}
END_TEST

START_TEST(what_cannot_be_embedded)
{
    scratch_text("LICENSE (2)", "");
    choose_bad(NULL, 0, ERR_INPUT, "LICENSE (2): cannot be embedded");
    const embed_glob without = {"LICENSE*", false};
    embed_list list;
    choose_good(&without, 1, &list);
    embed_list_free(&list);
    ck_assert_int_eq(unlink(scratch("LICENSE (2)")), 0);

    scratch_text("tokenizer.json", "");
    ck_assert_int_eq(truncate(scratch("tokenizer.json"), (64 << 20) + 1), 0);
    choose_bad(NULL, 0, ERR_INPUT, "expected at most 67108864 bytes, found 67108865");
    ck_assert_int_eq(truncate(scratch("tokenizer.json"), 64 << 20), 0);
    choose_good(NULL, 0, &list);
    embed_list_free(&list);
    static const char *const more[] = {"vocab.json", "vocab.txt", "merges.txt", "tokenizer.model"};
    for (size_t i = 0; i < COUNT(more); i++) {
        scratch_text(more[i], "");
        ck_assert_int_eq(truncate(scratch(more[i]), 64 << 20), 0);
    }
    choose_bad(NULL, 0, ERR_INPUT, "more than 268435456 bytes in total");
}
END_TEST

START_TEST(no_directory)
{
    embed_list list;
    err e = {0};
    checkpoint_dir *none = NULL;
    ck_assert_int_eq(checkpoint_dir_open_directory(scratch("none"), &none, &e), OK);
    ck_assert_int_eq(embed_choose(none, NULL, 0, NULL, &list, &e), ERR_IO);
    checkpoint_dir_close(none);
    ck_assert_ptr_null(list.files);
}
END_TEST

static err_code choose_with(void *ctx, const monitor *m, err *e)
{
    static const embed_glob globs[] = {{"*.txt", true}, {"*/*.jinja", true}};
    embed_list list;
    (void)ctx;
    TRY(embed_choose(scratch_folder(), globs, 2, m, &list, e));
    embed_list_free(&list);
    return OK;
}

START_TEST(choosing_can_be_cancelled)
{
    scratch_write("config.json", "{}", 2);
    scratch_write("notes.txt", "x", 1);
    ck_assert_int_eq(mkdir(scratch("additional_chat_templates"), 0700), 0);
    scratch_write("additional_chat_templates/a.jinja", "x", 1);
    ck_assert_uint_eq(cancel_each(choose_with, NULL), 9);
}
END_TEST

START_TEST(packing_takes_what_was_chosen)
{
    embed_list list;
    make_all();
    const embed_glob globs[] = {{"*", false}, {"config.json", true}, {"golden.bin", true}};
    choose_good(globs, 3, &list);
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    ck_assert_msg(embed_pack(&list, &data, &bytes, &e) == OK, "%s", e.text);
    member *members = NULL;
    size_t count = 0;
    ck_assert_int_eq(archive_unpack(data, bytes, &members, &count, &e), OK);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(members[0].name, "config.json");
    ck_assert_uint_eq(members[0].bytes, 11);
    ck_assert_mem_eq(members[0].data, "config.json", 11);
    ck_assert_str_eq(members[1].name, "golden.bin");
    ck_assert_mem_eq(members[1].data, "other", 5);
    members_free(members, count);
    free(data);

    scratch_text("golden.bin", "others");
    ck_assert_int_eq(embed_pack(&list, &data, &bytes, &e), ERR_IO);
    expect(e.text, "golden.bin: changed during the run: expected 5 bytes, found 6");
    ck_assert_int_eq(unlink(scratch("golden.bin")), 0);
    e = (err){0};
    ck_assert_int_eq(embed_pack(&list, &data, &bytes, &e), ERR_IO);
    embed_list_free(&list);
}
END_TEST

START_TEST(packing_nothing)
{
    embed_list list;
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    choose_good(NULL, 0, &list);
    ck_assert_uint_eq(list.count, 0);
    ck_assert_int_eq(embed_pack(&list, &data, &bytes, &e), OK);
    ck_assert_uint_eq(bytes, 1024);
    free(data);
    embed_list_free(&list);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("embed");
    TCase *tc = tcase_create("embed");
    tcase_add_checked_fixture(tc, scratch_make, close_and_remove);
    tcase_add_test(tc, choosing_can_be_cancelled);
    tcase_add_test(tc, the_built_in_list);
    tcase_add_test(tc, later_globs_win);
    tcase_add_test(tc, one_note_names_what_may_matter);
    tcase_add_test(tc, the_note_is_bounded);
    tcase_add_test(tc, a_pointer_is_refused);
    tcase_add_test(tc, a_long_text_is_no_pointer);
    tcase_add_test(tc, globs_must_match);
    tcase_add_test(tc, links_are_followed);
    tcase_add_test(tc, what_cannot_be_embedded);
    tcase_add_test(tc, no_directory);
    tcase_add_test(tc, packing_takes_what_was_chosen);
    tcase_add_test(tc, packing_nothing);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
