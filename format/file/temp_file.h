/* A temporary file without a name: it disappears when it is closed, however the process ends. */
#ifndef TEMP_FILE_H
#define TEMP_FILE_H

#include "format/base/err.h"

/* The directories to create one in, first choice first, then NULL: the one that TMPDIR names; if it
 * is not set, /var/tmp, which is usually on a disk, or else /tmp. */
const char *temp_file_dir(unsigned choice);

/* *fd: open for reading and writing, the caller's to close. Errors: ERR_IO. */
MUST_CHECK err_code temp_file_open(int *fd, err *e);

#endif
