/* Which files the texts are in: files and directories, their order, and what is left out. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/aid/cancel_each.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"
#include "verify/tokenizer/text_files.h"

static char note[1024];

static void keep_note(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(note, sizeof note, "%s", text);
}

static const monitor listener = {.note = keep_note};

/* The names, without the directory of the test, separated by blanks. */
static const char *shown(const dir_list *files)
{
    static char text[1024];
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < files->count; i++) {
        const char *const name = files->names[i];
        const size_t skip =
            strncmp(name, scratch_dir, strlen(scratch_dir)) == 0 ? strlen(scratch_dir) + 1 : 0;
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "", name + skip);
    }
    return text;
}

static void expect_files(const char *const *paths, size_t count, const char *expected)
{
    dir_list files;
    err e = {0};
    note[0] = '\0';
    expect_ok(text_files_find(paths, count, NULL, &listener, &files, &e), &e);
    ck_assert_str_eq(shown(&files), expected);
    dir_list_free(&files);
}

static void refuse(const char *const *paths, size_t count, const char *field, err_code code,
                   const char *text)
{
    dir_list files;
    err e = {0};
    expect_error(text_files_find(paths, count, field, NULL, &files, &e), code, &e, text);
    dir_list_free(&files);
}

static const struct {
    const char *name;
    bool is_lines;
} lines[] = {
    {"a.jsonl", true},      {"dir.txt/a.ndjson", true},
    {"a.jsonl.gz", true},   {"a.ndjson.zst", true},
    {"a.jsonl.xz", true},   {"a.jsonl.bz2", true},
    {"a.json", false},      {"a.txt", false},
    {"a.jsonl.txt", false}, {"a.jsonl.gz.gz", false},
    {"dir.jsonl/a", false}, {".jsonl", false},
    {"-", false},           {"jsonl", false},
    {"a.jsonl.", false},
};

START_TEST(json_lines_are_known_by_their_names)
{
    ck_assert_int_eq(text_files_is_lines(lines[_i].name), lines[_i].is_lines);
}
END_TEST

START_TEST(files_stay_in_their_order)
{
    scratch_text("b", "");
    scratch_text("a.pdf", "");
    const char *const paths[] = {scratch("b"), "-", scratch("a.pdf"), scratch("b")};
    expect_files(paths, COUNT(paths), "b - a.pdf b");
    ck_assert_str_eq(note, "");
    expect_files(NULL, 0, "");
}
END_TEST

/* The order is that of whole paths: '-' < '.' < '/' < '0'. */
START_TEST(directories_are_sorted_by_bytes)
{
    static const char *const names[] = {"d/a/z.txt",   "d/a.txt",       "d/a-b.md",
                                        "d/a0.text",   "d/Z.jsonl",     "d/a/b/c.md",
                                        "d/a/y.md.gz", "d/.hidden.txt", "d/x.ndjson.zst"};
    for (int i = 0; i < COUNT(names); i++) {
        scratch_text(names[i], "");
    }
    scratch_text("first.txt", "");
    const char *const paths[] = {scratch("first.txt"), scratch("d//")};
    expect_files(paths, COUNT(paths),
                 "first.txt d/.hidden.txt d/Z.jsonl d/a-b.md d/a.txt d/a/b/c.md d/a/y.md.gz "
                 "d/a/z.txt d/a0.text d/x.ndjson.zst");
    ck_assert_str_eq(note, "");
}
END_TEST

START_TEST(what_is_left_out_is_named)
{
    scratch_text("d/a.txt", "");
    scratch_text("d/sub/b.pdf", "");
    scratch_text("d/c.json", "");
    scratch_text("else/e.txt", "");
    ck_assert_int_eq(mkfifo(scratch("d/pipe.txt"), 0600), 0);
    ck_assert_int_eq(symlink("../else/e.txt", scratch("d/link.txt")), 0);
    ck_assert_int_eq(symlink("../else/e.txt", scratch("d/link")), 0);
    ck_assert_int_eq(symlink("../else", scratch("d/more.txt")), 0);
    ck_assert_int_eq(symlink("nothing", scratch("d/none")), 0);
    ck_assert_int_eq(symlink("nothing", scratch("d/none.txt")), 0);
    const char *const path = scratch("d");
    expect_files(&path, 1, "d/a.txt d/link.txt d/none.txt");
    ck_assert_str_eq(strchr(note, ':') + 1,
                     " 6 left out, not named like texts: c.json; link; more.txt (a link to a "
                     "directory); none; pipe.txt (not a file); sub/b.pdf");
}
END_TEST

/* A link to the directory itself is not followed, so that the search ends. */
START_TEST(links_lead_in_no_circle)
{
    scratch_text("d/a.txt", "");
    ck_assert_int_eq(symlink(".", scratch("d/circle")), 0);
    ck_assert_int_eq(symlink("self.txt", scratch("d/self.txt")), 0);
    ck_assert_int_eq(symlink("d", scratch("top")), 0);
    const char *const path = scratch("top");
    expect_files(&path, 1, "top/a.txt top/self.txt");
}
END_TEST

START_TEST(wrong_names_are_found_at_once)
{
    scratch_text("a.txt", "");
    scratch_text("empty/a.pdf", "");
    const char *const missing[] = {scratch("a.txt"), scratch("none")};
    refuse(missing, 2, NULL, ERR_IO, "none: cannot open: No such file");
    const char *const device = "/dev/null";
    refuse(&device, 1, NULL, ERR_IO, "/dev/null: not a regular file");
    const char *const empty = scratch("empty");
    refuse(&empty, 1, NULL, ERR_INPUT, "empty: no texts in this directory");
    const char *const twice[] = {"-", scratch("a.txt"), "-"};
    refuse(twice, 3, NULL, ERR_USAGE, "--text -: standard input can be read only once");
    refuse(twice, 2, "text", ERR_USAGE, "--text-field requires a text whose name ends in .jsonl");
}
END_TEST

START_TEST(a_directory_must_be_readable)
{
    if (geteuid() == 0) {
        return; /* root may read everything */
    }
    scratch_text("d/sub/a.txt", "");
    ck_assert_int_eq(chmod(scratch("d/sub"), 0), 0);
    const char *const path = scratch("d");
    refuse(&path, 1, NULL, ERR_IO, "d/sub: cannot open directory");
    ck_assert_int_eq(chmod(scratch("d/sub"), 0700), 0);
}
END_TEST

static err_code find(void *ctx, const monitor *m, err *e)
{
    dir_list files;
    const err_code code = text_files_find(ctx, 1, NULL, m, &files, e);
    dir_list_free(&files);
    return code;
}

START_TEST(the_search_can_be_cancelled)
{
    scratch_text("d/a.txt", "");
    scratch_text("d/b/c.txt", "");
    const char *path = scratch("d");
    ck_assert_uint_eq(cancel_each(find, &path), 2); /* once in each directory */
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("text_files");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, json_lines_are_known_by_their_names, 0, COUNT(lines));
    tcase_add_test(tc, files_stay_in_their_order);
    tcase_add_test(tc, directories_are_sorted_by_bytes);
    tcase_add_test(tc, what_is_left_out_is_named);
    tcase_add_test(tc, links_lead_in_no_circle);
    tcase_add_test(tc, wrong_names_are_found_at_once);
    tcase_add_test(tc, a_directory_must_be_readable);
    tcase_add_test(tc, the_search_can_be_cancelled);
    return run_tests("text_files", tc);
}
