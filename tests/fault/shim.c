/* Injects faults into octavo; loaded by LD_PRELOAD:
 *
 *     SHIM_IO=K       every read, pread, preadv2, write and pwrite moves at most K bytes, and every
 *                     third is interrupted; glibc's own streams are not affected
 *     SHIM_FLIP=N     the N-th byte of a file is changed when pwrite writes it, as a disk may do
 *     SHIM_MALLOC=N   the N-th allocation fails, counted from the start of main: those of the
 *                     program and of every library, anonymous mappings and new threads included
 *     SHIM_FOREVER=1  and so do all that follow it
 *     SHIM_MARK=FILE  is created when an allocation fails
 *     SHIM_LIST=FILE  gets one line for each allocation, in this order: who asked for it, as the
 *                     offsets of the calling functions (no allocation fails)
 *
 * With the address sanitizer of gcc it needs ASAN_OPTIONS=verify_asan_link_order=0. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FRAMES = 24 };

static long setting(const char *name)
{
    const char *const value = getenv(name);
    return value ? strtol(value, NULL, 10) : 0;
}

/* ---- input and output ------------------------------------------ */

static bool interrupted(void)
{
    static atomic_uint calls;
    return setting("SHIM_IO") > 0 && atomic_fetch_add(&calls, 1) % 3 == 1;
}

static size_t shortened(size_t bytes)
{
    const long most = setting("SHIM_IO");
    return most > 0 && bytes > (size_t)most ? (size_t)most : bytes;
}

ssize_t read(int fd, void *to, size_t bytes)
{
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_read, fd, to, shortened(bytes));
}

ssize_t write(int fd, const void *from, size_t bytes)
{
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_write, fd, from, shortened(bytes));
}

ssize_t pread(int fd, void *to, size_t bytes, off_t off)
{
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_pread64, fd, to, shortened(bytes), off);
}

/* Only the first piece: octavo never passes more. */
ssize_t preadv2(int fd, const struct iovec *pieces, int count, off_t off, int flags)
{
    const struct iovec first = {pieces->iov_base, shortened(pieces->iov_len)};
    (void)count;
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    return syscall(SYS_preadv2, fd, &first, 1L, off, 0L, flags);
}

ssize_t pwrite(int fd, const void *from, size_t bytes, off_t off)
{
    if (interrupted()) {
        errno = EINTR;
        return -1;
    }
    const ssize_t n = syscall(SYS_pwrite64, fd, from, shortened(bytes), off);
    const long flip = setting("SHIM_FLIP") - 1;
    if (flip >= off && flip - off < n) {
        const unsigned char wrong = ((const unsigned char *)from)[flip - off] ^ 4;
        (void)!syscall(SYS_pwrite64, fd, &wrong, (size_t)1, (off_t)flip);
    }
    return n;
}

/* ---- memory ---------------------------------------------------- */

/* Does this thread run octavo? Not before main, nor before the function of a thread, where the
 * runtime of a sanitizer allocates; nor in the shim itself. */
static _Thread_local bool is_counted;

typedef int main_fn(int, char **, char **);
static main_fn *real_main;

static int main_from_here(int argc, char **argv, char **env)
{
    is_counted = true;
    return real_main(argc, argv, env);
}

/* NOLINTBEGIN(bugprone-reserved-identifier): the name in glibc */
int __libc_start_main(main_fn *program, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*linker_fini)(void), void *stack_end)
{
    int (*const next)(main_fn *, int, char **, void (*)(void), void (*)(void), void (*)(void),
                      void *) = dlsym(RTLD_NEXT, "__libc_start_main");
    real_main = program;
    return next(main_from_here, argc, argv, init, fini, linker_fini, stack_end);
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* One line: the return addresses, each as an offset in its object, so that they are the same in
 * every run. */
static void list_caller(const char *file)
{
    static int fd = -1;
    void *frames[FRAMES];
    char line[FRAMES * 20 + 2];
    size_t used = 0;
    is_counted = false;
    fd = fd < 0 ? open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : fd;
    const int count = backtrace(frames, FRAMES);
    for (int i = 2; i < count; i++) {
        Dl_info info;
        const bool known = dladdr(frames[i], &info) != 0;
        const uintptr_t base = known ? (uintptr_t)info.dli_fbase : 0;
        used += (size_t)snprintf(line + used, sizeof line - used, "%zx ",
                                 (size_t)((uintptr_t)frames[i] - base));
    }
    line[used++] = '\n';
    (void)!write(fd, line, used);
    is_counted = true;
}

static bool denied(void)
{
    static atomic_long count;
    const long at = setting("SHIM_MALLOC");
    const char *const list = getenv("SHIM_LIST");
    if ((at <= 0 && !list) || !is_counted) {
        return false;
    }
    if (list) {
        list_caller(list);
        return false;
    }
    const long n = atomic_fetch_add(&count, 1) + 1;
    const bool is_denied = n == at || (n > at && setting("SHIM_FOREVER") > 0);
    const char *const mark = getenv("SHIM_MARK");
    if (n == at && mark) {
        const int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        (void)close(fd);
    }
    errno = is_denied ? ENOMEM : errno;
    return is_denied;
}

void *malloc(size_t bytes)
{
    static void *(*next)(size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "malloc");
    }
    return denied() ? NULL : next(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    static void *(*next)(size_t, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "calloc");
    }
    return denied() ? NULL : next(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    static void *(*next)(void *, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "realloc");
    }
    return denied() ? NULL : next(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    static void *(*next)(size_t, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "aligned_alloc");
    }
    return denied() ? NULL : next(alignment, bytes);
}

int posix_memalign(void **to, size_t alignment, size_t bytes)
{
    static int (*next)(void **, size_t, size_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "posix_memalign");
    }
    return denied() ? ENOMEM : next(to, alignment, bytes);
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t off)
{
    static void *(*next)(void *, size_t, int, int, int, off_t);
    if (!next) {
        next = dlsym(RTLD_NEXT, "mmap");
    }
    return (flags & MAP_ANONYMOUS) && denied() ? MAP_FAILED
                                               : next(at, bytes, protection, flags, fd, off);
}

typedef struct thread_start {
    void *(*start)(void *);
    void *argument;
} thread_start;

static void *start_counted(void *ctx)
{
    const thread_start s = *(thread_start *)ctx;
    free(ctx);
    is_counted = true;
    return s.start(s.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!next) {
        next = dlsym(RTLD_NEXT, "pthread_create");
    }
    if (denied()) {
        return EAGAIN;
    }
    const bool was_counted = is_counted;
    is_counted = false;
    thread_start *const s = malloc(sizeof *s);
    *s = (thread_start){start, argument};
    const int failure = next(thread, attributes, start_counted, s);
    is_counted = was_counted;
    return failure;
}
