/* A file that is written from its first byte to its last, into a pipe. A part of output.c.
 *
 * Memory does not grow with the file: what is not written before what lies behind it reads as zero
 * then. */
#ifndef OUTPUT_PIPE_H
#define OUTPUT_PIPE_H

#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct output_pipe output_pipe;

/* `fd` stays the caller's; `name` is for messages and must outlive the stream. Errors: ERR_IO. */
MUST_CHECK err_code output_pipe_open(int fd, const char *name, const monitor *m, output_pipe **out,
                                     err *e);

/* One thread at a time, and offsets never go back. ERR_IO, ERR_CANCELLED. */
MUST_CHECK err_code output_pipe_write(output_pipe *s, uint64_t off, const void *data,
                                      uint64_t bytes, err *e);

/* fsync, of what can be synced: a regular file. */
MUST_CHECK err_code output_pipe_sync(const output_pipe *s, err *e);

/* What the system says of the file at last. Releases *s. */
MUST_CHECK err_code output_pipe_close(output_pipe **s, err *e);

#endif
