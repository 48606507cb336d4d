/* Obstacles to an output are found without creating anything. */
#include <check.h>
#include <sys/stat.h>

#include "format/output/output.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static const struct check_case {
    const char *name;
    bool force;
    const char *why; /* NULL: nothing is in the way */
} cases[] = {
    {"new", false, NULL},
    {"old", true, NULL},
    {"old", false, "old: exists"},
    {"directory", true, "directory: exists and is not a regular file"},
    {"directory/..", true, "not the name of a file"},
    {"missing/new", true, "No such file or directory"},
};

START_TEST(obstacles_are_found)
{
    const struct check_case *const c = &cases[_i];
    err e = {0};
    scratch_text("old", "old");
    ck_assert_int_eq(mkdir(scratch("directory"), 0777), 0);
    const err_code code = output_check(scratch(c->name), c->force, &e);
    if (c->why) {
        expect_error(code, ERR_IO, &e, c->why);
    } else {
        expect_ok(code, &e);
    }
}
END_TEST

START_TEST(nothing_is_made)
{
    struct stat st;
    err e = {0};
    expect_ok(output_check(scratch("new"), false, &e), &e);
    ck_assert_int_ne(stat(scratch("new"), &st), 0);
    ck_assert_int_ne(stat(scratch(".new.part"), &st), 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("output_check");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_loop_test(tc, obstacles_are_found, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(tc, nothing_is_made);
    return run_tests("output_check", tc);
}
