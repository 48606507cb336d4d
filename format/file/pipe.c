#include "format/file/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 100, PIPE_BYTES = 1 << 20 };

int pipe_open_write(int fd, const char *name, err *e)
{
    struct stat st;
    int own = -1;
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    if (own < 0) {
        own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    }
    if (own < 0) {
        err_set_errno(e, ERR_IO, errno, "%s: cannot write", name);
        return -1;
    }
    /* Fewer changes between the two programs. A hint: not checked. */
    (void)fcntl(own, F_SETPIPE_SZ, PIPE_BYTES);
    return own;
}

/* Until something can be done, but not for long. What is wrong with the descriptor shows in the
 * call that follows. */
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
    err_code code = OK;
    while (code == OK && bytes > 0) {
        const ssize_t n = write(fd, p, bytes);
        if (n > 0) {
            p += n;
            bytes -= (size_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            code = wait_a_moment(fd, POLLOUT, m, e);
        } else {
            code = err_set_errno(e, ERR_IO, n < 0 ? errno : ENOSPC, "%s: cannot write", name);
        }
    }
    return code;
}

/* Has the stream something to say, its end included? */
static bool is_ready(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

err_code pipe_read(int fd, const char *name, const monitor *m, void *to, size_t bytes, size_t *got,
                   err *e)
{
    unsigned char *p = to;
    err_code code = OK;
    *got = 0;
    while (code == OK && *got < bytes) {
        if (!is_ready(fd)) {
            code = wait_a_moment(fd, POLLIN, m, e);
            continue;
        }
        const ssize_t n = read(fd, p + *got, bytes - *got);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            *got += (size_t)n;
        } else if (errno != EAGAIN && errno != EINTR) {
            code = err_set_errno(e, ERR_IO, errno, "%s: cannot read", name);
        }
    }
    return code;
}
