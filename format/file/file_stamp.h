/* What tells that a file is still what it was when it was opened.
 *
 *     file_stamp s = file_stamp_of(&st);               st is from io_open_read
 *     ...
 *     file_stamp_check(&s, &now, path, &touched, e)    ERR_IO: "PATH: changed during the run: ..."
 *     if (touched) ...                                 compare what was read once more
 *
 * Whoever changes a file can set its modification time back, but not its ctime. The ctime, however, also
 * changes with permissions, owner and links, as backup programs change them: alone, it proves nothing. */
#ifndef FILE_STAMP_H
#define FILE_STAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "format/base/err.h"
#include "format/base/monitor.h"

typedef struct file_stamp {
    uint64_t bytes, mtime_ns, ctime_ns, device, inode;
} file_stamp;

file_stamp file_stamp_of(const struct stat *st);

/* ERR_IO if it is another file, or has another size or modification time. *touched: only its ctime is
 * another one. */
MUST_CHECK err_code file_stamp_check(const file_stamp *s, const struct stat *now, const char *path,
                                     bool *touched, err *e);

/* The two ends of the comparison that `touched` asks for: the note that all is well, and ERR_IO. */
void file_stamp_note(const monitor *m, const char *path);
err_code file_stamp_refuse(const char *path, err *e);

#endif
