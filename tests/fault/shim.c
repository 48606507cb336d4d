/* Injects faults into octavo; loaded by LD_PRELOAD:
 *
 *     SHIM_IO=K       every pread, preadv2 and pwrite moves at most K bytes, and every third is
 *                     interrupted
 *     SHIM_MALLOC=N   the N-th allocation fails, counting only those of the program itself: how
 *                     libraries handle failures of theirs is not tested here
 *     SHIM_MARK=FILE  is created when an allocation fails */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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
    return syscall(SYS_pwrite64, fd, from, shortened(bytes), off);
}

/* ---- memory ---------------------------------------------------- */

typedef struct range {
    uintptr_t begin, end;
} range;

/* The first object that is listed is the program. */
static int find_program(struct dl_phdr_info *info, size_t bytes, void *to)
{
    range *const r = to;
    (void)bytes;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
            r->begin = info->dlpi_addr + p->p_vaddr;
            r->end = r->begin + p->p_memsz;
        }
    }
    return 1;
}

static bool denied(const void *caller)
{
    static atomic_long count;
    const long at = setting("SHIM_MALLOC");
    range program = {0};
    if (at > 0) {
        dl_iterate_phdr(find_program, &program);
    }
    if ((uintptr_t)caller < program.begin || (uintptr_t)caller >= program.end) {
        return false;
    }
    const long n = atomic_fetch_add(&count, 1) + 1;
    const char *const mark = getenv("SHIM_MARK");
    if (n == at && mark) {
        const int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        (void)close(fd);
    }
    errno = n == at ? ENOMEM : errno;
    return n == at;
}

#define DENIED denied(__builtin_return_address(0))

void *malloc(size_t bytes)
{
    void *(*const next)(size_t) = dlsym(RTLD_NEXT, "malloc");
    return DENIED ? NULL : next(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    void *(*const next)(size_t, size_t) = dlsym(RTLD_NEXT, "calloc");
    return DENIED ? NULL : next(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    void *(*const next)(void *, size_t) = dlsym(RTLD_NEXT, "realloc");
    return DENIED ? NULL : next(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    void *(*const next)(size_t, size_t) = dlsym(RTLD_NEXT, "aligned_alloc");
    return DENIED ? NULL : next(alignment, bytes);
}

int posix_memalign(void **to, size_t alignment, size_t bytes)
{
    int (*const next)(void **, size_t, size_t) = dlsym(RTLD_NEXT, "posix_memalign");
    return DENIED ? ENOMEM : next(to, alignment, bytes);
}

char *strdup(const char *s)
{
    char *(*const next)(const char *) = dlsym(RTLD_NEXT, "strdup");
    return DENIED ? NULL : next(s);
}

char *strndup(const char *s, size_t bytes)
{
    char *(*const next)(const char *, size_t) = dlsym(RTLD_NEXT, "strndup");
    return DENIED ? NULL : next(s, bytes);
}

int vasprintf(char **to, const char *format, va_list args)
{
    int (*const next)(char **, const char *, va_list) = dlsym(RTLD_NEXT, "vasprintf");
    return DENIED ? -1 : next(to, format, args);
}

int asprintf(char **to, const char *format, ...)
{
    int (*const next)(char **, const char *, va_list) = dlsym(RTLD_NEXT, "vasprintf");
    va_list args;
    va_start(args, format);
    const int length = DENIED ? -1 : next(to, format, args);
    va_end(args);
    return length;
}
