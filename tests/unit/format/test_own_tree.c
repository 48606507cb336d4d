/* Which files of a directory are ours, and that nothing else is ever removed. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/output/own_tree.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

/* Ours are "a", "b", "dir/a" and what else begins with "own". */
static bool is_own(const void *ctx, const char *name)
{
    const char *const *const more = ctx;
    return strcmp(name, "a") == 0 || strcmp(name, "b") == 0 || strcmp(name, "dir/") == 0 ||
           strcmp(name, "dir/a") == 0 || strncmp(name, *more, strlen(*more)) == 0;
}

static const char *const more = "own";
static int fd;

static void setup(void)
{
    scratch_make();
    fd = open(scratch(""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
}

static void end(void)
{
    close(fd);
    scratch_remove();
}

static err_code list(dir_list *names, char foreign[OWN_NAME_BYTES], err *e)
{
    const own_tree t = {fd, "path", is_own, &more};
    return own_tree_list(&t, names, foreign, e);
}

static void expect_list(const char *own, const char *expected_foreign)
{
    dir_list names = {0};
    char foreign[OWN_NAME_BYTES], found[500] = "";
    err e = {0};
    expect_ok(list(&names, foreign, &e), &e);
    for (size_t i = 0; i < names.count; i++) {
        const size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s ", names.names[i]);
    }
    ck_assert_str_eq(found, own);
    ck_assert_str_eq(foreign, expected_foreign);
    dir_list_free(&names);
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(scratch(name), &st) == 0;
}

START_TEST(ours_and_the_first_of_others)
{
    expect_list("", "");
    scratch_text("b", "");
    scratch_text("a", "");
    scratch_text("own.json", "");
    scratch_text("dir/a", "");
    expect_list("a b dir/ dir/a own.json ", "");
    scratch_text("z", "");
    expect_list("a b dir/ dir/a own.json ", "z");
    scratch_text("dir/b", "");
    expect_list("a b dir/ dir/a own.json ", "dir/b");
    scratch_text("dir-x", ""); /* after dir, before dir/b */
    expect_list("a b dir/ dir/a own.json ", "dir-x");
    scratch_text("c/a", "");
    expect_list("a b dir/ dir/a own.json ", "c");
}
END_TEST

/* A link, a pipe or a directory of one of our names is somebody else's. */
START_TEST(only_regular_files_are_ours)
{
    scratch_text("elsewhere/a", "theirs");
    ck_assert_int_eq(symlink("elsewhere/a", scratch("a")), 0);
    ck_assert_int_eq(mkfifo(scratch("b"), 0600), 0);
    ck_assert_int_eq(symlink("elsewhere", scratch("dir")), 0);
    ck_assert_int_eq(rename(scratch("elsewhere"), scratch("own")), 0);
    expect_list("own/ own/a ", "a");
    ck_assert_int_eq(unlink(scratch("a")), 0);
    expect_list("own/ own/a ", "b");
    ck_assert_int_eq(unlink(scratch("b")), 0);
    expect_list("own/ own/a ", "dir");
    ck_assert_int_eq(unlink(scratch("dir")), 0);
    ck_assert_int_eq(mkdir(scratch("a"), 0700), 0);
    expect_list("own/ own/a ", "a");
    ck_assert_int_eq(mkdir(scratch("own/deep"), 0700), 0); /* a directory in a directory */
    ck_assert_int_eq(rmdir(scratch("a")), 0);
    expect_list("own/ own/a ", "own/deep");
}
END_TEST

static void remove_listed(const char *last, err_code code, const char *part)
{
    dir_list names = {0};
    char foreign[OWN_NAME_BYTES];
    err e = {0};
    expect_ok(list(&names, foreign, &e), &e);
    const err_code found = own_tree_remove(fd, "path", &names, last, &e);
    if (code == OK) {
        expect_ok(found, &e);
    } else {
        expect_error(found, code, &e, part);
    }
    dir_list_free(&names);
}

START_TEST(removed_except_the_last)
{
    scratch_text("a", "");
    scratch_text("own.json", "");
    scratch_text("dir/a", "");
    remove_listed("own.json", OK, NULL);
    ck_assert(is_there("own.json") && !is_there("a") && !is_there("dir"));
    remove_listed(NULL, OK, NULL);
    ck_assert(!is_there("own.json"));
}
END_TEST

/* A directory with something else in it stays, and so does that. */
START_TEST(what_is_not_listed_stays)
{
    scratch_text("dir/a", "");
    scratch_text("dir/b", "theirs");
    scratch_text("z", "theirs");
    remove_listed(NULL, ERR_IO, "path: cannot remove dir/: Directory not empty");
    ck_assert(is_there("dir/b") && is_there("z") && !is_there("dir/a"));
}
END_TEST

/* Between listing and removing, somebody may remove, or put a link in the place of a directory. */
START_TEST(changes_after_the_listing)
{
    dir_list names = {0};
    err e = {0};
    ck_assert(dir_list_add(&names, "a") && dir_list_add(&names, "dir/") &&
              dir_list_add(&names, "dir/a"));
    expect_ok(own_tree_remove(fd, "path", &names, NULL, &e), &e); /* nothing is there any more */
    scratch_text("elsewhere/a", "theirs");
    ck_assert_int_eq(symlink("elsewhere", scratch("dir")), 0);
    expect_error(own_tree_remove(fd, "path", &names, NULL, &e), ERR_IO, &e,
                 "path/dir: cannot open the directory");
    ck_assert(is_there("elsewhere/a") && is_there("dir"));
    dir_list_free(&names);
}
END_TEST

START_TEST(removed_by_name)
{
    static const char *const names[] = {"a", "dir/a", "missing", "gone/a"};
    scratch_text("a", "");
    scratch_text("dir/a", "");
    scratch_text("b", "theirs");
    own_tree_remove_named(fd, names, COUNT(names));
    ck_assert(!is_there("a") && !is_there("dir") && is_there("b"));
}
END_TEST

START_TEST(put_below)
{
    char text[8] = "";
    err e = {0};
    expect_ok(own_tree_put(fd, "path", "dir/a", "text", 4, &e), &e);
    expect_ok(own_tree_put(fd, "path", "dir/b", "", 0, &e), &e);
    const int file = open(scratch("dir/a"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(file, text, sizeof text), 4);
    close(file);
    ck_assert_str_eq(text, "text");
    expect_error(own_tree_put(fd, "path", "dir/a", "more", 4, &e), ERR_IO, &e,
                 "path/dir/a: cannot create: File exists");
    expect_error(own_tree_put(fd, "path", "a", "more", 4, &e), ERR_INTERNAL, &e, "no directory");
    scratch_text("elsewhere/x", "");
    ck_assert_int_eq(symlink("elsewhere", scratch("link")), 0);
    expect_error(own_tree_put(fd, "path", "link/a", "more", 4, &e), ERR_IO, &e,
                 "path/link: cannot open the directory");
    ck_assert(!is_there("elsewhere/a"));
}
END_TEST

START_TEST(names_are_split)
{
    char dir[NAME_MAX + 1], name[NAME_MAX + 10];
    ck_assert_str_eq(own_name_split("d/n", dir), "n");
    ck_assert_str_eq(dir, "d");
    ck_assert_str_eq(own_name_split("d/", dir), "");
    ck_assert_ptr_null(own_name_split("n", dir));
    ck_assert(own_name_is_directory("d/"));
    ck_assert(!own_name_is_directory("d/n") && !own_name_is_directory(""));
    memset(name, 'x', sizeof name);
    memcpy(name + NAME_MAX, "/n", 3);
    ck_assert_str_eq(own_name_split(name, dir), "n");
    memcpy(name + NAME_MAX, "x/n", 4);
    ck_assert_ptr_null(own_name_split(name, dir));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("own_tree");
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_test(tc, ours_and_the_first_of_others);
    tcase_add_test(tc, only_regular_files_are_ours);
    tcase_add_test(tc, removed_except_the_last);
    tcase_add_test(tc, what_is_not_listed_stays);
    tcase_add_test(tc, changes_after_the_listing);
    tcase_add_test(tc, removed_by_name);
    tcase_add_test(tc, put_below);
    tcase_add_test(tc, names_are_split);
    return run_tests("own_tree", tc);
}
