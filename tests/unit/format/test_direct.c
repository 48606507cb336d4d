/* Reading past the page cache: the right bytes whichever way they are read, and another way if one
 * is refused. System calls go through functions of this program, which count and refuse. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "format/file/direct.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "tests/aid/expect.h"
#include "tests/aid/scratch.h"

enum { FILE_BYTES = (3 << 20) + 777, GUARD = 64 };

/* ---- the system, with faults ----------------------------------- */

static struct {
    int ask_errno;       /* of preadv2 */
    int open_errno;      /* of open with O_DIRECT */
    unsigned open_delay; /* extra microseconds for such an open */
    int past_errno;      /* of pread past the page cache */
    size_t past_most;    /* bytes that such a pread returns at most; 0: no limit */
    atomic_int asks, opens, past_reads, reads;
    size_t asked_too_much; /* bytes asked for beyond what was found and one page more */
    size_t found;
} os;

static bool is_past(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
}

ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t off, int flags)
{
    atomic_fetch_add(&os.asks, 1);
    if (os.ask_errno) {
        errno = os.ask_errno;
        return -1;
    }
    if (iov->iov_len > num_max(os.found, DIRECT_ALIGN)) {
        os.asked_too_much += iov->iov_len;
    }
    const ssize_t n = syscall(SYS_preadv2, fd, iov, (long)count, off, 0L, flags);
    os.found += n > 0 ? (size_t)n : 0;
    return n;
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (flags & O_DIRECT) {
        atomic_fetch_add(&os.opens, 1);
        usleep(os.open_delay);
        if (os.open_errno) {
            errno = os.open_errno;
            return -1;
        }
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t pread(int fd, void *to, size_t bytes, off_t off)
{
    const bool past = is_past(fd);
    atomic_fetch_add(past ? &os.past_reads : &os.reads, 1);
    if (past && os.past_errno) {
        errno = os.past_errno;
        return -1;
    }
    return syscall(SYS_pread64, fd, to, past && os.past_most ? num_min(bytes, os.past_most) : bytes,
                   off);
}

/* ---- a file and pieces of it ----------------------------------- */

static unsigned char contents[FILE_BYTES];
static direct_file file;
static unsigned char *room;

/* On a file system without O_DIRECT only reading through the page cache is tested. */
static bool can_read_past(void)
{
    const int fd = open(scratch("file"), O_RDONLY | O_DIRECT);
    const bool can = fd >= 0 && pread(fd, room, DIRECT_ALIGN, 0) == DIRECT_ALIGN;
    if (fd >= 0) {
        close(fd);
    }
    return can;
}

static void open_file(void)
{
    int fd = -1;
    err e = {0};
    expect_ok(io_open_read(scratch("file"), &fd, NULL, &e), &e);
    static char path[512];
    snprintf(path, sizeof path, "%s", scratch("file"));
    direct_init(&file, path, fd);
}

static void direct_setup(void)
{
    scratch_make();
    uint64_t state = random_seed(0);
    for (size_t i = 0; i < FILE_BYTES; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        contents[i] = (unsigned char)(state >> 56);
    }
    scratch_write("file", contents, FILE_BYTES);
    room = aligned_alloc(DIRECT_ALIGN, direct_room(FILE_BYTES) + DIRECT_ALIGN);
    ck_assert_ptr_nonnull(room);
    open_file();
}

static void direct_teardown(void)
{
    direct_close(&file);
    free(room);
    scratch_remove();
}

static void drop_cache(void)
{
    ck_assert_int_eq(fdatasync(file.fd), 0);
    ck_assert_int_eq(posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* A witness that records what it is given. */
typedef struct notes {
    unsigned char *bytes;
    size_t count;
} notes;

static err_code write_down(void *ctx, const unsigned char *piece, size_t bytes, err *e)
{
    notes *const n = ctx;
    (void)e;
    if (!piece) {
        n->count = 0;
    } else {
        memcpy(n->bytes + n->count, piece, bytes);
        n->count += bytes;
    }
    return OK;
}

/* Read a piece and check every byte of it, those after the buffer, and what a witness was given.
 */
static unsigned char *check_piece(uint64_t off, size_t bytes)
{
    unsigned char *data = NULL;
    err e = {0};
    const size_t whole = direct_room(bytes);
    memset(room + whole, 0x5a, GUARD);
    os.found = 0;
    notes seen = {.bytes = malloc(2 * bytes + 1)};
    ck_assert_ptr_nonnull(seen.bytes);
    const direct_witness witness = {write_down, &seen};
    expect_ok(direct_read(&file, off, room, bytes, &witness, &data, &e), &e);
    ck_assert_uint_eq(seen.count, bytes);
    ck_assert(memcmp(seen.bytes, contents + off, bytes) == 0);
    free(seen.bytes);
    ck_assert(data == room || data == room + off % DIRECT_ALIGN);
    ck_assert(data + bytes <= room + whole);
    ck_assert_msg(memcmp(data, contents + off, bytes) == 0, "%zu bytes at %ju", bytes,
                  (uintmax_t)off);
    for (size_t i = 0; i < GUARD; i++) {
        ck_assert_uint_eq(room[whole + i], 0x5a);
    }
    return data;
}

static const struct {
    uint64_t off;
    size_t bytes;
} pieces[] = {
    {0, FILE_BYTES},
    {0, DIRECT_MIN},
    {1, DIRECT_MIN},
    {4095, DIRECT_MIN + 1},
    {4096, DIRECT_MIN + 4095},
    {777777, 1000001},
    {FILE_BYTES - DIRECT_MIN, DIRECT_MIN},
    {FILE_BYTES - DIRECT_MIN - 1, DIRECT_MIN},
    {5, FILE_BYTES - 5},
    {FILE_BYTES - 1, 1},
    {4095, 2},
    {0, DIRECT_MIN - 1},
    {FILE_BYTES, 0},
};

/* ---- every way to read ------------------------------------------------- */

START_TEST(what_is_cached_is_copied)
{
    for (int i = 0; i < COUNT(pieces); i++) {
        const int reads = os.reads;
        check_piece(pieces[i].off, pieces[i].bytes);
        ck_assert(pieces[i].bytes >= DIRECT_MIN || os.reads <= reads + 1);
    }
    ck_assert_int_gt(os.asks, 0);
    ck_assert_int_eq(os.opens, 0);
}
END_TEST

START_TEST(the_disk_is_read_past_the_cache)
{
    const bool can = can_read_past();
    os.ask_errno = EAGAIN;
    os.opens = os.past_reads = 0;
    for (int i = 0; i < COUNT(pieces); i++) {
        const bool large = pieces[i].bytes >= DIRECT_MIN;
        os.past_reads = os.reads = 0;
        const unsigned char *const data = check_piece(pieces[i].off, pieces[i].bytes);
        ck_assert_int_eq(os.past_reads, large && can);
        ck_assert_int_eq(os.reads, pieces[i].bytes > 0 && !(large && can));
        ck_assert_ptr_eq(data, room + (large && can ? pieces[i].off % DIRECT_ALIGN : 0));
    }
    ck_assert_int_eq(os.opens, 1);
}
END_TEST

/* Really dropped from the page cache, also in part; what was dropped is not requested from it in
 * large pieces. */
START_TEST(what_is_not_cached_is_read)
{
    for (int i = 0; i < COUNT(pieces); i++) {
        drop_cache();
        check_piece(pieces[i].off, pieces[i].bytes);
        drop_cache();
        ck_assert_int_eq(pread(file.fd, room, 300000, 4096 * (i % 3)), 300000);
        check_piece(pieces[i].off, pieces[i].bytes);
    }
    ck_assert_uint_eq(os.asked_too_much, 0);
}
END_TEST

/* What the page cache has does not count for a file that was just written, and it needs no name. */
START_TEST(what_was_written_is_read_from_the_disk)
{
    const bool can = can_read_past();
    const int fd = file.fd;
    ck_assert_int_eq(unlink(file.path), 0);
    direct_close_written(&file);
    direct_init_written(&file, "written", fd);
    os.asks = os.opens = 0;
    for (int i = 0; i < COUNT(pieces); i++) {
        const bool large = pieces[i].bytes >= DIRECT_MIN;
        os.past_reads = 0;
        check_piece(pieces[i].off, pieces[i].bytes);
        ck_assert_int_eq(os.past_reads, large && can);
    }
    ck_assert_int_eq(os.asks, 0);
    ck_assert_int_eq(os.opens, 1);
    direct_close_written(&file);
    direct_init(&file, "written", fd); /* for the end of the test */
}
END_TEST

START_TEST(memory_is_a_file_system_too)
{
    const char *const path = "/dev/shm/octavo-test-direct";
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return; /* not everywhere */
    }
    unlink(path);
    err e = {0};
    expect_ok(io_write_at(fd, path, 0, contents, FILE_BYTES, &e), &e);
    const char *const on_disk = file.path;
    const int on_disk_fd = file.fd;
    direct_init(&file, path, fd);
    for (int i = 0; i < 2 * COUNT(pieces); i++) {
        os.ask_errno = i < COUNT(pieces) ? 0 : EAGAIN; /* swapped out, say */
        check_piece(pieces[i % COUNT(pieces)].off, pieces[i % COUNT(pieces)].bytes);
    }
    direct_close(&file);
    direct_init(&file, on_disk, on_disk_fd);
}
END_TEST

/* ---- what is refused ------------------------------------------- */

START_TEST(a_system_that_cannot_say)
{
    static const int errors[] = {EOPNOTSUPP, ENOSYS};
    for (int k = 0; k < COUNT(errors); k++) {
        os.ask_errno = errors[k];
        for (int i = 0; i < COUNT(pieces); i++) {
            ck_assert_ptr_eq(check_piece(pieces[i].off, pieces[i].bytes), room);
        }
    }
    ck_assert_int_eq(os.opens, 0);
}
END_TEST

START_TEST(a_second_descriptor_is_refused_once)
{
    static const int errors[] = {EINVAL, EIO, EMFILE};
    os.open_errno = errors[_i];
    os.ask_errno = EAGAIN;
    for (int i = 0; i < COUNT(pieces); i++) {
        ck_assert_ptr_eq(check_piece(pieces[i].off, pieces[i].bytes), room);
    }
    ck_assert_int_eq(os.opens, 1);
    ck_assert_int_eq(os.past_reads, 0);
}
END_TEST

/* EINVAL means that this file system never will; any other error may be gone next time. */
START_TEST(reads_that_are_refused)
{
    if (!can_read_past()) {
        return;
    }
    os.past_reads = 0;
    os.ask_errno = EAGAIN;
    os.past_errno = EIO;
    check_piece(4095, FILE_BYTES - 4095);
    check_piece(4095, FILE_BYTES - 4095);
    ck_assert_int_eq(os.past_reads, 2);
    os.past_errno = EINVAL;
    check_piece(4095, FILE_BYTES - 4095);
    os.past_errno = 0;
    check_piece(4095, FILE_BYTES - 4095);
    ck_assert_int_eq(os.past_reads, 3);
}
END_TEST

START_TEST(reads_that_are_short)
{
    static const size_t most[] = {512, 4096, 8192, 65536 + 512, FILE_BYTES - 1};
    os.ask_errno = EAGAIN;
    for (int k = 0; k < COUNT(most); k++) {
        os.past_most = most[k];
        for (int i = 0; i < COUNT(pieces); i++) {
            check_piece(pieces[i].off, pieces[i].bytes);
        }
    }
}
END_TEST

START_TEST(another_file_of_that_name)
{
    memset(room, 1, FILE_BYTES);
    scratch_write("other", room, FILE_BYTES);
    ck_assert_int_eq(rename(scratch("other"), scratch("file")), 0);
    os.ask_errno = EAGAIN;
    check_piece(0, FILE_BYTES);
    check_piece(1, DIRECT_MIN);
    ck_assert_int_eq(os.opens, 1);
    ck_assert_int_eq(os.past_reads, 0);
}
END_TEST

/* The usual message, whichever way the end of the file is found. */
START_TEST(a_file_that_ends_early)
{
    unsigned char *data = NULL;
    err e = {0};
    ck_assert_int_eq(truncate(scratch("file"), 1000001), 0);
    for (int i = 0; i < 3; i++) {
        os.ask_errno = i == 0 ? 0 : i == 1 ? EAGAIN : EOPNOTSUPP;
        expect_error(direct_read(&file, 5, room, FILE_BYTES - 5, NULL, &data, &e), ERR_IO, &e,
                     "/file: ends at offset 1000001, 2146504 more bytes expected");
        expect_error(direct_read(&file, 2000000, room, DIRECT_MIN, NULL, &data, &e), ERR_IO, &e,
                     "/file: ends at offset 2000000, 131072 more bytes expected");
    }
}
END_TEST

/* ---- many threads ---------------------------------------------- */

static int open_files(void)
{
    int count = 0;
    DIR *const d = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(d);
    while (readdir(d)) {
        count++;
    }
    closedir(d);
    return count;
}

static void *read_a_lot(void *wrong)
{
    unsigned char *const own = aligned_alloc(DIRECT_ALIGN, direct_room(DIRECT_MIN));
    for (uint64_t off = 0; own && off + DIRECT_MIN <= FILE_BYTES; off += 50001) {
        unsigned char *data = NULL;
        if (direct_read(&file, off, own, DIRECT_MIN, NULL, &data, NULL) != OK ||
            memcmp(data, contents + off, DIRECT_MIN) != 0) {
            *(int *)wrong += 1;
        }
    }
    *(int *)wrong += !own;
    free(own);
    return NULL;
}

START_TEST(many_threads_open_one_descriptor)
{
    enum { THREADS = 16 };
    pthread_t threads[THREADS];
    int wrong[THREADS] = {0};
    const bool can = can_read_past();
    const int before = open_files();
    os.ask_errno = EAGAIN;
    os.open_delay = 50000; /* so that several do it at the same time */
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_a_lot, &wrong[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(wrong[i], 0);
    }
    ck_assert(!can || open_files() == before + 1);
    direct_close(&file);
    ck_assert_int_eq(open_files(), before - 1);
    open_file();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("direct");
    tcase_add_checked_fixture(tc, direct_setup, direct_teardown);
    tcase_add_test(tc, what_is_cached_is_copied);
    tcase_add_test(tc, the_disk_is_read_past_the_cache);
    tcase_add_test(tc, what_is_not_cached_is_read);
    tcase_add_test(tc, what_was_written_is_read_from_the_disk);
    tcase_add_test(tc, memory_is_a_file_system_too);
    tcase_add_test(tc, a_system_that_cannot_say);
    tcase_add_loop_test(tc, a_second_descriptor_is_refused_once, 0, 3);
    tcase_add_test(tc, reads_that_are_refused);
    tcase_add_test(tc, reads_that_are_short);
    tcase_add_test(tc, another_file_of_that_name);
    tcase_add_test(tc, a_file_that_ends_early);
    tcase_add_test(tc, many_threads_open_one_descriptor);
    return run_tests("direct", tc);
}
