#include "format/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "format/num.h"

enum { TAKE_BYTES = 8 << 20 };

struct memory_file {
    int fd;
    unsigned char *map;
    uint64_t bytes;
    size_t page; /* bytes of a page of this system: 4 KiB, or up to 64 on ARM */
    pthread_t taker;
    bool taking; /* the thread was started */
    atomic_bool stop;
};

bool memory_file_is_one(int fd)
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

/* Give the file its pages, not cleared yet, from the first to the last: about as fast as others
 * fill them, who do without where this thread is not yet, and who find out when there are no more.
 */
static void *take_pages(void *arg)
{
    memory_file *const m = arg;
    int result = 0;
    for (uint64_t off = 0; off < m->bytes && result == 0 && !atomic_load(&m->stop);) {
        const uint64_t n = num_min(m->bytes - off, TAKE_BYTES);
        result = fallocate(m->fd, 0, (off_t)off, (off_t)n);
        if (result == 0) {
            off += n;
        } else if (errno == EINTR) {
            result = 0;
        }
    }
    return NULL;
}

/* A mapping of the whole file, NULL: cannot be had. *failure: 0 or an errno value. */
static unsigned char *map_file(int fd, uint64_t bytes, size_t page, int *failure)
{
    void *const map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
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

int memory_file_open(int fd, uint64_t bytes, memory_file **out)
{
    *out = NULL;
    if (bytes == 0 || bytes > SIZE_MAX || !memory_file_is_one(fd)) {
        return 0;
    }
    if (!has_room(fd, bytes)) {
        return ENOSPC;
    }
    if (ftruncate(fd, (off_t)bytes) != 0) {
        return errno;
    }
    const long page = sysconf(_SC_PAGESIZE);
    memory_file *const m = page > 0 ? calloc(1, sizeof *m) : NULL;
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
    m->taking = pthread_create(&m->taker, NULL, take_pages, m) == 0; /* it is help only */
    *out = m;
    return 0;
}

uint64_t memory_file_bytes(const memory_file *m)
{
    return m->bytes;
}

/* Pages are given back to the mapping when they are written, not to the file: what a process has
 * mapped counts as its memory. */
int memory_file_write(memory_file *m, uint64_t off, const void *data, size_t bytes)
{
    const uint64_t first = off / m->page * m->page;
    const size_t whole = (size_t)(off + bytes - first);
    const int failure = map_pages(m->map + first, whole);
    if (failure == 0) {
        memcpy(m->map + off, data, bytes);
        (void)madvise(m->map + first, whole, MADV_DONTNEED); /* saves memory, loses nothing */
    }
    return failure;
}

void memory_file_close(memory_file *m)
{
    if (!m) {
        return;
    }
    atomic_store(&m->stop, true);
    if (m->taking) {
        pthread_join(m->taker, NULL);
    }
    munmap(m->map, m->bytes);
    free(m);
}
