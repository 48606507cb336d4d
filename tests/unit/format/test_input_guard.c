/* An output that would replace the packed file that it is made from is refused, by whatever name. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/output/input_guard.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static int fd;

static void setup(void)
{
    scratch_make();
    scratch_text("packed", "bytes");
    scratch_text("other", "bytes");
    fd = open(scratch("packed"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
}

static void end(void)
{
    close(fd);
    scratch_remove();
}

typedef err_code guard(int packed, const char *path, err *e);

static void refused(guard *g, const char *name)
{
    err e = {0};
    expect_error(g(fd, scratch(name), &e), ERR_USAGE, &e, "is the packed file itself");
}

static void allowed(guard *g, const char *name)
{
    err e = {0};
    expect_ok(g(fd, scratch(name), &e), &e);
}

START_TEST(files)
{
    allowed(input_guard_file, "other");
    allowed(input_guard_file, "new");
    allowed(input_guard_file, "missing/new");
    allowed(input_guard_file, "other/new");
    refused(input_guard_file, "packed");
    ck_assert_int_eq(symlink("packed", scratch("link")), 0);
    refused(input_guard_file, "link");
    ck_assert_int_eq(link(scratch("packed"), scratch("second")), 0);
    refused(input_guard_file, "second");
    ck_assert_int_eq(symlink("nothing", scratch("dangling")), 0);
    allowed(input_guard_file, "dangling");
}
END_TEST

/* The temporary file is emptied when the output is opened. */
START_TEST(temporary_files)
{
    ck_assert_int_eq(link(scratch("packed"), scratch(".new.part")), 0);
    refused(input_guard_file, "new");
    allowed(input_guard_file, "other");
}
END_TEST

START_TEST(directories)
{
    ck_assert_int_eq(mkdir(scratch("out"), 0700), 0);
    scratch_text("out/file", "");
    scratch_text("out/dir/file", "");
    scratch_text("out/dir/deep/file", "");
    allowed(input_guard_directory, "out");
    allowed(input_guard_directory, "missing");
    allowed(input_guard_directory, "packed"); /* no directory: opening the output says so */
    ck_assert_int_eq(link(scratch("packed"), scratch("out/dir/deep/p")), 0);
    allowed(input_guard_directory, "out"); /* nothing so deep is ever removed */
    ck_assert_int_eq(link(scratch("packed"), scratch("out/dir/p")), 0);
    refused(input_guard_directory, "out");
    ck_assert_int_eq(unlink(scratch("out/dir/p")), 0);
    ck_assert_int_eq(link(scratch("packed"), scratch("out/p")), 0);
    refused(input_guard_directory, "out");
    ck_assert_int_eq(symlink("out", scratch("link")), 0);
    allowed(input_guard_directory, "link"); /* a link is never emptied */
}
END_TEST

START_TEST(temporary_directories)
{
    allowed(input_guard_beside, "out");
    scratch_text(".out.part/file", "");
    allowed(input_guard_beside, "out");
    ck_assert_int_eq(link(scratch("packed"), scratch(".out.part/p")), 0);
    refused(input_guard_beside, "out");
    refused(input_guard_beside, "out//");
}
END_TEST

START_TEST(failures_are_no_answers)
{
    err e = {0};
    const int closed = dup(fd);
    close(closed);
    expect_error(input_guard_file(closed, scratch("other"), &e), ERR_IO, &e, "cannot stat");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("input_guard");
    tcase_add_checked_fixture(tc, setup, end);
    tcase_add_test(tc, files);
    tcase_add_test(tc, temporary_files);
    tcase_add_test(tc, directories);
    tcase_add_test(tc, temporary_directories);
    tcase_add_test(tc, failures_are_no_answers);
    return run_tests("input_guard", tc);
}
