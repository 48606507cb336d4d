/* Counts what octavo does, for sweep_worst.py. Part of a build that calls it for every basic block:
 *
 *     make count              (gcc's -fsanitize-coverage=trace-pc; the program is build/count/octavo)
 *     COUNT_FILE=FILE         receives the counts, also if the program is killed
 *     COUNT_STOP=N            SIGTERM arrives with the N-th block
 *
 * Blocks are those of octavo's own code; what libraries do shows in the bytes that they allocate. */
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* As sweep_worst.py reads them. */
typedef struct counts {
    _Atomic uint64_t blocks, allocated, live, peak, read, written, stop_ns;
} counts;

static counts early; /* before there is a file */
static counts *now = &early;
static uint64_t stop_at;

__attribute__((constructor)) static void begin(void)
{
    const char *const path = getenv("COUNT_FILE");
    const char *const stop = getenv("COUNT_STOP");
    const int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && ftruncate(fd, sizeof *now) == 0) {
        counts *const shared =
            mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        now = shared == MAP_FAILED ? now : shared;
    }
    stop_at = stop ? strtoull(stop, NULL, 10) : 0;
    unsetenv("COUNT_FILE");
    (void)close(fd);
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the compiler calls it by this name */
void __sanitizer_cov_trace_pc(void);
/* NOLINTEND(bugprone-reserved-identifier) */

void __sanitizer_cov_trace_pc(void)
{
    const uint64_t before = atomic_fetch_add_explicit(&now->blocks, 1, memory_order_relaxed);
    if (stop_at && before + 1 == stop_at) {
        struct timespec used;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        now->stop_ns = (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
        kill(getpid(), SIGTERM);
    }
}

/* ---- memory ---------------------------------------------------- */

static void *got(void *p)
{
    const size_t bytes = p ? malloc_usable_size(p) : 0;
    add(&now->allocated, bytes);
    const uint64_t live = atomic_fetch_add(&now->live, bytes) + bytes;
    uint64_t peak = atomic_load(&now->peak);
    while (live > peak && !atomic_compare_exchange_weak(&now->peak, &peak, live)) {
    }
    return p;
}

static void lost(void *p)
{
    atomic_fetch_sub(&now->live, p ? malloc_usable_size(p) : 0);
}

void *malloc(size_t bytes)
{
    static void *(*next)(size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "malloc");
    }
    return got(next(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    static void *(*next)(size_t, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "calloc");
    }
    return got(next(count, bytes));
}

void *realloc(void *old, size_t bytes)
{
    static void *(*next)(void *, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "realloc");
    }
    lost(old);
    return got(next(old, bytes));
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    static void *(*next)(size_t, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "aligned_alloc");
    }
    return got(next(alignment, bytes));
}

int posix_memalign(void **to, size_t alignment, size_t bytes)
{
    static int (*next)(void **, size_t, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "posix_memalign");
    }
    const int failure = next(to, alignment, bytes);
    if (failure == 0) {
        got(*to);
    }
    return failure;
}

void free(void *p)
{
    static void (*next)(void *);
    if (!next) {
        next = dlsym(RTLD_NEXT, "free");
    }
    lost(p);
    next(p);
}

/* ---- input and output ------------------------------------------ */

ssize_t pread(int fd, void *to, size_t bytes, off_t off)
{
    const ssize_t n = syscall(SYS_pread64, fd, to, bytes, off);
    add(&now->read, n > 0 ? (uint64_t)n : 0);
    return n;
}

ssize_t read(int fd, void *to, size_t bytes)
{
    const ssize_t n = syscall(SYS_read, fd, to, bytes);
    add(&now->read, n > 0 ? (uint64_t)n : 0);
    return n;
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t off)
{
    const ssize_t n = syscall(SYS_pwrite64, fd, from, bytes, off);
    add(&now->written, n > 0 ? (uint64_t)n : 0);
    return n;
}
