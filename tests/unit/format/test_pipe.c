/* Pipes that are slow, full, broken or at their end; and files written into them. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "format/output/output_pipe.h"
#include "format/output/output.h"
#include "format/file/pipe.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

enum { BYTES = 3 << 20 };

static int ends[2];

static void setup(void)
{
    scratch_make();
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe(ends), 0);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static unsigned char byte_at(uint64_t i)
{
    return (unsigned char)(i * 2654435761U >> 7);
}

/* Small, slow pieces, and an end. */
static void *write_slowly(void *arg)
{
    (void)arg;
    unsigned char piece[1000];
    for (uint64_t at = 0; at < 10 * sizeof piece; at += sizeof piece) {
        for (uint64_t i = 0; i < sizeof piece; i++) {
            piece[i] = byte_at(at + i);
        }
        ck_assert_int_eq(write(ends[1], piece, sizeof piece), (int)sizeof piece);
        sleep_ms(2);
    }
    close(ends[1]);
    return NULL;
}

START_TEST(reads_up_to_the_end)
{
    static unsigned char data[20000];
    size_t got = 0;
    err e = {0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_slowly, NULL), 0);
    expect_ok(pipe_read(ends[0], "p", NULL, data, 4500, &got, &e), &e);
    ck_assert_uint_eq(got, 4500);
    expect_ok(pipe_read(ends[0], "p", NULL, data + 4500, sizeof data - 4500, &got, &e), &e);
    ck_assert_uint_eq(got, 5500);
    for (uint64_t i = 0; i < 10000; i++) {
        ck_assert_uint_eq(data[i], byte_at(i));
    }
    expect_ok(pipe_read(ends[0], "p", NULL, data, 1, &got, &e), &e);
    ck_assert_uint_eq(got, 0);
    pthread_join(thread, NULL);
}
END_TEST

static void *read_all(void *arg)
{
    unsigned char *const to = arg;
    size_t got = 0;
    err e = {0};
    expect_ok(pipe_read(ends[0], "p", NULL, to, BYTES, &got, &e), &e);
    ck_assert_uint_eq(got, BYTES);
    return NULL;
}

/* An output in pieces with gaps, through a pipe that is much smaller. */
START_TEST(gaps_are_zeros)
{
    static unsigned char data[BYTES], found[BYTES];
    err e = {0};
    output *o = NULL;
    pthread_t thread;
    expect_ok(output_open_stream(ends[1], "p", NULL, &o, &e), &e);
    close(ends[1]);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_all, found), 0);
    for (uint64_t i = 0; i < BYTES; i++) {
        data[i] = i % 100000 < 30000 && i > 5000 ? 0 : byte_at(i) | 1;
    }
    expect_ok(output_reserve(o, BYTES, &e), &e);
    ck_assert(output_is_stream(o));
    for (uint64_t i = 0; i < BYTES; i += 100000) {
        const uint64_t from = i ? i + 30000 : 0;
        const uint64_t end = i + 100000 < BYTES ? i + 100000 : BYTES;
        expect_ok(output_write(o, from, data + from, (i ? end : 5001) - from, &e), &e);
        if (i == 0) {
            expect_ok(output_write(o, 30000, data + 30000, 70000, &e), &e);
        }
    }
    expect_ok(output_sync(o, &e), &e);
    expect_ok(output_commit(&o, &e), &e);
    ck_assert_ptr_null(o);
    pthread_join(thread, NULL);
    ck_assert_mem_eq(data, found, BYTES);
}
END_TEST

START_TEST(never_goes_back)
{
    err e = {0};
    output *o = NULL;
    expect_ok(output_open_stream(ends[1], "p", NULL, &o, &e), &e);
    expect_ok(output_write(o, 10, "abc", 3, &e), &e);
    expect_error(output_write(o, 12, "abc", 3, &e), ERR_INTERNAL, &e, "p: written out of order");
    output_abandon(&o);
}
END_TEST

START_TEST(nobody_reads)
{
    err e = {0};
    output *o = NULL;
    expect_ok(output_open_stream(ends[1], "p", NULL, &o, &e), &e);
    close(ends[0]);
    expect_error(output_write(o, 0, "abc", 3, &e), ERR_IO, &e, "p: cannot write: Broken pipe");
    output_abandon(&o);
}
END_TEST

/* A regular file is a stream as well. */
START_TEST(a_file)
{
    err e = {0};
    output *o = NULL;
    unsigned char found[6];
    const int fd = open(scratch("f"), O_RDWR | O_CREAT, 0600);
    expect_ok(output_open_stream(fd, "f", NULL, &o, &e), &e);
    expect_ok(output_write(o, 3, "abc", 3, &e), &e);
    expect_ok(output_sync(o, &e), &e);
    expect_ok(output_commit(&o, &e), &e);
    ck_assert_int_eq(pread(fd, found, 6, 0), 6);
    ck_assert_mem_eq(found, "\0\0\0abc", 6);
    close(fd);
    expect_error(output_open_stream(fd, "f", NULL, &o, &e), ERR_IO, &e, "f: cannot write");
}
END_TEST

static bool is_set(void *ctx)
{
    return *(atomic_bool *)ctx;
}

static void *set_soon(void *flag)
{
    sleep_ms(150);
    *(atomic_bool *)flag = true;
    return NULL;
}

/* The other end does nothing at all: the monitor ends the wait. */
START_TEST(waiting_can_be_ended)
{
    static unsigned char data[BYTES];
    atomic_bool stop = false;
    const monitor m = {.cancelled = is_set, .ctx = &stop};
    pthread_t thread;
    err e = {0};
    size_t got = 0;
    ck_assert_int_eq(pthread_create(&thread, NULL, set_soon, &stop), 0);
    if (_i == 0) {
        expect_error(pipe_read(ends[0], "p", &m, data, 1, &got, &e), ERR_CANCELLED, &e, "");
    } else {
        int own = -1;
        expect_ok(pipe_open_write(ends[1], "p", &own, &e), &e);
        expect_error(pipe_write(own, "p", &m, data, BYTES, &e), ERR_CANCELLED, &e, "");
        ck_assert_int_eq(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
        close(own);
    }
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pipe");
    tcase_add_checked_fixture(tc, setup, scratch_remove);
    tcase_add_test(tc, reads_up_to_the_end);
    tcase_add_test(tc, gaps_are_zeros);
    tcase_add_test(tc, never_goes_back);
    tcase_add_test(tc, nobody_reads);
    tcase_add_test(tc, a_file);
    tcase_add_loop_test(tc, waiting_can_be_ended, 0, 2);
    return run_tests("pipe", tc);
}
