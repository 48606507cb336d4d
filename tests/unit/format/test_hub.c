/* The layout of the Hub's cache: refs, snapshots, and links into blobs. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/checkpoint/checkpoint.h"
#include "tests/aid/made_dir.h"

static void make_hub(void)
{
    scratch_text("models--X--Y/refs/main", "abc123");
    scratch_safetensors("models--X--Y/blobs/b1", "{" U8("a", 0, 1, "1") "}", 1, 5);
    scratch_text("models--X--Y/blobs/b2", "{}");
    scratch_text("models--X--Y/snapshots/abc123/keep", "");
    ck_assert_int_eq(
        symlink("../../blobs/b1", scratch("models--X--Y/snapshots/abc123/model.safetensors")), 0);
    ck_assert_int_eq(
        symlink("../../blobs/b2", scratch("models--X--Y/snapshots/abc123/config.json")), 0);
}

START_TEST(hub_folder_leads_to_its_snapshot)
{
    make_hub();
    static const char *const ways[] = {"models--X--Y", "models--X--Y/", "models--X--Y//",
                                       "models--X--Y/.", "models--X--Y/snapshots/abc123"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        checkpoint *cp = open_good(ways[i]);
        ck_assert_ptr_nonnull(checkpoint_find(cp, "a"));
        expect(cp->dir, "/snapshots/abc123");
        checkpoint_close(cp);
    }
    ck_assert_uint_eq(note_count, 0);
    scratch_text("models--X--Y/refs/main", "abc123\n");
    checkpoint_close(open_good("models--X--Y"));
}
END_TEST

START_TEST(bad_refs_are_refused)
{
    static const char *const refs[] = {"",     "\n",      "..",  ".",       "../snapshots/abc123",
                                       "/etc", "abc123/", "a b", "abc\n123"};
    err e;
    make_hub();
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        scratch_text("models--X--Y/refs/main", refs[i]);
        open_bad("models--X--Y", ERR_INPUT, &e);
        expect(e.text, "refs/main");
    }
    scratch_text("models--X--Y/refs/main", "def456");
    open_bad("models--X--Y", ERR_INPUT, &e);
    expect(e.text, "def456, which does not exist");
    ck_assert_int_eq(unlink(scratch("models--X--Y/refs/main")), 0);
    open_bad("models--X--Y", ERR_IO, &e);
    expect(e.hint, "snapshots");
}
END_TEST

START_TEST(an_incomplete_download_is_noticed)
{
    err e;
    make_hub();
    ck_assert_int_eq(unlink(scratch("models--X--Y/blobs/b1")), 0);
    open_bad("models--X--Y", ERR_IO, &e);
    make_pair();
    ck_assert_int_eq(unlink(scratch("s1.safetensors")), 0);
    ck_assert_int_eq(symlink("blobs/none", scratch("s1.safetensors")), 0);
    open_bad("", ERR_INPUT, &e);
    expect(e.text, "shard s1.safetensors is missing, with 1 tensors");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hub");
    TCase *tc = tcase_create("hub");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, hub_folder_leads_to_its_snapshot);
    tcase_add_test(tc, bad_refs_are_refused);
    tcase_add_test(tc, an_incomplete_download_is_noticed);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
