/* What outputs have in common: temporary names, the lock on them, and how they become final. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/output/part.h"
#include "tests/aid/output_case.h"

/* What count_call was asked; it asks for another part the first `agains` times. */
typedef struct emptied {
    int calls, agains;
    bool created;
} emptied;

static err_code count_call(void *ctx, bool created, bool *again, err *e)
{
    emptied *const x = ctx;
    (void)e;
    x->calls++;
    x->created = created;
    *again = x->calls <= x->agains;
    return OK;
}

static err_code refuse(void *ctx, bool created, bool *again, err *e)
{
    (void)ctx;
    (void)created;
    (void)again;
    return err_set(e, ERR_IO, "not empty");
}

static part named(part_kind kind, const char *path)
{
    part p = PART_CLOSED;
    err e = {0};
    expect_ok(part_name_beside(&p, kind, path, "a thing", &e), &e);
    return p;
}

static part opened_part(part_kind kind, const char *name, emptied *x)
{
    part p = named(kind, scratch(name));
    err e = {0};
    expect_ok(part_open_around(&p, &e), &e);
    expect_ok(part_open(&p, count_call, x, &e), &e);
    return p;
}

static const part_kind kinds[] = {PART_FILE, PART_DIRECTORY};

/* ---- names ----------------------------------------------------- */

START_TEST(names_lie_beside_or_inside)
{
    part p = named(PART_FILE, "a/b/c");
    ck_assert_str_eq(p.path, "a/b/c");
    ck_assert_str_eq(p.around, "a/b/");
    ck_assert_str_eq(p.name, "a/b/.c.part");
    part_close(&p);
    p = named(PART_FILE, "c");
    ck_assert_str_eq(p.around, ".");
    ck_assert_str_eq(p.name, ".c.part");
    part_close(&p);
    err e = {0};
    expect_ok(part_name_inside(&p, PART_DIRECTORY, "a/b", ".part", &e), &e);
    ck_assert_str_eq(p.around, "a/b");
    ck_assert_str_eq(p.name, "a/b/.part");
    part_close(&p);
    part_close(&p);
}
END_TEST

START_TEST(dots_and_slashes_are_no_names)
{
    static const char *const bad[] = {"", ".", "..", "a/", "a/..", "/"};
    for (int i = 0; i < COUNT(bad); i++) {
        part p = PART_CLOSED;
        err e = {0};
        expect_error(part_name_beside(&p, PART_FILE, bad[i], "a thing", &e), ERR_IO, &e,
                     "not the name of a thing");
        part_close(&p);
    }
}
END_TEST

/* ---- the lock -------------------------------------------------- */

START_TEST(one_has_the_lock)
{
    emptied x = {0};
    part first = opened_part(kinds[_i], "x", &x);
    part second = named(kinds[_i], scratch("x"));
    err e = {0};
    ck_assert(x.created && x.calls == 1);
    expect_error(part_open(&second, count_call, &x, &e), ERR_IO, &e, "another run is writing it");
    ck_assert_int_eq(second.fd, -1);
    ck_assert_int_eq(x.calls, 1);
    part_close(&first); /* as a killed run does */
    expect_ok(part_open(&second, count_call, &x, &e), &e);
    ck_assert(!x.created && x.calls == 2);
    ck_assert(part_remove(&second));
    part_close(&second);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

START_TEST(emptying_may_ask_for_another)
{
    emptied x = {.agains = 2};
    part p = opened_part(kinds[_i], "x", &x);
    ck_assert_int_eq(x.calls, 3);
    err e = {0};
    expect_ok(part_check_name(&p, &e), &e);
    ck_assert(part_remove(&p));
    part_close(&p);
}
END_TEST

START_TEST(what_cannot_be_emptied_is_closed)
{
    part p = named(kinds[_i], scratch("x"));
    err e = {0};
    expect_error(part_open(&p, refuse, NULL, &e), ERR_IO, &e, "not empty");
    ck_assert_int_eq(p.fd, -1);
    part_close(&p);
    emptied x = {0};
    p = opened_part(kinds[_i], "x", &x); /* nobody holds the lock */
    ck_assert(part_remove(&p));
    part_close(&p);
}
END_TEST

START_TEST(links_are_not_followed)
{
    part p = named(kinds[_i], scratch("x"));
    err e = {0};
    ck_assert_int_eq(mkdir(scratch("there"), 0700), 0);
    ck_assert_int_eq(symlink("there", scratch(".x.part")), 0);
    ck_assert_int_eq(part_open(&p, count_call, NULL, &e), ERR_IO);
    part_close(&p);
    ck_assert_int_eq(unlink(scratch(".x.part")), 0);
    ck_assert_int_eq(rmdir(scratch("there")), 0);
}
END_TEST

START_TEST(others_keep_their_name)
{
    emptied x = {0};
    part p = opened_part(kinds[_i], "x", &x);
    char *const moved = strdup(scratch("moved"));
    ck_assert_int_eq(rename(p.name, moved), 0);
    err e = {0};
    expect_error(part_check_name(&p, &e), ERR_IO, &e, "was removed or replaced during the run");
    part other = opened_part(kinds[_i], "x", &x);
    ck_assert(part_remove(&p)); /* nothing of its own has that name */
    expect_ok(part_check_name(&other, &e), &e);
    ck_assert(part_remove(&other));
    part_close(&p);
    part_close(&other);
    ck_assert_int_eq(remove(moved), 0);
    free(moved);
}
END_TEST

/* ---- the end --------------------------------------------------- */

START_TEST(renamed_only_where_nothing_is)
{
    emptied x = {0};
    err e = {0};
    struct stat st;
    part p = opened_part(kinds[_i], "x", &x);
    expect_ok(part_chmod(&p, part_mode(0777), &e), &e);
    expect_ok(part_rename(&p, false, &e), &e);
    expect_ok(part_sync_around(&p, &e), &e);
    ck_assert_int_eq(lstat(p.path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, part_mode(0777));
    part_close(&p);
    p = opened_part(kinds[_i], "x", &x);
    expect_error(part_rename(&p, false, &e), ERR_IO, &e, "cannot rename to");
    expect_ok(part_rename(&p, true, &e), &e);
    ck_assert_int_eq(remove(p.path), 0);
    part_close(&p);
    ck_assert_int_eq(count_entries(""), 0);
}
END_TEST

START_TEST(entries_are_renamed_without_replacing)
{
    write_and_commit("a", false, "one");
    write_and_commit("b", false, "two");
    const int dir = open(scratch(""), O_PATH | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(part_rename_new(dir, "a", dir, "b"), -1);
    ck_assert_int_eq(part_rename_new(dir, "a", dir, "c"), 0);
    expect_text_of("b", "two");
    expect_text_of("c", "one");
    close(dir);
}
END_TEST

START_TEST(a_failed_sync_is_an_error)
{
    err e = {0};
    const int closed = dup(0);
    close(closed);
    expect_error(part_sync_directory(closed, "x", &e), ERR_IO, &e, "x: cannot sync the directory");
}
END_TEST

/* A directory that may be written but not read is synced through the file that is made in it. */
START_TEST(an_unreadable_directory_is_synced_all_the_same)
{
    emptied x = {0};
    err e = {0};
    part p = opened_part(kinds[_i], "x", &x);
    close(p.around_fd);
    p.around_fd = -1;
    expect_ok(part_sync_around(&p, &e), &e);
    part closed = p;
    closed.fd = dup(0);
    close(closed.fd);
    expect_error(part_sync_around(&closed, &e), ERR_IO, &e, "cannot sync its file system");
    ck_assert(part_remove(&p));
    part_close(&p);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, names_lie_beside_or_inside);
    tcase_add_test(tc, dots_and_slashes_are_no_names);
    tcase_add_loop_test(tc, one_has_the_lock, 0, COUNT(kinds));
    tcase_add_loop_test(tc, emptying_may_ask_for_another, 0, COUNT(kinds));
    tcase_add_loop_test(tc, what_cannot_be_emptied_is_closed, 0, COUNT(kinds));
    tcase_add_loop_test(tc, links_are_not_followed, 0, COUNT(kinds));
    tcase_add_loop_test(tc, others_keep_their_name, 0, COUNT(kinds));
    tcase_add_loop_test(tc, renamed_only_where_nothing_is, 0, COUNT(kinds));
    tcase_add_test(tc, entries_are_renamed_without_replacing);
    tcase_add_test(tc, a_failed_sync_is_an_error);
    tcase_add_loop_test(tc, an_unreadable_directory_is_synced_all_the_same, 0, COUNT(kinds));
    return run_tests("part", tc);
}
