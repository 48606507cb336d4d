#include "bin/cli/standard_output.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "bin/cli/signals.h"

/* A signal that ends the program also ends the waiting; one that only suspended it does not. */
static bool wait_for_room(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, -1) > 0 || (errno == EINTR && signals_pending() == 0);
}

/* For fopencookie: returning less than `bytes` is a failure. The first errno is kept. */
static ssize_t write_all(void *cookie, const char *data, size_t bytes)
{
    int *const failure = cookie;
    size_t done = 0;
    while (done < bytes) {
        const ssize_t n = write(STDOUT_FILENO, data + done, bytes - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EINTR && signals_pending() == 0) {
            continue;
        } else if (errno != EAGAIN || !wait_for_room()) {
            *failure = *failure ? *failure : errno;
            break;
        }
    }
    return (ssize_t)done;
}

static int close_descriptor(void *cookie)
{
    int *const failure = cookie;
    const int result = close(STDOUT_FILENO);
    if (result != 0 && *failure == 0) {
        *failure = errno;
    }
    return result;
}

void standard_output_open(int *failure)
{
    const cookie_io_functions_t calls = {.write = write_all, .close = close_descriptor};
    FILE *const f = fopencookie(failure, "w", calls);
    if (f) {
        setvbuf(f, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
        stdout = f;
    }
}
