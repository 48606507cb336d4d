/* Reading and writing: complete, or an error that says where. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

START_TEST(open_gives_descriptor_and_stat)
{
    int fd = -1;
    struct stat st;
    err e = {0};
    scratch_text("file", "12345");
    expect_ok(io_open_read(scratch("file"), &fd, &st, &e), &e);
    ck_assert_int_eq(st.st_size, 5);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
    ck_assert_int_eq(symlink("file", scratch("link")), 0);
    expect_ok(io_open_read(scratch("link"), &fd, NULL, &e), &e);
    close(fd);
}
END_TEST

START_TEST(open_refuses_what_is_no_file)
{
    int fd = -7;
    err e = {0};
    ck_assert_int_eq(mkdir(scratch("dir"), 0777), 0);
    ck_assert_int_eq(mkfifo(scratch("fifo"), 0666), 0);
    ck_assert_int_eq(symlink("nowhere", scratch("dangling")), 0);
    expect_error(io_open_read(scratch("dir"), &fd, NULL, &e), ERR_IO, &e, "not a regular file");
    expect_error(io_open_read(scratch("fifo"), &fd, NULL, &e), ERR_IO, &e, "not a regular file");
    expect_error(io_open_read("/dev/null", &fd, NULL, &e), ERR_IO, &e, "not a regular file");
    expect_error(io_open_read(scratch("dangling"), &fd, NULL, &e), ERR_IO, &e, "No such file");
    expect_error(io_open_read(scratch("none"), &fd, NULL, &e), ERR_IO, &e, "none: cannot open");
    ck_assert_int_eq(fd, -7);
}
END_TEST

/* A descriptor that leaks on every refusal would end a long run. */
START_TEST(refusals_close_what_they_opened)
{
    err e = {0};
    int fd = -1;
    char *data = NULL;
    size_t bytes = 0;
    const int before = open("/dev/null", O_RDONLY);
    close(before);
    scratch_text("file", "12345");
    for (int i = 0; i < 3; i++) {
        expect_error(io_open_read(scratch(""), &fd, NULL, &e), ERR_IO, &e, "");
        expect_error(io_read_file(scratch("file"), 4, &data, &bytes, &e), ERR_INPUT, &e, "");
    }
    const int after = open("/dev/null", O_RDONLY);
    close(after);
    ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(read_at_is_exact)
{
    int fd = -1;
    err e = {0};
    char to[8] = "????";
    scratch_text("file", "0123456789");
    expect_ok(io_open_read(scratch("file"), &fd, NULL, &e), &e);
    expect_ok(io_read_at(fd, "file", 6, to, 4, &e), &e);
    ck_assert_mem_eq(to, "6789", 4);
    expect_ok(io_read_at(fd, "file", 10, to, 0, &e), &e);
    expect_ok(io_read_at(fd, "file", 5000, to, 0, &e), &e);
    expect_error(io_read_at(fd, "f/file", 7, to, 4, &e), ERR_IO, &e,
                 "f/file: ends at offset 10, 1 more bytes expected");
    expect_error(io_read_at(fd, "file", UINT64_MAX - 1, to, 1, &e), ERR_IO, &e, "cannot read");
    close(fd);
    expect_error(io_read_at(fd, "file", 0, to, 1, &e), ERR_IO, &e, "cannot read at offset 0");
}
END_TEST

START_TEST(write_at_is_exact)
{
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    const int fd = open(scratch("file"), O_CREAT | O_WRONLY, 0666);
    expect_ok(io_write_at(fd, "file", 3, "abc", 3, &e), &e);
    expect_ok(io_write_at(fd, "file", 1, "xy", 2, &e), &e);
    expect_ok(io_write_at(fd, "file", 100, "z", 0, &e), &e);
    close(fd);
    expect_ok(io_read_file(scratch("file"), 100, &data, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 6);
    ck_assert_mem_eq(data, "\0xyabc", 7);
    free(data);
}
END_TEST

START_TEST(write_failures_say_why)
{
    err e = {0};
    int fd = open("/dev/full", O_WRONLY);
    ck_assert_int_ge(fd, 0);
    expect_error(io_write_at(fd, "full", 7, "a", 1, &e), ERR_IO, &e,
                 "full: cannot write at offset 7: No space left");
    close(fd);
    scratch_text("file", "1");
    fd = open(scratch("file"), O_RDONLY);
    expect_error(io_write_at(fd, "file", 0, "a", 1, &e), ERR_IO, &e, "cannot write");
    close(fd);
}
END_TEST

START_TEST(whole_file_with_limit)
{
    char *data = NULL;
    size_t bytes = 9;
    err e = {0};
    scratch_text("file", "12345");
    scratch_text("empty", "");
    expect_ok(io_read_file(scratch("file"), 5, &data, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 5);
    ck_assert_str_eq(data, "12345"); /* a NUL follows */
    free(data);
    expect_ok(io_read_file(scratch("empty"), 0, &data, &bytes, &e), &e);
    ck_assert_uint_eq(bytes, 0);
    ck_assert_str_eq(data, "");
    free(data);
    expect_error(io_read_file(scratch("file"), 4, &data, &bytes, &e), ERR_INPUT, &e,
                 "5 bytes, more than the limit of 4");
    expect_error(io_read_file(scratch("none"), 4, &data, &bytes, &e), ERR_IO, &e, "No such file");
}
END_TEST

/* A size above the limit is refused before memory is allocated. */
START_TEST(huge_file_is_refused_at_once)
{
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    scratch_text("sparse", "");
    ck_assert_int_eq(truncate(scratch("sparse"), (off_t)1 << 40), 0);
    expect_error(io_read_file(scratch("sparse"), 1 << 20, &data, &bytes, &e), ERR_INPUT, &e,
                 "1099511627776 bytes");
}
END_TEST

/* Limits just below and above the sizes of the buffer: 64 KiB, 128 KiB. */
START_TEST(streams_are_read_to_their_end)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 200000};
    const size_t size = sizes[_i];
    char *const text = calloc(1, size + 1);
    char *data = NULL;
    size_t bytes = 0;
    err e = {0};
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', size);
    scratch_write("stream", text, size);
    for (size_t limit = size; limit + 1 >= size; limit--) {
        const int fd = open(scratch("stream"), O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        if (limit == size) {
            expect_ok(io_read_stream(fd, "stream", limit, &data, &bytes, &e), &e);
            ck_assert_uint_eq(bytes, size);
            ck_assert_str_eq(data, text);
            free(data);
        } else {
            expect_error(io_read_stream(fd, "stream", limit, &data, &bytes, &e), ERR_INPUT, &e,
                         "stream: more than the limit");
        }
        close(fd);
        if (limit == 0) {
            break;
        }
    }
    free(text);
    expect_error(io_read_stream(-1, "stream", 5, &data, &bytes, &e), ERR_IO, &e,
                 "stream: cannot read");
}
END_TEST

static const struct {
    const char *dir, *name, *joined;
} joins[] = {
    {"a", "b", "a/b"},
    {"a/", "b", "a/b"},
    {"/", "b", "/b"},
    {".", "b/c", "./b/c"},
};

START_TEST(paths_are_joined)
{
    char *const path = io_join(joins[_i].dir, joins[_i].name);
    ck_assert_str_eq(path, joins[_i].joined);
    free(path);
}
END_TEST

START_TEST(basename_is_behind_the_last_slash)
{
    ck_assert_str_eq(io_basename("a/b/c"), "c");
    ck_assert_str_eq(io_basename("c"), "c");
    ck_assert_str_eq(io_basename("/c"), "c");
    ck_assert_str_eq(io_basename("a/"), "");
    ck_assert_str_eq(io_basename(""), "");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("io");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, open_gives_descriptor_and_stat);
    tcase_add_test(tc, open_refuses_what_is_no_file);
    tcase_add_test(tc, refusals_close_what_they_opened);
    tcase_add_test(tc, read_at_is_exact);
    tcase_add_test(tc, write_at_is_exact);
    tcase_add_test(tc, write_failures_say_why);
    tcase_add_test(tc, whole_file_with_limit);
    tcase_add_test(tc, huge_file_is_refused_at_once);
    tcase_add_loop_test(tc, streams_are_read_to_their_end, 0, 7);
    tcase_add_loop_test(tc, paths_are_joined, 0, COUNT(joins));
    tcase_add_test(tc, basename_is_behind_the_last_slash);
    return run_tests("io", tc);
}
