/* Reading and writing that is complete or says why not: loops over short counts and EINTR. */
#ifndef IO_H
#define IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "format/base/err.h"

/* Open for reading, regular files only; *fd is the caller's to close. `st` may be NULL. */
MUST_CHECK err_code io_open_read(const char *path, int *fd, struct stat *st, err *e);

/* Exactly `bytes` bytes at `off`; an early end of file is ERR_IO. `path` is for the message. */
MUST_CHECK err_code io_read_at(int fd, const char *path, uint64_t off, void *to, size_t bytes,
                               err *e);
MUST_CHECK err_code io_write_at(int fd, const char *path, uint64_t off, const void *from,
                                size_t bytes, err *e);

/* A whole file of at most `limit` bytes (a larger one is ERR_INPUT) into a fresh buffer with a NUL
 * behind it: *data is the caller's to free(). */
MUST_CHECK err_code io_read_file(const char *path, size_t limit, char **data, size_t *bytes,
                                 err *e);

/* The same for what comes out of an open file that need not be a regular one. `name` is for the
 * message. */
MUST_CHECK err_code io_read_stream(int fd, const char *name, size_t limit, char **data,
                                   size_t *bytes, err *e);

/* "DIR/NAME" in fresh memory, NULL without memory. */
char *io_join(const char *dir, const char *name);

/* `path` without the slashes at its end, in fresh memory, NULL without memory: "a/b//" names what
 * "a/b" does. "/" stays. */
char *io_without_slashes(const char *path);

/* The part of `path` behind its last '/'. */
const char *io_basename(const char *path);

#endif
