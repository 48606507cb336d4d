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

enum {
    LINE = 64,       /* bytes of a cache line */
    LOT = 48 << 20,  /* written bytes that are still mapped before some are unmapped, */
    KEPT = 32 << 20, /* and how many stay mapped then: other threads are writing there */
};

struct mapped_output {
    int fd;
    unsigned char *map;
    uint64_t bytes;
    size_t page; /* bytes of a page of this system: 4 KiB, or up to 64 on ARM */
    prefault *ahead;
    atomic_uint_fast64_t let_go; /* pages before it were given back by give_back */
};

bool mapped_output_is_one(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* The pages that the file already has are ignored: it is empty, or nearly so. A file system without
 * a limit reports a size of 0. */
static bool has_space(int fd, uint64_t bytes)
{
    struct statvfs fs;
    uint64_t space = 0;
    return fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0 ||
           !num_mul(fs.f_bavail, fs.f_frsize, &space) || bytes <= space;
}

/* Map pages for writing. If none are left, madvise returns an error, whereas touching such a page
 * would raise SIGBUS, which a library cannot handle: so no page is touched before it is mapped. */
static int map_pages(unsigned char *first, size_t bytes)
{
    int result = 0;
    do {
        result = madvise(first, bytes, MADV_POPULATE_WRITE);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    return result == 0 ? 0 : errno == EFAULT ? ENOSPC : errno;
}

/* A mapping that begins where a huge page can begin; NULL if there can be none. mmap promises no
 * such alignment, so reserve more addresses than needed, map the file within them, and release what
 * is left on both sides. */
static unsigned char *map_aligned(int fd, uint64_t bytes, size_t page)
{
    const uint64_t whole = num_ceil_div(bytes, page) * page;
    unsigned char *const area = mmap(NULL, whole + PREFAULT_ALIGN, PROT_NONE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED) {
        return NULL;
    }
    const size_t before = -(uintptr_t)area % PREFAULT_ALIGN;
    unsigned char *const first = area + before;
    void *const map = mmap(first, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (map == MAP_FAILED) {
        munmap(area, whole + PREFAULT_ALIGN);
        return NULL;
    }
    munmap(first + whole, PREFAULT_ALIGN - before);
    if (before > 0) {
        munmap(area, before);
    }
    return map;
}

/* A mapping of the whole file, or NULL with *failure an errno value, or 0 if the system cannot do
 * this and the file has to be written another way. The first page is mapped to find that out. */
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
        *failure = *failure == EINVAL ? 0 : *failure; /* Linux before 5.14 */
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
    if (!has_space(fd, bytes)) {
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

/* Copy with stores that bypass the cache: nobody reads these bytes soon, and a line that is written
 * as a whole need not be read first. memcpy does so only for copies larger than the whole cache,
 * and one of ours is a few megabytes. */
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

/* Unmap pages that were written. Mapped pages count as memory of the process, so without this the
 * whole output would; the file keeps them.
 *
 * All processors wait while a part of a huge page is unmapped. So this is done for tens of
 * megabytes at once, in whole huge pages, and at some distance from the end of the last write,
 * since offsets ascend only roughly. A thread that writes before `let_go` unmaps what it wrote
 * itself: nobody will do it later. */
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

void mapped_output_settle(mapped_output *m)
{
    if (m) {
        prefault_stop(m->ahead);
        m->ahead = NULL;
    }
}

void mapped_output_close(mapped_output *m)
{
    if (!m) {
        return;
    }
    mapped_output_settle(m);
    munmap(m->map, m->bytes);
    free(m);
}
