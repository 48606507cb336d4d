#include "format/file/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/base/digest.h"

static bool sandboxed;

void io_set_sandboxed(void)
{
    sandboxed = true;
}

void io_hint_withheld(const char *path, int why, err *e)
{
    if (why == EACCES && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == 0) {
        err_hint(e, "its permissions allow it: something else protects it%s",
                 sandboxed ? ", such as octavo's sandbox, which OCTAVO_SANDBOX=off turns off" : "");
    }
}

/* A link to nothing: the Hub's cache has them for files that were not downloaded. */
static err_code refuse_open(const char *path, int why, err *e)
{
    char target[256];
    const ssize_t bytes = why == ENOENT ? readlink(path, target, sizeof target - 1) : -1;
    if (bytes < 0) {
        const err_code code = err_set_errno(e, ERR_IO, why, "%s: cannot open", path);
        io_hint_withheld(path, why, e);
        return code;
    }
    target[bytes] = '\0';
    const err_code code =
        err_set_errno(e, ERR_IO, why, "%s: cannot open: a link to %s", path, target);
    err_hint(e, "the target of the link was moved or deleted, or was never downloaded");
    return code;
}

int io_openat(int dir, const char *path, int flags, unsigned mode)
{
    int fd = -1;
    do {
        fd = openat(dir, path, flags, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int io_chmod(int fd, mode_t mode)
{
    int result = 0;
    do {
        result = fchmod(fd, mode);
    } while (result != 0 && errno == EINTR);
    return result;
}

int io_sync(int fd)
{
    int result = 0;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result;
}

err_code io_open_read(const char *path, int *fd, struct stat *st, err *e)
{
    struct stat local;
    struct stat *const s = st ? st : &local;
    /* O_NONBLOCK: a FIFO in place of a file is refused below instead of waited for. */
    const int opened = io_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
    if (opened < 0) {
        return refuse_open(path, errno, e);
    }
    err_code code = OK;
    if (fstat(opened, s) != 0) {
        code = err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    } else if (!S_ISREG(s->st_mode)) {
        code = err_set(e, ERR_IO, "%s: not a regular file", path);
    }
    if (code != OK) {
        close(opened);
        return code;
    }
    *fd = opened;
    return OK;
}

err_code io_read_at(int fd, const char *path, uint64_t off, void *to, size_t bytes, err *e)
{
    unsigned char *p = to;
    while (bytes > 0) {
        const ssize_t n = pread(fd, p, bytes, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set_errno(e, ERR_IO, errno, "%s: cannot read at offset %" PRIu64, path, off);
        }
        if (n == 0) {
            return err_set(e, ERR_IO, "%s: ends at offset %" PRIu64 ", %zu more bytes expected",
                           path, off, bytes);
        }
        p += n;
        off += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

err_code io_write_at(int fd, const char *path, uint64_t off, const void *from, size_t bytes, err *e)
{
    const unsigned char *p = from;
    while (bytes > 0) {
        const ssize_t n = pwrite(fd, p, bytes, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            const int why = n == 0 ? ENOSPC : errno;
            return err_set_errno(e, ERR_IO, why, "%s: cannot write at offset %" PRIu64, path, off);
        }
        p += n;
        off += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return OK;
}

/* If only the ctime is another one, the bytes may be new or old, or some of them: read them again. */
static err_code read_steadily(int fd, const char *path, char *to, size_t bytes, file_stamp *stamp,
                              err *e)
{
    enum { ATTEMPTS = 3 };
    unsigned char first[XXH3_BYTES] = {0};
    bool touched = true;
    for (int i = 0; i < ATTEMPTS && touched; i++) {
        unsigned char found[XXH3_BYTES];
        struct stat now;
        TRY(io_read_at(fd, path, 0, to, bytes, e));
        if (fstat(fd, &now) != 0) {
            return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
        }
        TRY(file_stamp_check(stamp, &now, path, &touched, e));
        if (touched || i > 0) {
            digest_xxh3(to, bytes, i == 0 ? first : found);
        }
        if (i > 0 && memcmp(first, found, sizeof first) != 0) {
            return file_stamp_refuse(path, e);
        }
        *stamp = file_stamp_of(&now);
    }
    return OK;
}

err_code io_read_file(const char *path, size_t limit, char **data, size_t *bytes, err *e)
{
    file_stamp stamp;
    return io_read_file_stamped(path, limit, data, bytes, &stamp, e);
}

err_code io_read_file_stamped(const char *path, size_t limit, char **data, size_t *bytes,
                              file_stamp *stamp, err *e)
{
    int fd = -1;
    struct stat st;
    TRY(io_open_read(path, &fd, &st, e));
    err_code code = OK;
    char *buffer = NULL;
    const size_t size = (size_t)st.st_size;
    if ((uint64_t)st.st_size > limit) {
        code = err_set(e, ERR_INPUT, "%s: %jd bytes, more than the limit of %zu", path,
                       (intmax_t)st.st_size, limit);
        goto out;
    }
    buffer = malloc(size + 1);
    if (!buffer) {
        code = err_set(e, ERR_MEMORY, "%s: no memory for %zu bytes", path, size);
        goto out;
    }
    *stamp = file_stamp_of(&st);
    TRY_OUT(read_steadily(fd, path, buffer, size, stamp, e));
    buffer[size] = '\0';
    *data = buffer;
    *bytes = size;
    buffer = NULL;
out:
    free(buffer);
    close(fd);
    return code;
}

enum { STREAM_CAPACITY = 64 << 10 };

typedef struct text_buffer {
    char *text;
    size_t used, capacity; /* one byte more is allocated, for the NUL */
} text_buffer;

/* Double the capacity, up to one byte more than the limit, which shows that the limit is exceeded. */
static err_code grow(text_buffer *b, size_t limit, const char *name, err *e)
{
    const size_t wanted = b->capacity ? 2 * b->capacity : STREAM_CAPACITY;
    const size_t next = wanted <= limit ? wanted : limit + 1;
    char *const larger = realloc(b->text, next + 1);
    if (!larger) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu bytes", name, next);
    }
    b->text = larger;
    b->capacity = next;
    return OK;
}

static err_code read_to_end(int fd, const char *name, size_t limit, text_buffer *b, err *e)
{
    for (ssize_t n = 1; n != 0;) {
        if (b->used > limit) {
            return err_set(e, ERR_INPUT, "%s: more than the limit of %zu bytes", name, limit);
        }
        if (b->used == b->capacity) {
            TRY(grow(b, limit, name, e));
        }
        n = read(fd, b->text + b->used, b->capacity - b->used);
        if (n < 0 && errno != EINTR) {
            return err_set_errno(e, ERR_IO, errno, "%s: cannot read", name);
        }
        b->used += n > 0 ? (size_t)n : 0;
    }
    return OK;
}

err_code io_read_stream(int fd, const char *name, size_t limit, char **data, size_t *bytes, err *e)
{
    text_buffer b = {0};
    err_code code = OK;
    TRY_OUT(read_to_end(fd, name, limit, &b, e));
    b.text[b.used] = '\0';
    *data = b.text;
    *bytes = b.used;
    b.text = NULL;
out:
    free(b.text);
    return code;
}

char *io_join(const char *dir, const char *name)
{
    char *path = NULL;
    const size_t length = strlen(dir);
    const char *const slash = length > 0 && dir[length - 1] == '/' ? "" : "/";
    return asprintf(&path, "%s%s%s", dir, slash, name) < 0 ? NULL : path;
}

char *io_without_slashes(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    return strndup(path, length);
}

const char *io_basename(const char *path)
{
    const char *const slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
