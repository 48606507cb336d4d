#include "format/file/temp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/file/io.h"

/* O_TMPFILE is not for outputs, whose name tells other runs that somebody writes them and lets the
 * next one take over what a killed run left. This file needs no name: without one nobody can open it
 * or plant another, and nothing is left after SIGKILL. Some file systems do not support it: there
 * the file has a name for a moment, and it is an error if that cannot be removed. */
static int open_in(const char *dir)
{
    const int fd = io_openat(AT_FDCWD, dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)) {
        return fd;
    }
    char *path = NULL;
    if (asprintf(&path, "%s/.octavo-XXXXXX", dir) < 0) {
        errno = ENOMEM;
        return -1;
    }
    int named = mkostemp(path, O_CLOEXEC);
    const bool kept = named >= 0 && unlink(path) != 0;
    const int failure = errno;
    if (kept) {
        close(named);
        named = -1;
    }
    free(path);
    errno = failure;
    return named;
}

const char *temp_file_dir(unsigned choice)
{
    const char *const wanted = getenv("TMPDIR");
    if (wanted && *wanted) {
        return choice == 0 ? wanted : NULL;
    }
    return choice == 0 ? "/var/tmp" : choice == 1 ? "/tmp" : NULL;
}

err_code temp_file_open(int *fd, err *e)
{
    *fd = -1;
    for (unsigned i = 0; *fd < 0 && temp_file_dir(i); i++) {
        *fd = open_in(temp_file_dir(i));
    }
    if (*fd < 0) {
        const char *const last = temp_file_dir(1) ? temp_file_dir(1) : temp_file_dir(0);
        const err_code code =
            err_set_errno(e, ERR_IO, errno, "%s: cannot create a temporary file", last);
        err_hint(e, "set TMPDIR to another directory");
        return code;
    }
    return OK;
}
