/* An output that would take the place of its own input: all is read before anything gets its name,
 * but whoever has the packed file only would lose it.
 *
 *     input_guard_file(fd, "out/config.json", e);     a file that is going to be written
 *     input_guard_directory(fd, "out", e);            one whose files are going to be removed
 *
 * `fd` is the packed file, open; it may have several names. Errors: ERR_USAGE that would be; else
 * those of reading a directory. To be asked before anything is removed. */
#ifndef INPUT_GUARD_H
#define INPUT_GUARD_H

#include "format/base/err.h"

/* Also by its temporary file, which is emptied. */
MUST_CHECK err_code input_guard_file(int fd, const char *path, err *e);

/* A directory that is not there loses nothing. */
MUST_CHECK err_code input_guard_directory(int fd, const char *path, err *e);

/* The directory that is made beside `path`, as .NAME.part. */
MUST_CHECK err_code input_guard_beside(int fd, const char *path, err *e);

#endif
