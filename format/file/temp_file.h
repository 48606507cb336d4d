/* A temporary file without a name: it is gone when it is closed, however the process ends. */
#ifndef TEMP_FILE_H
#define TEMP_FILE_H

#include "format/base/err.h"

/* In the directory that TMPDIR names, else in /var/tmp (which is on a disk, as a rule), else in
 * /tmp. *fd: open for reading and writing, the caller's to close. Errors: ERR_IO. */
MUST_CHECK err_code temp_file_open(int *fd, err *e);

#endif
