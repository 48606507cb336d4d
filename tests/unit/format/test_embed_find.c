/* Files in the directories next to the weights. */
#include "tests/aid/embed_case.h"

static const char *const below_names[] = {
    "1_Pooling/config.json",
    "additional_chat_templates/rag.jinja",
    "additional_chat_templates/tool_use.jinja",
    "licenses/Apache-2.0.txt",
};

static void make_below(void)
{
    make_all();
    for (size_t i = 0; i < COUNT(below_names); i++) {
        scratch_text(below_names[i], "below");
    }
    scratch_text("encoding/encode.py", "left out");
    scratch_text("figures/bench.png", "idle");
    scratch_text("2_Dense/model.safetensors", "weights");
    scratch_text("inference/a.py", "left out");
    scratch_text("inference/b.py", "left out");
    scratch_text("inference/c.txt", "idle");
    scratch_text(".git/config.json", "not ours");
    scratch_text("additional_chat_templates/deep/x.jinja", "too deep");
}

START_TEST(directories)
{
    embed_list list;
    make_below();
    choose_good(NULL, 0, &list);
    for (size_t i = 0; i < COUNT(below_names); i++) {
        const embed_file *f = find(&list, below_names[i]);
        ck_assert_msg(f && f->known && f->embedded && f->bytes == 5, "%s", below_names[i]);
    }
    ck_assert(!find(&list, "encoding/encode.py")->embedded);
    ck_assert_ptr_null(find(&list, "2_Dense/model.safetensors"));
    ck_assert_ptr_null(find(&list, ".git/config.json"));
    for (size_t i = 1; i < list.count; i++) {
        ck_assert(strcmp(list.files[i - 1].name, list.files[i].name) < 0);
    }
    char *first = NULL;
    char *again = NULL;
    size_t bytes = 0;
    size_t again_bytes = 0;
    err e = {0};
    ck_assert_int_eq(embed_pack(&list, &first, &bytes, &e), OK);
    ck_assert_int_eq(embed_pack(&list, &again, &again_bytes, &e), OK);
    ck_assert_uint_eq(bytes, again_bytes);
    ck_assert_mem_eq(first, again, bytes);
    free(first);
    free(again);
    embed_list_free(&list);
    note(NULL, 0);
    expect(
        noted,
        "Config.json.bak; encoding/encode.py; inference/ (2 files); recipe.yaml; sub/config.json");
}
END_TEST

/* '*' does not match a '/': what is in a directory has to be named with it. */
START_TEST(globs_and_directories)
{
    embed_list list;
    make_below();
    const embed_glob all[] = {{"*", true}};
    choose_good(all, 1, &list);
    ck_assert(find(&list, "golden.bin")->embedded);
    ck_assert(!find(&list, "encoding/encode.py")->embedded);
    embed_list_free(&list);
    const embed_glob both[] = {{"*/*.py", true}, {"inference/[b-z]*", false}, {"*_*/*", false}};
    choose_good(both, 3, &list);
    ck_assert(find(&list, "encoding/encode.py")->embedded);
    ck_assert(find(&list, "inference/a.py")->embedded);
    ck_assert(!find(&list, "inference/b.py")->embedded);
    ck_assert(!find(&list, "1_Pooling/config.json")->embedded);
    ck_assert(find(&list, "config.json")->embedded);
    embed_list_free(&list);
    const embed_glob deep = {"additional_chat_templates/deep/*", true};
    choose_bad(&deep, 1, ERR_USAGE, "matches no file");
    const embed_glob weights_below = {"2_Dense/*.safetensors", true};
    choose_bad(&weights_below, 1, ERR_USAGE, "matches no file");
    const embed_glob hidden = {".git/*", true};
    choose_bad(&hidden, 1, ERR_USAGE, "matches no file");
}
END_TEST

/* What is not looked into is named: a link, and a directory of too many files, unless a glob enters
 * it. */
START_TEST(directories_that_stay_closed)
{
    embed_list list;
    scratch_text("config.json", "{}");
    scratch_text("elsewhere/a.py", "x");
    ck_assert_int_eq(symlink("elsewhere", scratch("linked")), 0);
    for (int i = 0; i <= 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/%d.png", i);
        scratch_text(name, "x");
    }
    choose_good(NULL, 0, &list);
    ck_assert_uint_eq(list.count, 4);
    ck_assert(find(&list, "many/")->matters && !find(&list, "many/")->embedded);
    ck_assert(find(&list, "linked/")->matters);
    embed_list_free(&list);
    note(NULL, 0);
    expect(noted, "elsewhere/a.py; linked/; many/");
    const embed_glob one = {"many/7.png", true};
    choose_good(&one, 1, &list);
    ck_assert(find(&list, "many/7.png")->embedded);
    embed_list_free(&list);
    const embed_glob through = {"linked/*", true};
    choose_bad(&through, 1, ERR_USAGE, "matches no file");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("embed_find");
    TCase *tc = tcase_create("embed_find");
    tcase_add_checked_fixture(tc, scratch_make, close_and_remove);
    tcase_add_test(tc, directories);
    tcase_add_test(tc, globs_and_directories);
    tcase_add_test(tc, directories_that_stay_closed);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
