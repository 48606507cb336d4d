#include "format/memory_file.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "format/num.h"

enum { PAGE_BYTES = 4096 };

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

/* Take the pages now and for writing. Where there are none left the kernel says so here, and does
 * not have to when they are touched. */
static int take_pages(unsigned char *first, size_t bytes)
{
    int result = 0;
    do {
        result = madvise(first, bytes, MADV_POPULATE_WRITE);
    } while (result != 0 && (errno == EINTR || errno == EAGAIN));
    return result == 0 ? 0 : errno == EFAULT ? ENOSPC : errno;
}

int memory_file_open(int fd, uint64_t bytes, memory_file *out)
{
    *out = (memory_file){0};
    if (bytes == 0 || bytes > SIZE_MAX || !memory_file_is_one(fd)) {
        return 0;
    }
    if (!has_room(fd, bytes)) {
        return ENOSPC;
    }
    if (ftruncate(fd, (off_t)bytes) != 0) {
        return errno;
    }
    void *const map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        return 0;
    }
    (void)madvise(map, bytes, MADV_HUGEPAGE); /* advice */
    const int failure = take_pages(map, num_min(bytes, PAGE_BYTES));
    if (failure != 0) {
        munmap(map, bytes);
        return failure == EINVAL ? 0 : failure; /* Linux before 5.14 cannot say it */
    }
    *out = (memory_file){.map = map, .bytes = bytes};
    return 0;
}

/* Pages are given back to the mapping when they are written, not to the file: what a process has
 * mapped counts as its memory. */
int memory_file_write(const memory_file *m, uint64_t off, const void *data, size_t bytes)
{
    const uint64_t first = off / PAGE_BYTES * PAGE_BYTES;
    const size_t whole = (size_t)(off + bytes - first);
    const int failure = take_pages(m->map + first, whole);
    if (failure == 0) {
        memcpy(m->map + off, data, bytes);
        (void)madvise(m->map + first, whole, MADV_DONTNEED); /* saves memory, loses nothing */
    }
    return failure;
}

void memory_file_close(memory_file *m)
{
    if (m->map) {
        munmap(m->map, m->bytes);
    }
    *m = (memory_file){0};
}
