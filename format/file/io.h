/* Reading and writing that is complete or fails with a message: loops over short counts and EINTR.
 *
 *     io_open_read(path, &fd, &st, e);
 *     io_read_at(fd, path, off, buffer, bytes, e);      all of it, or an error
 *
 *     io_read_file(path, limit, &data, &bytes, e);      a small file as a whole
 *
 * Safe from several threads, also on one descriptor. */
#ifndef IO_H
#define IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "format/base/err.h"
#include "format/file/file_stamp.h"

/* openat(2), again if a signal interrupts it, as FUSE and NFS let it. -1: errno says why. */
int io_openat(int dir, const char *path, int flags, unsigned mode);

/* fsync(2) likewise. An interruption is the only failure after which it may be called again. */
int io_sync(int fd);

/* fchmod(2) likewise. */
int io_chmod(int fd, mode_t mode);

/* The hint of an error that was just set, if `path` cannot be opened although its permissions allow it:
 * Landlock, as in bin/sandbox, and the like. `why` is the errno. */
void io_hint_withheld(const char *path, int why, err *e);

/* The hint speaks of octavo's sandbox from now on. Before there are threads. */
void io_set_sandboxed(void);

/* Open for reading, regular files only; *fd is the caller's to close. `st` may be NULL. */
MUST_CHECK err_code io_open_read(const char *path, int *fd, struct stat *st, err *e);

/* Read or write exactly `bytes` bytes at `off`; an early end of file is ERR_IO. `path` is for the
 * message. */
MUST_CHECK err_code io_read_at(int fd, const char *path, uint64_t off, void *to, size_t bytes,
                               err *e);
MUST_CHECK err_code io_write_at(int fd, const char *path, uint64_t off, const void *from,
                                size_t bytes, err *e);

/* Read a whole file of at most `limit` bytes (a larger one is ERR_INPUT) into a new buffer, with a
 * NUL after the last byte: *data is the caller's to free(). */
MUST_CHECK err_code io_read_file(const char *path, size_t limit, char **data, size_t *bytes,
                                 err *e);

/* The same; *stamp: of the file as it was read. In both cases ERR_IO if it changes meanwhile. */
MUST_CHECK err_code io_read_file_stamped(const char *path, size_t limit, char **data, size_t *bytes,
                                         file_stamp *stamp, err *e);

/* The same for an open file of any kind, such as a pipe, up to its end. `name` is for the message.
 */
MUST_CHECK err_code io_read_stream(int fd, const char *name, size_t limit, char **data,
                                   size_t *bytes, err *e);

/* "DIR/NAME", the caller's to free(); NULL if memory is short. */
char *io_join(const char *dir, const char *name);

/* `path` without trailing slashes, the caller's to free(); NULL if memory is short. "a/b//" names
 * the same as "a/b". "/" stays. */
char *io_without_slashes(const char *path);

/* The part of `path` after its last '/'. */
const char *io_basename(const char *path);

#endif
