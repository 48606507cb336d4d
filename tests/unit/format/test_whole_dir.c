/* Directories that appear complete or not at all, and what a later run may remove. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "format/output/whole_dir.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static const char *const names[] = {"a", "b"};

/* What somebody else does just before names are exchanged, or an entry is removed; NULL: nothing. */
static void (*before_exchange)(void), (*before_removal)(void);

static void now(void (**what)(void))
{
    void (*const once)(void) = *what;
    *what = NULL;
    if (once) {
        once();
    }
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (flags & RENAME_EXCHANGE) {
        now(&before_exchange);
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int unlinkat(int dir, const char *name, int flags)
{
    now(&before_removal);
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(scratch(name), &st) == 0;
}

static whole_dir *opened(const char *name, bool force)
{
    whole_dir *d = NULL;
    err e = {0};
    expect_ok(whole_dir_open(scratch(name), force, "list", &d, &e), &e);
    return d;
}

static void refused(const char *name, bool force, const char *why)
{
    whole_dir *d = NULL;
    err e = {0};
    expect_error(whole_dir_open(scratch(name), force, "list", &d, &e), ERR_IO, &e, why);
    ck_assert_ptr_null(d);
}

/* Make a directory x with the files a and b, whose content is `text`. */
static void make(bool force, const char *text)
{
    err e = {0};
    whole_dir *d = opened("x", force);
    ck_assert_str_eq(whole_dir_folder(d).path, scratch(".x.part"));
    expect_ok(whole_dir_list(d, names, 2, "{\"by\":1}", &e), &e);
    scratch_text(".x.part/a", text);
    scratch_text(".x.part/b", text);
    expect_ok(whole_dir_commit(&d, &e), &e);
    ck_assert_ptr_null(d);
    whole_dir_abandon(&d);
}

static void expect_text_of(const char *name, const char *text)
{
    char found[64] = "";
    FILE *const f = fopen(scratch(name), "r");
    ck_assert_ptr_nonnull(f);
    ck_assert_ptr_nonnull(fgets(found, sizeof found, f));
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_str_eq(found, text);
}

START_TEST(appears_when_it_is_complete)
{
    struct stat st;
    umask(027);
    make(false, "one");
    expect_text_of("x/a", "one");
    expect_text_of("x/list", "{\"by\":1,\"files\":[\"a\",\"b\"]}");
    ck_assert(!exists(".x.part"));
    ck_assert_int_eq(lstat(scratch("x"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0750);
}
END_TEST

START_TEST(trailing_slashes_name_the_same)
{
    whole_dir *d = opened("y//", false);
    ck_assert_str_eq(whole_dir_folder(d).path, scratch(".y.part"));
    whole_dir_abandon(&d);
    refused(".", false, "not the name of a new directory");
    refused("y/..", true, "not the name of a new directory");
    refused("missing/y", false, "cannot open the directory");
}
END_TEST

START_TEST(abandoned_leaves_nothing)
{
    err e = {0};
    whole_dir *d = opened("x", false);
    expect_ok(whole_dir_list(d, names, 2, "{}", &e), &e);
    scratch_text(".x.part/a", "half");
    scratch_text(".x.part/.b.part", "of a file");
    whole_dir_abandon(&d);
    ck_assert_ptr_null(d);
    ck_assert(!exists(".x.part") && !exists("x"));
}
END_TEST

START_TEST(replaced_only_on_request)
{
    make(false, "one");
    refused("x", false, "exists");
    make(true, "two");
    expect_text_of("x/b", "two");
    ck_assert(!exists(".x.part"));
    scratch_text("file", "");
    refused("file", true, "exists and is not a directory");
    ck_assert_int_eq(symlink("x", scratch("link")), 0);
    refused("link", true, "exists and is not a directory");
    ck_assert_int_eq(mkdir(scratch("empty"), 0777), 0);
    refused("empty", false, "exists");
    whole_dir *d = opened("empty", true);
    err e = {0};
    expect_ok(whole_dir_commit(&d, &e), &e);
    ck_assert(exists("empty"));
}
END_TEST

/* Entries that are not on the list: a file, a directory, a link with the name of a listed file, any
 * file if the list is malformed. */
START_TEST(foreign_files_stay)
{
    make(false, "one");
    scratch_text("x/c", "mine");
    refused("x", true, "x: contains c, which is not part of an export");
    ck_assert(exists("x/a") && exists("x/list") && !exists(".x.part"));
    ck_assert_int_eq(unlink(scratch("x/c")), 0);
    ck_assert_int_eq(unlink(scratch("x/a")), 0);
    ck_assert_int_eq(mkdir(scratch("x/a"), 0777), 0);
    refused("x", true, "contains a, ");
    ck_assert_int_eq(rmdir(scratch("x/a")), 0);
    ck_assert_int_eq(symlink("/etc/passwd", scratch("x/a")), 0);
    refused("x", true, "contains a, ");
    ck_assert_int_eq(unlink(scratch("x/a")), 0);
    scratch_text("x/list", "{\"files\":[\"b\"");
    refused("x", true, "contains b, ");
    scratch_text("x/list", "{\"files\":\"b\"}");
    refused("x", true, "contains b, ");
    scratch_text("x/list", "{\"files\":[3, \"b\"]}");
    make(true, "three");
}
END_TEST

/* Somebody adds a file to the old directory while the new one is written. */
START_TEST(foreign_files_stay_at_commit)
{
    err e = {0};
    make(false, "one");
    whole_dir *d = opened("x", true);
    expect_ok(whole_dir_list(d, names, 2, "{}", &e), &e);
    scratch_text("x/mine", "mine");
    expect_error(whole_dir_commit(&d, &e), ERR_IO, &e, "contains mine");
    whole_dir_abandon(&d);
    ck_assert(exists("x/mine") && exists("x/a") && !exists(".x.part"));
    d = opened("y", false);
    ck_assert_int_eq(mkdir(scratch("y"), 0777), 0);
    expect_error(whole_dir_commit(&d, &e), ERR_IO, &e, "cannot rename");
    whole_dir_abandon(&d);
    ck_assert(exists("y"));
}
END_TEST

/* The temporary directory of a killed run: with its list and some files, empty if it had no list
 * yet, and with a file that belongs to no run. */
START_TEST(stale_parts_are_replaced)
{
    scratch_text(".x.part/list", "{\"files\":[\"a\"]}");
    scratch_text(".x.part/.a.part", "half");
    make(false, "one");
    expect_text_of("x/a", "one");
    ck_assert_int_eq(mkdir(scratch(".x.part"), 0700), 0);
    make(true, "two");
    scratch_text(".x.part/.list.part", "");
    make(true, "three");
    scratch_text(".x.part/a", "whose?");
    refused("x", true, "contains a, ");
    ck_assert(exists(".x.part/a"));
    expect_text_of("x/a", "three");
}
END_TEST

/* ---- directories in it ----------------------------------------- */

static const char *const deep[] = {"a", "t/x", "t/y"};

static void make_deep(bool force, const char *text)
{
    err e = {0};
    whole_dir *d = opened("x", force);
    expect_ok(whole_dir_list(d, deep, 3, "{}", &e), &e);
    for (int i = 0; i < COUNT(deep); i++) {
        expect_ok(whole_dir_put(d, deep[i], text, strlen(text), &e), &e);
    }
    expect_ok(whole_dir_commit(&d, &e), &e);
}

START_TEST(a_directory_in_it)
{
    struct stat st;
    umask(027);
    make_deep(false, "one");
    expect_text_of("x/t/x", "one");
    expect_text_of("x/t/y", "one");
    ck_assert_int_eq(lstat(scratch("x/t"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0750);
    ck_assert_int_eq(lstat(scratch("x/t/x"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
    make_deep(true, "two");
    expect_text_of("x/t/y", "two");
    ck_assert(!exists(".x.part"));
    make(true, "flat");
    ck_assert(!exists("x/t"));
}
END_TEST

START_TEST(an_abandoned_directory_in_it)
{
    err e = {0};
    whole_dir *d = opened("x", false);
    expect_ok(whole_dir_list(d, deep, 3, "{}", &e), &e);
    expect_ok(whole_dir_put(d, "t/x", "1", 1, &e), &e);
    whole_dir_abandon(&d);
    ck_assert(!exists(".x.part") && !exists("x"));
}
END_TEST

/* What a killed run may have left: the directory, still empty, or with one of its files. */
START_TEST(stale_directories_are_replaced)
{
    scratch_text(".x.part/list", "{\"files\":[\"t/x\",\"t/y\"]}");
    ck_assert_int_eq(mkdir(scratch(".x.part/t"), 0777), 0);
    make(false, "one");
    scratch_text(".x.part/list", "{\"files\":[\"t/x\",\"t/y\"]}");
    scratch_text(".x.part/t/y", "half");
    make(true, "two");
    ck_assert(!exists("x/t"));
}
END_TEST

/* Nothing that is not on the list is removed, and no link is followed. */
START_TEST(foreign_files_in_directories_stay)
{
    make_deep(false, "one");
    scratch_text("x/t/mine", "mine");
    refused("x", true, "x: contains t/mine, which is not part of an export");
    ck_assert(exists("x/a") && exists("x/t/x") && exists("x/t/mine"));
    ck_assert_int_eq(unlink(scratch("x/t/mine")), 0);
    ck_assert_int_eq(mkdir(scratch("x/t/sub"), 0777), 0);
    refused("x", true, "contains t/sub, ");
    ck_assert_int_eq(rmdir(scratch("x/t/sub")), 0);
    ck_assert_int_eq(mkdir(scratch("x/u"), 0777), 0);
    refused("x", true, "contains u, ");
    ck_assert_int_eq(rmdir(scratch("x/u")), 0);
    ck_assert_int_eq(rename(scratch("x/t"), scratch("elsewhere")), 0);
    ck_assert_int_eq(symlink("../elsewhere", scratch("x/t")), 0);
    refused("x", true, "contains t, ");
    ck_assert(exists("elsewhere/x"));
    ck_assert_int_eq(unlink(scratch("x/t")), 0);
    scratch_text("x/t", "a file in place of the directory");
    refused("x", true, "contains t, ");
}
END_TEST

/* A link that somebody puts in place of the directory while it is filled. */
START_TEST(no_link_is_followed)
{
    err e = {0};
    ck_assert_int_eq(mkdir(scratch("elsewhere"), 0777), 0);
    whole_dir *d = opened("x", false);
    ck_assert_int_eq(symlink("../elsewhere", scratch(".x.part/t")), 0);
    expect_error(whole_dir_put(d, "t/x", "1", 1, &e), ERR_IO, &e, "cannot open the directory");
    ck_assert(!exists("elsewhere/x"));
    ck_assert_int_eq(unlink(scratch(".x.part/t")), 0);
    expect_ok(whole_dir_put(d, "t/x", "1", 1, &e), &e);
    expect_error(whole_dir_put(d, "t/x", "2", 1, &e), ERR_IO, &e, "t/x: cannot create");
    whole_dir_abandon(&d);
}
END_TEST

START_TEST(one_writer_at_a_time)
{
    whole_dir *d = opened("x", false);
    refused("x", false, "another run is writing it");
    whole_dir_abandon(&d);
    d = opened("x", false);
    whole_dir_abandon(&d);
}
END_TEST

static void rename_away(void)
{
    ck_assert_int_eq(rename(scratch("x"), scratch("x.bak")), 0);
}

static void put_another_there(void)
{
    rename_away();
    ck_assert_int_eq(mkdir(scratch("x"), 0755), 0);
    scratch_text("x/mine", "mine");
}

/* What was looked at is no longer what the name leads to: it keeps its files. */
START_TEST(a_directory_that_is_moved_meanwhile)
{
    err e = {0};
    make(false, "one");
    whole_dir *d = opened("x", true);
    before_exchange = _i ? put_another_there : rename_away;
    expect_error(whole_dir_commit(&d, &e), ERR_IO, &e,
                 _i ? "x: cannot be replaced: " : "cannot be renamed to");
    whole_dir_abandon(&d);
    expect_text_of("x.bak/a", "one");
    expect_text_of("x.bak/list", "{\"by\":1,\"files\":[\"a\",\"b\"]}");
    ck_assert(exists("x") == (_i != 0));
    ck_assert(exists("x/mine") == (_i != 0));
    ck_assert(!exists(".x.part"));
}
END_TEST

static void open_another(void)
{
    refused("x", true, "another run is writing it");
}

/* Another run would take what is being removed for its own temporary directory. */
START_TEST(an_old_directory_is_locked_while_it_is_removed)
{
    make(false, "one");
    before_removal = open_another;
    make(true, "two");
    ck_assert_ptr_null(before_removal);
    expect_text_of("x/a", "two");
    ck_assert(!exists(".x.part"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("whole_dir");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, appears_when_it_is_complete);
    tcase_add_test(tc, trailing_slashes_name_the_same);
    tcase_add_test(tc, abandoned_leaves_nothing);
    tcase_add_test(tc, replaced_only_on_request);
    tcase_add_test(tc, foreign_files_stay);
    tcase_add_test(tc, foreign_files_stay_at_commit);
    tcase_add_test(tc, stale_parts_are_replaced);
    tcase_add_test(tc, a_directory_in_it);
    tcase_add_test(tc, an_abandoned_directory_in_it);
    tcase_add_test(tc, stale_directories_are_replaced);
    tcase_add_test(tc, foreign_files_in_directories_stay);
    tcase_add_test(tc, no_link_is_followed);
    tcase_add_test(tc, one_writer_at_a_time);
    tcase_add_loop_test(tc, a_directory_that_is_moved_meanwhile, 0, 2);
    tcase_add_test(tc, an_old_directory_is_locked_while_it_is_removed);
    return run_tests("whole_dir", tc);
}
