/* Streams that may keep a program waiting for long: pipes whose other end is slow, or asleep.
 *
 *     int own = pipe_open_write(STDOUT_FILENO, "standard output", e)    < 0: failed
 *     pipe_write(own, "standard output", m, data, bytes, e);
 *     pipe_read(STDIN_FILENO, "standard input", m, buffer, bytes, &got, e);
 *
 * Whoever waits asks the monitor ten times a second, so that a signal ends the job even if another
 * thread got it. Any descriptor will do; files never keep anybody waiting. `name` is for messages,
 * `m` may be NULL. Errors: ERR_IO, ERR_CANCELLED. */
#ifndef PIPE_H
#define PIPE_H

#include <stddef.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

/* A descriptor of its own for what `fd` leads to, the caller's to close; -1 after an error. That of
 * a pipe never blocks: `fd` itself may be shared with programs that do not expect that. */
MUST_CHECK int pipe_open_write(int fd, const char *name, err *e);

MUST_CHECK err_code pipe_write(int fd, const char *name, const monitor *m, const void *from,
                               size_t bytes, err *e);

/* Up to `bytes` bytes; *got is less only where the stream ends. */
MUST_CHECK err_code pipe_read(int fd, const char *name, const monitor *m, void *to, size_t bytes,
                              size_t *got, err *e);

#endif
