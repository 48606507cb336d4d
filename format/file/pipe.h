/* Reading and writing streams that may block for long: pipes whose other end is slow or stopped.
 *
 *     pipe_open_write(STDOUT_FILENO, "standard output", &own, e);
 *     pipe_write(own, "standard output", m, data, bytes, e);
 *     pipe_read(STDIN_FILENO, "standard input", m, buffer, bytes, &got, e);
 *
 * While a call waits it asks the monitor ten times a second, so that a signal ends the job even if
 * another thread received it. Any descriptor will do. `name` is for messages, `m` may be NULL.
 * Errors: ERR_IO, ERR_MEMORY, ERR_CANCELLED. */
#ifndef PIPE_H
#define PIPE_H

#include <stddef.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* *own is a new descriptor for the file or pipe of `fd`, the caller's to close. That of a pipe is
 * non-blocking, which `fd` itself must not become: other programs may share it that do not expect
 * that. */
MUST_CHECK err_code pipe_open_write(int fd, const char *name, int *own, err *e);

MUST_CHECK err_code pipe_write(int fd, const char *name, const monitor *m, const void *from,
                               size_t bytes, err *e);

/* Read up to `bytes` bytes; *got is less only at the end of the stream. */
MUST_CHECK err_code pipe_read(int fd, const char *name, const monitor *m, void *to, size_t bytes,
                              size_t *got, err *e);

#endif
