#include "format/file/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/base/num.h"

/* Values of `past` that are not descriptors. */
enum { NOT_OPENED = -1, CANNOT_OPEN = -2 };

/* How much is asked of the page cache at a time, and given to a witness at a time: it fits in the
 * processor's cache. */
enum { PIECE = 256 << 10 };

void direct_init(direct_file *f, const char *path, int fd)
{
    f->path = path;
    f->again = path;
    f->fd = fd;
    f->written = false;
    atomic_init(&f->past, NOT_OPENED);
    atomic_init(&f->refused, false);
    atomic_init(&f->through, false);
}

void direct_init_written(direct_file *f, const char *path, int fd)
{
    direct_init(f, path, fd);
    f->written = true;
    snprintf(f->by_fd, sizeof f->by_fd, "/proc/self/fd/%d", fd);
    f->again = f->by_fd;
}

void direct_close_written(direct_file *f)
{
    const int past = atomic_load(&f->past);
    if (past >= 0) {
        close(past);
    }
}

void direct_close(direct_file *f)
{
    direct_close_written(f);
    close(f->fd);
}

/* Rounding down at the front and up at the back adds less than two units. */
uint64_t direct_room(uint64_t bytes)
{
    return bytes < DIRECT_MIN ? bytes : (num_ceil_div(bytes, DIRECT_ALIGN) + 1) * DIRECT_ALIGN;
}

/* The path may name another file by now. */
static bool is_same_file(int a, int b)
{
    struct stat x;
    struct stat y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Why it fails does not matter: the file can still be read through the page cache. */
static int open_past(const direct_file *f)
{
    const int fd = open(f->again, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT);
    if (fd >= 0 && is_same_file(fd, f->fd)) {
        return fd;
    }
    if (fd >= 0) {
        close(fd);
    }
    return CANNOT_OPEN;
}

/* The descriptor that bypasses the page cache, negative if there is none. If several threads open
 * one at the same time, the first one wins and the others close theirs. */
static int past_descriptor(direct_file *f)
{
    int past = atomic_load(&f->past);
    if (past == NOT_OPENED) {
        const int opened = open_past(f);
        if (atomic_compare_exchange_strong(&f->past, &past, opened)) {
            past = opened;
        } else if (opened >= 0) {
            close(opened);
        }
    }
    return atomic_load(&f->refused) ? CANNOT_OPEN : past;
}

static err_code show(const direct_witness *w, const unsigned char *piece, size_t bytes, err *e)
{
    return w ? w->see(w->ctx, piece, bytes, e) : OK;
}

typedef enum cache_answer { ALL_THERE, NOT_ALL_THERE, CANNOT_SAY } cache_answer;

/* Copy from the page cache what is in it. A request that is not wholly cached makes the kernel read
 * it ahead, and then it would be read twice: so ask for one unit first, and then for no more than
 * was already found. */
static err_code ask_cache(int fd, uint64_t off, unsigned char *to, size_t bytes,
                          const direct_witness *w, cache_answer *answer, err *e)
{
    *answer = ALL_THERE;
    for (size_t done = 0; done < bytes;) {
        const size_t wanted = num_min(num_max(done, DIRECT_ALIGN), PIECE);
        const struct iovec piece = {to + done, num_min(wanted, bytes - done)};
        const ssize_t n = preadv2(fd, &piece, 1, (off_t)(off + done), RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
            *answer = CANNOT_SAY;
            return OK;
        }
        if (n <= 0) {
            *answer = NOT_ALL_THERE;
            return OK;
        }
        TRY(show(w, to + done, (size_t)n, e));
        done += (size_t)n;
    }
    return OK;
}

/* Read whole units. Returns how many of the first `bytes` bytes were read; 0 after any error. */
static size_t read_past(direct_file *f, int past, uint64_t off, void *buffer, size_t bytes)
{
    const size_t whole = num_ceil_div(bytes, DIRECT_ALIGN) * DIRECT_ALIGN;
    const ssize_t n = pread(past, buffer, whole, (off_t)off);
    if (n < 0 && errno == EINVAL) {
        atomic_store(&f->refused, true);
    }
    return n > 0 ? num_min((size_t)n, bytes) : 0;
}

/* Through the page cache. */
static err_code read_through(const direct_file *f, uint64_t off, unsigned char *to, size_t bytes,
                             const direct_witness *w, err *e)
{
    for (size_t done = 0; done < bytes;) {
        const size_t n = num_min(bytes - done, w ? PIECE : bytes);
        TRY(io_read_at(f->fd, f->path, off + done, to + done, n, e));
        TRY(show(w, to + done, n, e));
        done += n;
    }
    return OK;
}

/* What could not be read past the page cache, for whatever reason, is read through it: if something
 * is wrong with the file, it fails there again, with the usual message. */
err_code direct_read(direct_file *f, uint64_t off, unsigned char *buffer, size_t bytes,
                     const direct_witness *w, unsigned char **data, err *e)
{
    size_t done = 0;
    *data = buffer;
    if (bytes >= DIRECT_MIN) {
        cache_answer answer = NOT_ALL_THERE;
        TRY(f->written ? OK : ask_cache(f->fd, off, buffer, bytes, w, &answer, e));
        if (answer == ALL_THERE) {
            return OK;
        }
        TRY(show(w, NULL, 0, e));
        const int past = answer == NOT_ALL_THERE ? past_descriptor(f) : CANNOT_OPEN;
        const size_t lead = off % DIRECT_ALIGN;
        const size_t got = past >= 0 ? read_past(f, past, off - lead, buffer, lead + bytes) : 0;
        if (got > lead) {
            *data = buffer + lead;
            done = got - lead;
            TRY(show(w, *data, done, e));
        }
        if (done < bytes) {
            atomic_store(&f->through, true);
        }
    }
    return read_through(f, off + done, *data + done, bytes - done, w, e);
}
