#include "format/output/mapped_output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "format/base/num.h"
#include "format/output/prefault.h"

enum { LINE = 64, LOT = 48 << 20, KEPT = 32 << 20 };

struct mapped_output {
    int fd;
    unsigned char *map;
    uint64_t bytes;
    size_t page; /* bytes of a page of this system: 4 KiB, or up to 64 on ARM */
    prefault *ahead;
    atomic_uint_fast64_t let_go; /* bytes before it are not mapped, or are just being written */
};

bool mapped_output_is_one(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* What the file has already is not counted: it is empty, or as good as. A file system without a
 * limit tells a size of 0. */
static bool has_room(int fd, uint64_t bytes)
{
    struct statvfs fs;
    uint64_t room = 0;
    return fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0 ||
           !num_mul(fs.f_bavail, fs.f_frsize, &room) || bytes <= room;
}

/* Map pages for writing. Where there are none left the kernel says so here, and does not have to
 * when they are touched. */
static int map_pages(unsigned char *first, size_t bytes)
{
    int result = 0;
    do {
        result = madvise(first, bytes, MADV_POPULATE_WRITE);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    return result == 0 ? 0 : errno == EFAULT ? ENOSPC : errno;
}

/* A mapping that begins where a huge page may, NULL: cannot be had. */
static unsigned char *map_aligned(int fd, uint64_t bytes, size_t page)
{
    const uint64_t whole = num_ceil_div(bytes, page) * page;
    unsigned char *const room = mmap(NULL, whole + PREFAULT_ALIGN, PROT_NONE, MAP_SHARED, fd, 0);
    if (room == MAP_FAILED) {
        return NULL;
    }
    const size_t before = -(uintptr_t)room % PREFAULT_ALIGN;
    unsigned char *const first = room + before;
    void *const map = mmap(first, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (map == MAP_FAILED) {
        munmap(room, whole + PREFAULT_ALIGN);
        return NULL;
    }
    munmap(first + whole, PREFAULT_ALIGN - before);
    if (before > 0) {
        munmap(room, before);
    }
    return map;
}

/* A mapping of the whole file, NULL: cannot be had. *failure: 0 or an errno value. */
static unsigned char *map_file(int fd, uint64_t bytes, size_t page, int *failure)
{
    unsigned char *const map = map_aligned(fd, bytes, page);
    if (!map) {
        return NULL;
    }
    (void)madvise(map, bytes, MADV_HUGEPAGE); /* advice */
    *failure = map_pages(map, num_min(bytes, page));
    if (*failure != 0) {
        munmap(map, bytes);
        *failure = *failure == EINVAL ? 0 : *failure; /* Linux before 5.14 cannot say it */
        return NULL;
    }
    return map;
}

int mapped_output_open(int fd, uint64_t bytes, mapped_output **out)
{
    *out = NULL;
    if (bytes == 0 || bytes > SIZE_MAX || !mapped_output_is_one(fd)) {
        return 0;
    }
    if (!has_room(fd, bytes)) {
        return ENOSPC;
    }
    if (ftruncate(fd, (off_t)bytes) != 0) {
        return errno;
    }
    const long page = sysconf(_SC_PAGESIZE);
    mapped_output *const m = page > 0 ? calloc(1, sizeof *m) : NULL;
    if (!m) {
        return ENOMEM;
    }
    int failure = 0;
    m->fd = fd;
    m->bytes = bytes;
    m->page = (size_t)page;
    m->map = map_file(fd, bytes, m->page, &failure);
    if (!m->map) {
        free(m);
        return failure;
    }
    m->ahead = prefault_start(fd, m->map, bytes);
    atomic_init(&m->let_go, 0);
    *out = m;
    return 0;
}

uint64_t mapped_output_bytes(const mapped_output *m)
{
    return m->bytes;
}

/* Past the cache: nobody reads this soon, and a line that is written as a whole is not read before.
 * The C library does so only with more than fits into the cache of the largest machines. */
static void copy_past_cache(unsigned char *to, const unsigned char *from, size_t bytes)
{
    size_t at = 0;
#ifdef __SSE2__
    at = num_min(-(uintptr_t)to % LINE, bytes);
    memcpy(to, from, at);
    for (; bytes - at >= LINE; at += LINE) {
        const __m128i *const line = (const void *)(from + at);
        __m128i *const place = (void *)(to + at);
        for (int i = 0; i < LINE / (int)sizeof *line; i++) {
            _mm_stream_si128(place + i, _mm_loadu_si128(line + i));
        }
    }
    _mm_sfence();
#endif
    memcpy(to + at, from + at, bytes - at);
}

/* What a process has mapped counts as its memory, so pages are given back: to the mapping, not to
 * the file. In large lots, some way behind the last bytes written, because every processor waits
 * while a part of a huge page is. Who writes behind that gives back by itself. */
static void give_back(mapped_output *m, uint64_t first, uint64_t end)
{
    uint64_t done = atomic_load(&m->let_go);
    if (first < done) {
        (void)madvise(m->map + first, end - first, MADV_DONTNEED);
    } else if (end - done >= LOT) {
        const uint64_t next = (end - KEPT) / PREFAULT_ALIGN * PREFAULT_ALIGN;
        if (atomic_compare_exchange_strong(&m->let_go, &done, next)) {
            (void)madvise(m->map + done, next - done, MADV_DONTNEED);
        }
    }
}

int mapped_output_write(mapped_output *m, uint64_t off, const void *data, size_t bytes)
{
    const uint64_t first = off / m->page * m->page;
    prefault_need(m->ahead, off, bytes);
    const int failure = map_pages(m->map + first, (size_t)(off + bytes - first));
    if (failure == 0) {
        copy_past_cache(m->map + off, data, bytes);
        give_back(m, first, off + bytes);
    }
    return failure;
}

void mapped_output_close(mapped_output *m)
{
    if (!m) {
        return;
    }
    prefault_stop(m->ahead);
    munmap(m->map, m->bytes);
    free(m);
}
