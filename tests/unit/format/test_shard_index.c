/* The index: what is refused, and which names a shard may have. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"
#include "tests/aid/made_dir.h"

static const struct {
    const char *text;
    const char *says;
} bad_index[] = {
    {"", INDEX},
    {"[]", "weight_map is missing"},
    {"{}", "weight_map is missing"},
    {"{\"weight_map\":[]}", "weight_map is missing or not an object"},
    {"{\"weight_map\":{}}", "weight_map is empty"},
    {"{\"weight_map\":{\"a\":1}}", "tensor a: its shard is not a string"},
    {"{\"weight_map\":{\"a\":null}}", "its shard is not a string"},
    {"{\"weight_map\":{\"a\":\"s1.safetensors\",\"a\":\"s2.safetensors\"}}", "duplicate"},
    {"{\"weight_map\":{\"a\":\"\"}}", "tensor a: the shard name \"\""},
    {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "\"/etc/passwd\" is not a path below"},
    {"{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", "is not a path below"},
    {"{\"weight_map\":{\"a\":\"x/../s1.safetensors\"}}", "is not a path below"},
    {"{\"weight_map\":{\"a\":\"./s1.safetensors\"}}", "is not a path below"},
    {"{\"weight_map\":{\"a\":\"x//s1.safetensors\"}}", "is not a path below"},
    {"{\"weight_map\":{\"a\":\"x/\"}}", "is not a path below"},
    {"{\"weight_map\":{\"a\":\"..\"}}", "is not a path below"},
    {"{\"weight_map\":{\"a\":\"s1.safetensors\"}", INDEX},
};

START_TEST(bad_indices_are_refused)
{
    err e;
    make_pair();
    scratch_text(INDEX, bad_index[_i].text);
    open_bad("", ERR_INPUT, &e);
    expect(e.text, bad_index[_i].says);
    expect(e.text, INDEX);
}
END_TEST

START_TEST(shard_names)
{
    static const char *const good[] = {"a",  "a.safetensors", "x/a",     "...",
                                       ".a", "a..",           "x/.../y", "a\\..\\b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(shard_name_valid(good[i]), "%s", good[i]);
    }
}
END_TEST

START_TEST(shards_in_a_folder)
{
    scratch_text("config.json", "{}");
    scratch_text(INDEX, "{\"weight_map\":{\"a\":\"x/s.safetensors\"}}");
    scratch_safetensors("x/s.safetensors", "{" U8("a", 0, 1, "1") "}", 1, 5);
    checkpoint *cp = open_good("");
    ck_assert_str_eq(cp->shards[0].name, "x/s.safetensors");
    checkpoint_close(cp);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shard_index");
    TCase *tc = tcase_create("shard_index");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_loop_test(tc, bad_indices_are_refused, 0, sizeof bad_index / sizeof *bad_index);
    tcase_add_test(tc, shard_names);
    tcase_add_test(tc, shards_in_a_folder);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
