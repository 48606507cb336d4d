#include "format/file/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 100, PIPE_BYTES = 1 << 20 };

err_code pipe_open_write(int fd, const char *name, int *own, err *e)
{
    struct stat st;
    *own = -1;
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        *own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    if (*own < 0) {
        *own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if (*own < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot write", name);
    }
    /* A larger buffer means fewer switches between the two programs. A hint: not checked. */
    (void)fcntl(*own, F_SETPIPE_SZ, PIPE_BYTES);
    return OK;
}

/* Wait until the descriptor is ready, but not for long. If something is wrong with it, the read or
 * write that follows reports that. */
static err_code wait_a_moment(int fd, short events, const monitor *m, err *e)
{
    struct pollfd p = {.fd = fd, .events = events};
    (void)poll(&p, 1, WAIT_MS);
    return monitor_cancelled(m) ? err_set(e, ERR_CANCELLED, "interrupted") : OK;
}

err_code pipe_write(int fd, const char *name, const monitor *m, const void *from, size_t bytes,
                    err *e)
{
    const unsigned char *p = from;
    while (bytes > 0) {
        const ssize_t n = write(fd, p, bytes);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            TRY(wait_a_moment(fd, POLLOUT, m, e));
        } else {
            return err_set_errno(e, ERR_IO, n < 0 ? errno : ENOSPC, "%s: cannot write", name);
        }
    }
    return OK;
}

/* Would a read return at once, with data, the end of the stream or an error? */
static bool is_ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

err_code pipe_read(int fd, const char *name, const monitor *m, void *to, size_t bytes, size_t *got,
                   err *e)
{
    unsigned char *p = to;
    *got = 0;
    while (*got < bytes) {
        /* Asked for every piece: a stream that never makes anybody wait may have no end either. */
        if (monitor_cancelled(m)) {
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        if (!is_ready(fd)) {
            TRY(wait_a_moment(fd, POLLIN, m, e));
            continue;
        }
        const ssize_t n = read(fd, p + *got, bytes - *got);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            *got += (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            return err_set_errno(e, ERR_IO, errno, "%s: cannot read", name);
        }
    }
    return OK;
}
