/* Directories that appear complete or not at all, whatever was there before. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/dir_list.h"
#include "format/output/output_dir.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static err e;

static void setup(void)
{
    e = (err){0};
    umask(022);
    scratch_make();
}

/* All files that the runs of these tests make. */
static const char *const names[] = {"a", "b", "sub", "t/x", "t/y"};

static output_dir *opened(const char *name, bool force)
{
    output_dir *d = NULL;
    expect_ok(output_dir_open(scratch(name), force, names, COUNT(names), &d, &e), &e);
    return d;
}

static void refused(const char *name, bool force, const char *why)
{
    output_dir *d = NULL;
    expect_error(output_dir_open(scratch(name), force, names, COUNT(names), &d, &e), ERR_IO, &e,
                 why);
    ck_assert_ptr_null(d);
}

/* Create a file in the temporary directory. */
static void put(const output_dir *d, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", output_dir_folder(d).path, name);
    ck_assert_int_eq(strncmp(path, scratch_dir, strlen(scratch_dir)), 0);
    scratch_text(path + strlen(scratch_dir) + 1, text);
}

/* The names in a directory, with a space after each. */
static const char *names_in(const char *name)
{
    static char text[1024];
    dir_list l = {0};
    text[0] = '\0';
    expect_ok(dir_list_read(scratch(name), &l, &e), &e);
    for (size_t i = 0; i < l.count; i++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s ", l.names[i]);
    }
    dir_list_free(&l);
    return text;
}

static void expect_text_in(const char *name, const char *text)
{
    char found[64] = "";
    FILE *const f = fopen(scratch(name), "rb");
    ck_assert_ptr_nonnull(f);
    ck_assert(fgets(found, sizeof found, f) != NULL);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_str_eq(found, text);
}

START_TEST(appears_complete)
{
    output_dir *d = opened("new//", false);
    put(d, "a", "1");
    put(d, "b", "2");
    ck_assert_str_eq(names_in(""), ".new.part ");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_ptr_null(d);
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in(""), "new ");
    ck_assert_str_eq(names_in("new"), "a b ");
    struct stat st;
    ck_assert_int_eq(stat(scratch("new"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0755);
}
END_TEST

START_TEST(disappears_when_abandoned)
{
    output_dir *d = opened("new", false);
    put(d, "a", "1");
    output_dir_abandon(&d);
    ck_assert_ptr_null(d);
    ck_assert_str_eq(names_in(""), "");
}
END_TEST

START_TEST(empty_directory_is_filled)
{
    ck_assert_int_eq(mkdir(scratch("old"), 0700), 0);
    output_dir *d = opened("old", false);
    put(d, "a", "1");
    ck_assert_str_eq(names_in("old"), ".octavo.part ");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("old"), "a ");
}
END_TEST

/* The files are where the directory is now, and that is an error: it is not the one that was named. */
START_TEST(a_directory_that_is_renamed)
{
    ck_assert_int_eq(mkdir(scratch("old"), 0700), 0);
    output_dir *d = opened("old", false);
    put(d, "a", "1");
    ck_assert_int_eq(rename(scratch("old"), scratch("elsewhere")), 0);
    expect_error(output_dir_commit(&d, &e), ERR_IO, &e, "was removed or replaced during the run");
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in(""), "elsewhere ");
    ck_assert_str_eq(names_in("elsewhere"), "a ");
}
END_TEST

START_TEST(other_files_stay)
{
    scratch_text("old/a", "old");
    scratch_text("old/b", "old");
    refused("old", false, "exists and is not empty");
    output_dir *d = opened("old", true);
    put(d, "a", "new");
    expect_text_in("old/a", "old");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("old"), "a b ");
    expect_text_in("old/a", "new");
    expect_text_in("old/b", "old");
    d = opened("old", true);
    put(d, "a", "newer");
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in("old"), "a b ");
    expect_text_in("old/a", "new");
}
END_TEST

START_TEST(claims)
{
    ck_assert_int_eq(mkdir(scratch("old"), 0777), 0);
    ck_assert_int_eq(mkdir(scratch("old/sub"), 0777), 0);
    scratch_text("old/a", "1");
    output_dir *d = opened("old", true);
    expect_ok(output_dir_claim(d, "a", &e), &e);
    expect_ok(output_dir_claim(d, "b", &e), &e);
    expect_error(output_dir_claim(d, "sub", &e), ERR_IO, &e, "not a regular file");
    static const char *const wrong[] = {"",      ".",    "..",   "/a",           "a/",
                                        "a/b/c", "../a", "a/..", ".octavo.part", ".octavo.part/a"};
    for (int i = 0; i < COUNT(wrong); i++) {
        expect_error(output_dir_claim(d, wrong[i], &e), ERR_IO, &e, "name of a file");
    }
    /* What was created in between is not replaced either, and nothing else is moved. */
    put(d, "a", "2");
    put(d, "sub", "2");
    expect_error(output_dir_commit(&d, &e), ERR_IO, &e, "sub: exists");
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in("old"), "a sub ");
    expect_text_in("old/a", "1");
}
END_TEST

START_TEST(names_taken_in_between)
{
    output_dir *d = opened("new", false);
    put(d, "a", "1");
    scratch_text("new/b", "other");
    expect_error(output_dir_commit(&d, &e), ERR_IO, &e, "cannot rename");
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in(""), "new ");
    ck_assert_str_eq(names_in("new"), "b ");
}
END_TEST

START_TEST(leftovers_are_removed)
{
    scratch_text(".new.part/b", "1");
    scratch_text(".new.part/.a.part", "half");
    output_dir *d = opened("new", false);
    put(d, "a", "1");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("new"), "a ");
    scratch_text("old/.octavo.part/.b.part", "half");
    scratch_text("old/.octavo.part/a", "1");
    d = opened("old", false);
    put(d, "b", "1");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("old"), "b ");
}
END_TEST

/* If there is anything that no run has left, nothing is removed. */
START_TEST(foreign_files_stay)
{
    scratch_text(".new.part/a", "1");
    scratch_text(".new.part/notes", "mine");
    refused("new", false, ".new.part: contains notes, which is not part of this output");
    expect_text_in(".new.part/a", "1");
    expect_text_in(".new.part/notes", "mine");
    scratch_text(".other.part/a", "1");
    scratch_text(".other.part/sub/file", "mine"); /* a directory, even if the name is one of ours */
    refused("other", false, "contains sub, ");
    ck_assert_str_eq(names_in(".other.part"), "a sub ");
    scratch_text("old/.octavo.part/.a.part.old", "mine");
    refused("old", false, "contains .a.part.old, ");
    refused("old", true, "contains .a.part.old, ");
    expect_text_in("old/.octavo.part/.a.part.old", "mine");
    ck_assert_int_eq(mkdir(scratch(".third.part"), 0700), 0);
    ck_assert_int_eq(symlink("a", scratch(".third.part/a")), 0);
    refused("third", false, "contains a, ");
}
END_TEST

/* A file that somebody else put into the temporary directory does not replace one of its name. */
START_TEST(foreign_files_are_not_moved)
{
    scratch_text("old/notes", "mine");
    output_dir *d = opened("old", true);
    put(d, "a", "1");
    put(d, "notes", "other");
    expect_error(output_dir_commit(&d, &e), ERR_IO, &e, "contains notes, ");
    output_dir_abandon(&d);
    expect_text_in("old/notes", "mine");
    expect_text_in("old/.octavo.part/notes", "other");
}
END_TEST

/* ---- directories in it ----------------------------------------- */

static void put_deep(const output_dir *d, const char *text)
{
    expect_ok(output_dir_put(d, "a", text, strlen(text), &e), &e);
    expect_ok(output_dir_put(d, "t/x", text, strlen(text), &e), &e);
    expect_ok(output_dir_put(d, "t/y", text, strlen(text), &e), &e);
}

START_TEST(a_directory_appears)
{
    output_dir *d = opened("new", false);
    expect_ok(output_dir_claim(d, "t/x", &e), &e);
    put_deep(d, "1");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("new"), "a t ");
    ck_assert_str_eq(names_in("new/t"), "x y ");
    d = opened("other", false);
    put_deep(d, "1");
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in(""), "new ");
}
END_TEST

/* Into one that exists: with the files that are already there, or without the directory. */
START_TEST(a_directory_is_filled)
{
    scratch_text("old/t/x", "old");
    scratch_text("old/t/mine", "mine");
    output_dir *d = opened("old", true);
    expect_ok(output_dir_claim(d, "t/x", &e), &e);
    put_deep(d, "new");
    expect_text_in("old/t/x", "old");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("old"), "a t ");
    ck_assert_str_eq(names_in("old/t"), "mine x y ");
    expect_text_in("old/t/x", "new");
    ck_assert_int_eq(mkdir(scratch("empty"), 0777), 0);
    d = opened("empty", false);
    put_deep(d, "1");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("empty"), "a t ");
    ck_assert_str_eq(names_in("empty/t"), "x y ");
}
END_TEST

/* Nothing is written outside, through no kind of link. */
START_TEST(a_link_is_no_directory)
{
    ck_assert_int_eq(mkdir(scratch("elsewhere"), 0777), 0);
    ck_assert_int_eq(mkdir(scratch("old"), 0777), 0);
    ck_assert_int_eq(symlink("../elsewhere", scratch("old/t")), 0);
    output_dir *d = opened("old", true);
    expect_error(output_dir_claim(d, "t/x", &e), ERR_IO, &e,
                 "old/t: exists and is not a directory");
    put_deep(d, "1");
    expect_error(output_dir_commit(&d, &e), ERR_IO, &e, "old/t: exists and is not a directory");
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in("elsewhere"), "");
    ck_assert_str_eq(names_in("old"), "t ");
    ck_assert_int_eq(unlink(scratch("old/t")), 0);
    scratch_text("old/t", "a file");
    d = opened("old", true);
    expect_error(output_dir_claim(d, "t/x", &e), ERR_IO, &e,
                 "old/t: exists and is not a directory");
    output_dir_abandon(&d);
    /* A link in place of the file is replaced itself. */
    scratch_text("linked/t/other", "other");
    ck_assert_int_eq(symlink("other", scratch("linked/t/x")), 0);
    d = opened("linked", true);
    put_deep(d, "1");
    expect_ok(output_dir_commit(&d, &e), &e);
    expect_text_in("linked/t/other", "other");
    expect_text_in("linked/t/x", "1");
    ck_assert_int_eq(mkdir(scratch("taken"), 0777), 0);
    ck_assert_int_eq(mkdir(scratch("taken/t"), 0777), 0);
    ck_assert_int_eq(mkdir(scratch("taken/t/x"), 0777), 0);
    d = opened("taken", true);
    expect_error(output_dir_claim(d, "t/x", &e), ERR_IO, &e, "t/x: exists and is not a regular");
    output_dir_abandon(&d);
}
END_TEST

START_TEST(directories_left_over)
{
    scratch_text(".new.part/t/x", "1");
    scratch_text("old/.octavo.part/t/y", "1");
    output_dir *d = opened("new", false);
    output_dir_abandon(&d);
    d = opened("old", false);
    output_dir_abandon(&d);
    ck_assert_str_eq(names_in("old"), "");
    ck_assert_str_eq(names_in(""), "old ");
    scratch_text(".new.part/t/x", "1");
    scratch_text(".new.part/t/mine", "mine");
    refused("new", false, ".new.part: contains t/mine, ");
    ck_assert_str_eq(names_in(".new.part/t"), "mine x ");
}
END_TEST

START_TEST(one_writer_at_a_time)
{
    output_dir *d = opened("new", false);
    put(d, "a", "1");
    refused("new", false, "another run is writing it");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("new"), "a ");
}
END_TEST

START_TEST(other_things_are_refused)
{
    scratch_text("file", "1");
    refused("file", true, "not a directory");
    refused("missing/new", false, "cannot open the directory");
    ck_assert_int_eq(symlink("nowhere", scratch("link")), 0);
    refused("link", true, "cannot stat");
    ck_assert_int_eq(symlink("file", scratch(".new.part")), 0);
    refused("new", false, "not a directory");
    ck_assert_int_eq(mkdir(scratch("dir"), 0777), 0);
    ck_assert_int_eq(symlink("dir", scratch("dir_link")), 0);
    output_dir *d = opened("dir_link", false); /* as cp and tar do */
    put(d, "a", "1");
    char *const path = output_dir_final(d, "a");
    ck_assert_str_eq(path, scratch("dir_link/a"));
    free(path);
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in("dir"), "a ");
}
END_TEST

START_TEST(current_directory)
{
    ck_assert_int_eq(chdir(scratch("")), 0);
    output_dir *d = NULL;
    expect_ok(output_dir_open(".", false, names, COUNT(names), &d, &e), &e);
    ck_assert_str_eq(output_dir_folder(d).path, "./.octavo.part");
    scratch_text(".octavo.part/a", "1");
    expect_ok(output_dir_commit(&d, &e), &e);
    ck_assert_str_eq(names_in(""), "a ");
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("output_dir");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, appears_complete);
    tcase_add_test(tc, disappears_when_abandoned);
    tcase_add_test(tc, empty_directory_is_filled);
    tcase_add_test(tc, a_directory_that_is_renamed);
    tcase_add_test(tc, other_files_stay);
    tcase_add_test(tc, claims);
    tcase_add_test(tc, names_taken_in_between);
    tcase_add_test(tc, leftovers_are_removed);
    tcase_add_test(tc, foreign_files_stay);
    tcase_add_test(tc, foreign_files_are_not_moved);
    tcase_add_test(tc, a_directory_appears);
    tcase_add_test(tc, a_directory_is_filled);
    tcase_add_test(tc, a_link_is_no_directory);
    tcase_add_test(tc, directories_left_over);
    tcase_add_test(tc, one_writer_at_a_time);
    tcase_add_test(tc, other_things_are_refused);
    tcase_add_test(tc, current_directory);
    return run_tests("output_dir", tc);
}
