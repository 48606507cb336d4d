/* A file that is written into a stream: in order, without gaps, and synced if it can be. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "format/output/output_pipe.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

static int syncs, sync_failure;

int fsync(int fd)
{
    (void)fd;
    syncs++;
    errno = sync_failure;
    return sync_failure ? -1 : 0;
}

static output_pipe *open_file(int *fd)
{
    output_pipe *s = NULL;
    err e = {0};
    *fd = open(scratch("x"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    expect_ok(output_pipe_open(*fd, "stream", NULL, &s, &e), &e);
    return s;
}

START_TEST(gaps_are_zeros)
{
    enum { GAP = 200000 };
    static char found[GAP + 10], zeros[GAP];
    int fd = -1;
    err e = {0};
    output_pipe *s = open_file(&fd);
    expect_ok(output_pipe_write(s, 0, "abc", 3, &e), &e);
    expect_ok(output_pipe_write(s, 3, "de", 2, &e), &e);
    expect_ok(output_pipe_write(s, 5 + GAP, "f", 1, &e), &e);
    expect_ok(output_pipe_write(s, 6 + GAP, "", 0, &e), &e);
    expect_ok(output_pipe_close(&s, &e), &e);
    ck_assert_ptr_null(s);
    ck_assert_int_eq(pread(fd, found, sizeof found, 0), GAP + 6);
    ck_assert_mem_eq(found, "abcde", 5);
    ck_assert_mem_eq(found + 5, zeros, GAP);
    ck_assert_int_eq(found[5 + GAP], 'f');
    close(fd);
}
END_TEST

START_TEST(no_way_back)
{
    int fd = -1;
    err e = {0};
    output_pipe *s = open_file(&fd);
    expect_ok(output_pipe_write(s, 0, "abc", 3, &e), &e);
    expect_error(output_pipe_write(s, 2, "x", 1, &e), ERR_INTERNAL, &e,
                 "stream: written out of order");
    expect_ok(output_pipe_close(&s, &e), &e);
    close(fd);
}
END_TEST

START_TEST(regular_files_are_synced)
{
    int fd = -1;
    err e = {0};
    output_pipe *s = open_file(&fd);
    expect_ok(output_pipe_sync(s, &e), &e);
    ck_assert_int_eq(syncs, 1);
    sync_failure = EIO;
    expect_error(output_pipe_sync(s, &e), ERR_IO, &e, "stream: cannot sync: Input/output error");
    expect_ok(output_pipe_close(&s, &e), &e);
    close(fd);
}
END_TEST

START_TEST(pipes_are_not)
{
    int ends[2];
    char found[4] = "";
    output_pipe *s = NULL;
    err e = {0};
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    expect_ok(output_pipe_open(ends[1], "stream", NULL, &s, &e), &e);
    expect_ok(output_pipe_write(s, 0, "abc", 3, &e), &e);
    expect_ok(output_pipe_sync(s, &e), &e);
    ck_assert_int_eq(syncs, 0);
    expect_ok(output_pipe_close(&s, &e), &e);
    ck_assert_int_eq(read(ends[0], found, 3), 3);
    ck_assert_str_eq(found, "abc");
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(the_descriptor_stays_the_callers)
{
    int fd = -1;
    err e = {0};
    output_pipe *s = open_file(&fd);
    expect_ok(output_pipe_close(&s, &e), &e);
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    close(fd);
    expect_error(output_pipe_open(fd, "stream", NULL, &s, &e), ERR_IO, &e, "stream");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("output_pipe");
    tcase_add_checked_fixture(tc, scratch_make, scratch_remove);
    tcase_add_test(tc, gaps_are_zeros);
    tcase_add_test(tc, no_way_back);
    tcase_add_test(tc, regular_files_are_synced);
    tcase_add_test(tc, pipes_are_not);
    tcase_add_test(tc, the_descriptor_stays_the_callers);
    return run_tests("output_pipe", tc);
}
