/* Files in memory: many threads write one, and every byte arrives; running out of space is an
 * error; files on other file systems are not mapped. */
#include "format/output/mapped_output.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/aid/expect.h"
#include "tests/aid/oracle_e4m3.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { BYTES = 9 << 20, THREADS = 4, PIECE = 300001, ALWAYS = 1 << 30 };

/* Simulate a system with pages of `page_bytes`, which refuses addresses inside a page; 0: none. */
static size_t page_bytes;
static unsigned char *first_advised;

/* The error of requests for huge pages, from request `refuse_from` on, and how many of them fail;
 * 0: requests go to the system. */
static int refusal;
static atomic_int asked, refuse_from, refuse_times;

long sysconf(int name)
{
    long (*real)(int) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_PAGESIZE && page_bytes ? (long)page_bytes : real(name);
}

int madvise(void *at, size_t bytes, int advice)
{
    first_advised = first_advised ? first_advised : at;
    if (page_bytes && (size_t)((unsigned char *)at - first_advised) % page_bytes != 0) {
        errno = EINVAL;
        return -1;
    }
    if (advice == MADV_COLLAPSE) {
        const int turn = atomic_fetch_add(&asked, 1) - refuse_from;
        if (refusal && turn >= 0 && turn < refuse_times) {
            errno = refusal;
            return -1;
        }
    }
    return (int)syscall(SYS_madvise, at, bytes, advice);
}

static void refuse(int error, int from, int times)
{
    refusal = error;
    atomic_store(&asked, 0);
    atomic_store(&refuse_from, from);
    atomic_store(&refuse_times, times);
}

/* A nameless file in memory. */
static int open_in_memory(void)
{
    const int fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert(mapped_output_is_one(fd));
    return fd;
}

static unsigned char *random_bytes(size_t bytes)
{
    unsigned char *const data = malloc(bytes);
    ck_assert_ptr_nonnull(data);
    uint64_t state = random_seed(0);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (unsigned char)(oracle_random(&state) >> 56);
    }
    return data;
}

typedef struct writer {
    pthread_t thread;
    mapped_output *file;
    const unsigned char *data;
    size_t bytes, first;
    int failure;
} writer;

/* Each thread writes every THREADS-th piece, so that neighbors share pages. */
static void *write_pieces(void *arg)
{
    writer *const w = arg;
    for (size_t off = w->first; off < w->bytes && w->failure == 0; off += (size_t)THREADS * PIECE) {
        const size_t n = w->bytes - off < PIECE ? w->bytes - off : PIECE;
        w->failure = mapped_output_write(w->file, off, w->data + off, n);
    }
    return NULL;
}

/* Write a file by many threads and check it. Returns it, open. */
static int write_by_many(size_t bytes)
{
    const int fd = open_in_memory();
    unsigned char *const data = random_bytes(bytes);
    unsigned char *const found = malloc(bytes + 1);
    mapped_output *m = NULL;
    writer writers[THREADS];
    ck_assert_int_eq(mapped_output_open(fd, bytes, &m), 0);
    ck_assert_ptr_nonnull(m);
    for (int i = 0; i < THREADS; i++) {
        writers[i] = (writer){.file = m, .data = data, .bytes = bytes, .first = (size_t)i * PIECE};
        ck_assert_int_eq(pthread_create(&writers[i].thread, NULL, write_pieces, &writers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(writers[i].thread, NULL);
        ck_assert_int_eq(writers[i].failure, 0);
    }
    mapped_output_close(m);
    ck_assert_int_eq(pread(fd, found, bytes + 1, 0), (ssize_t)bytes);
    ck_assert_mem_eq(found, data, bytes);
    free(found);
    free(data);
    return fd;
}

START_TEST(many_threads)
{
    close(write_by_many(BYTES));
}
END_TEST

/* The huge pages of the mapping at `map`, in KiB. */
static long huge_pages_of(const void *map)
{
    static const char name[] = "ShmemPmdMapped:";
    char line[256];
    char begin[32];
    long found = 0;
    bool here = false;
    FILE *const f = fopen("/proc/self/smaps", "r");
    ck_assert_ptr_nonnull(f);
    snprintf(begin, sizeof begin, "%lx-", (unsigned long)(uintptr_t)map);
    while (fgets(line, sizeof line, f)) {
        here = (here && !strstr(line, "-")) || strncmp(line, begin, strlen(begin)) == 0;
        if (here && strncmp(line, name, sizeof name - 1) == 0) {
            found = strtol(line + sizeof name - 1, NULL, 10);
        }
    }
    ck_assert_int_eq(fclose(f), 0);
    return found;
}

enum { HUGE_PAGE = 2 << 20 };

/* A mapping aligned for huge pages. The caller unmaps `bytes`; the addresses around it stay
 * reserved until the process ends. */
static unsigned char *map_aligned(int fd, size_t bytes)
{
    unsigned char *const area =
        mmap(NULL, bytes + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *const at = area + -(uintptr_t)area % HUGE_PAGE;
    ck_assert_ptr_eq(mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), at);
    return at;
}

/* Can a file in memory have huge pages on this system? */
static bool has_huge_pages(void)
{
    const int fd = open_in_memory();
    ck_assert_int_eq(ftruncate(fd, HUGE_PAGE), 0);
    unsigned char *const map = map_aligned(fd, HUGE_PAGE);
    *map = 1;
    const bool can = madvise(map, HUGE_PAGE, MADV_COLLAPSE) == 0;
    munmap(map, HUGE_PAGE);
    close(fd);
    return can;
}

/* Refusals of huge pages: always, some times, from some request on. */
static const struct {
    int error, from, times;
} refusals[] = {{EINVAL, 0, ALWAYS}, {EAGAIN, 0, ALWAYS}, {EAGAIN, 1, 7},
                {ENOMEM, 1, ALWAYS}, {ENOMEM, 3, ALWAYS}, {EBUSY, 2, 1}};

START_TEST(huge_pages_are_refused)
{
    refuse(refusals[_i].error, refusals[_i].from, refusals[_i].times);
    close(write_by_many(50 << 20));
    const int turns = asked;
    refuse(0, 0, 0);
    if (has_huge_pages()) {
        ck_assert_int_gt(turns, refusals[_i].from);
    }
}
END_TEST

START_TEST(huge_pages_are_taken)
{
    enum { LARGE = 50 << 20 };
    if (!has_huge_pages()) {
        printf("skipped: this system gives files in memory no huge pages: %s\n", strerror(errno));
        return;
    }
    const int fd = write_by_many(LARGE);
    unsigned char *const map = map_aligned(fd, LARGE);
    ck_assert_int_eq(madvise(map, LARGE, MADV_POPULATE_WRITE), 0);
    ck_assert_int_ge(huge_pages_of(map),
                     LARGE / 2 / 1024); /* not every one is available at any time */
    munmap(map, LARGE);
    close(fd);
}
END_TEST

/* Written pages do not stay in this process's memory, whatever the order of the writes. */
START_TEST(memory_is_not_kept)
{
    if (SANITIZED) {
        return; /* sanitizers allocate memory for each page */
    }
    enum { LARGE = 1000 * PIECE };
    const int fd = open_in_memory();
    struct rusage before, after;
    mapped_output *m = NULL;
    unsigned char *const data = random_bytes(PIECE);
    ck_assert_int_eq(mapped_output_open(fd, LARGE, &m), 0);
    getrusage(RUSAGE_SELF, &before);
    for (size_t off = 0; off < LARGE; off += PIECE) {
        const size_t backwards = LARGE - PIECE - off;
        ck_assert_int_eq(mapped_output_write(m, _i ? backwards : off, data, PIECE), 0);
    }
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 160 << 10); /* KiB */
    mapped_output_close(m);
    free(data);
    close(fd);
}
END_TEST

START_TEST(large_pages)
{
    enum { LARGE = 64 << 10 };
    const int fd = open_in_memory();
    unsigned char *const data = random_bytes(PIECE);
    unsigned char *const found = malloc(PIECE);
    mapped_output *m = NULL;
    page_bytes = LARGE;
    first_advised = NULL; /* the mapping's beginning comes first */
    ck_assert_int_eq(mapped_output_open(fd, BYTES, &m), 0);
    ck_assert_ptr_nonnull(m);
    for (size_t off = 0; off <= 2 * LARGE; off += 4095) {
        ck_assert_int_eq(mapped_output_write(m, off, data, PIECE), 0);
        ck_assert_int_eq(pread(fd, found, PIECE, (off_t)off), PIECE);
        ck_assert_mem_eq(found, data, PIECE);
    }
    mapped_output_close(m);
    page_bytes = 0;
    free(found);
    free(data);
    close(fd);
}
END_TEST

START_TEST(elsewhere_nothing_is_opened)
{
    mapped_output *m = NULL;
    const int fd = open("/proc/self/exe", O_RDONLY);
    ck_assert_int_ge(fd, 0);
    if (!mapped_output_is_one(fd)) {
        ck_assert_int_eq(mapped_output_open(fd, 4096, &m), 0);
        ck_assert_ptr_null(m);
    }
    close(fd);
    const int empty = open_in_memory();
    ck_assert_int_eq(mapped_output_open(empty, 0, &m), 0);
    ck_assert_ptr_null(m);
    mapped_output_close(m);
    close(empty);
}
END_TEST

static void wait_for_pages(int fd, off_t bytes)
{
    struct stat st;
    do {
        usleep(1000);
        ck_assert_int_eq(fstat(fd, &st), 0);
    } while (st.st_blocks * 512 < bytes);
}

/* Needs root: a file system of 4 MiB with small pages. The mapped file loses some of them to
 * another file. */
START_TEST(space_runs_out)
{
    char dir[] = "/tmp/memory_file_XXXXXX";
    char path[64];
    mapped_output *m = NULL;
    ck_assert_ptr_nonnull(mkdtemp(dir));
    if (mount("none", dir, "tmpfs", 0, "size=4m") != 0) {
        printf("skipped: cannot mount a file system: %s\n", strerror(errno));
        rmdir(dir);
        return;
    }
    snprintf(path, sizeof path, "%s/file", dir);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    snprintf(path, sizeof path, "%s/other", dir);
    const int other = open(path, O_RDWR | O_CREAT, 0600);
    unsigned char *const data = random_bytes(2 << 20);
    refuse(EINVAL, 0, ALWAYS);
    ck_assert_int_eq(mapped_output_open(fd, 5 << 20, &m), ENOSPC);
    ck_assert_ptr_null(m);
    ck_assert_int_eq(mapped_output_open(fd, 3 << 20, &m), 0);
    wait_for_pages(fd, 3 << 20);
    ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1 << 20, 2 << 20),
                     0);
    ck_assert_int_eq(fallocate(other, 0, 0, 5 << 19), 0); /* half a MiB is left */
    ck_assert_int_eq(mapped_output_write(m, 1 << 20, data, 256 << 10), 0);
    ck_assert_int_eq(mapped_output_write(m, 1 << 20, data, 2 << 20), ENOSPC);
    mapped_output_close(m);
    free(data);
    close(fd);
    close(other);
    ck_assert_int_eq(umount(dir), 0);
    rmdir(dir);
    refuse(0, 0, 0);
}
END_TEST

int main(void)
{
    TCase *const tc = tcase_create("mapped_output");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, many_threads);
    tcase_add_loop_test(tc, huge_pages_are_refused, 0, COUNT(refusals));
    tcase_add_test(tc, huge_pages_are_taken);
    tcase_add_loop_test(tc, memory_is_not_kept, 0, 2);
    tcase_add_test(tc, large_pages);
    tcase_add_test(tc, elsewhere_nothing_is_opened);
    tcase_add_test(tc, space_runs_out);
    return run_tests("mapped_output", tc);
}
