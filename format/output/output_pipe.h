/* A file that is written into a pipe, from its first byte to its last. Part of output.c.
 *
 * Nothing is buffered: a gap between two writes is filled with zeros at once. */
#ifndef OUTPUT_PIPE_H
#define OUTPUT_PIPE_H

#include <stdint.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct output_pipe output_pipe;

/* `fd` stays the caller's; `name` is for messages and must outlive the stream. ERR_IO,
 * ERR_MEMORY. */
MUST_CHECK err_code output_pipe_open(int fd, const char *name, const monitor *m, output_pipe **out,
                                     err *e);

/* One thread at a time, with ascending offsets. ERR_IO, ERR_CANCELLED. */
MUST_CHECK err_code output_pipe_write(output_pipe *s, uint64_t off, const void *data,
                                      uint64_t bytes, err *e);

/* fsync if the descriptor leads to a regular file, for example by a shell's redirection; anything
 * else cannot be synced. */
MUST_CHECK err_code output_pipe_sync(const output_pipe *s, err *e);

/* Close, which may report an error of earlier writes. Releases *s. */
MUST_CHECK err_code output_pipe_close(output_pipe **s, err *e);

#endif
