/* Refuses an output that would replace the packed file that it is made from. All input is read
 * before anything is renamed into place, but whoever has nothing but the packed file would lose it.
 *
 *     input_guard_file(fd, "out/config.json", e);     a file that is going to be written
 *     input_guard_directory(fd, "out", e);            a directory whose files will be removed
 *
 * `fd` is the open packed file, which may have several names. Errors: ERR_USAGE if the packed file
 * would be lost; ERR_MEMORY; those of reading a directory. Call this before anything is removed. */
#ifndef INPUT_GUARD_H
#define INPUT_GUARD_H

#include "format/base/err.h"

/* Neither `path` nor the temporary file of output_open, which is emptied, is the packed file. */
MUST_CHECK err_code input_guard_file(int fd, const char *path, err *e);

/* No file in this directory, or in a directory in it, is the packed file. OK if there is no such
 * directory. */
MUST_CHECK err_code input_guard_directory(int fd, const char *path, err *e);

/* The same for the temporary directory that is made next to `path`, as .NAME.part. */
MUST_CHECK err_code input_guard_beside(int fd, const char *path, err *e);

#endif
