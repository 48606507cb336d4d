#include "format/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/io.h"

struct output {
    char *path; /* the final name */
    char *dir;
    char *part; /* the temporary name, in the same directory */
    int fd;
    bool force;
};

static void output_free(output *o)
{
    if (o->fd >= 0) {
        close(o->fd);
    }
    free(o->path);
    free(o->dir);
    free(o->part);
    free(o);
}

static err_code make_names(output *o, const char *path, err *e)
{
    const char *const name = io_basename(path);
    const size_t dir_length = (size_t)(name - path);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return err_set(e, ERR_IO, "%s: not the name of a file", path);
    }
    o->path = strdup(path);
    o->dir = dir_length > 0 ? strndup(path, dir_length) : strdup(".");
    if (asprintf(&o->part, "%.*s.%s.part", (int)dir_length, path, name) < 0) {
        o->part = NULL;
    }
    return o->path && o->dir && o->part ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path);
}

/* A link is replaced itself, but not one that leads to a pipe or a device. */
static err_code check_existing(const char *path, bool force, err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    struct stat target;
    const bool leads_on = S_ISLNK(st.st_mode) && stat(path, &target) == 0;
    if (leads_on ? !S_ISREG(target.st_mode) : !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: exists and is not a regular file", path);
    }
    if (!force) {
        err_set(e, ERR_IO, "%s: exists", path);
        err_hint(e, "-f replaces it");
        return ERR_IO;
    }
    return OK;
}

/* Lock the temporary file. The one who held it may have renamed or removed it in between: then the
 * name no longer leads to what was opened, and *again asks for another try. */
static err_code open_part(output *o, bool *again, err *e)
{
    struct stat opened;
    struct stat named;
    *again = false;
    o->fd = open(o->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (o->fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot create", o->part);
    }
    if (flock(o->fd, LOCK_EX | LOCK_NB) != 0) {
        const bool busy = errno == EWOULDBLOCK;
        err_set_errno(e, ERR_IO, errno, busy ? "%s: another run is writing it" : "%s: cannot lock",
                      o->part);
        goto out_close;
    }
    if (fstat(o->fd, &opened) != 0 || !S_ISREG(opened.st_mode)) {
        err_set(e, ERR_IO, "%s: not a regular file", o->part);
        goto out_close;
    }
    if (stat(o->part, &named) != 0 || named.st_ino != opened.st_ino ||
        named.st_dev != opened.st_dev) {
        close(o->fd);
        o->fd = -1;
        *again = true;
        return OK;
    }
    if (ftruncate(o->fd, 0) != 0) {
        err_set_errno(e, ERR_IO, errno, "%s: cannot truncate", o->part);
        goto out_close;
    }
    return OK;

out_close:
    close(o->fd);
    o->fd = -1;
    return ERR_IO;
}

err_code output_open(const char *path, bool force, output **out, err *e)
{
    output *const o = calloc(1, sizeof *o);
    if (!o) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    o->fd = -1;
    o->force = force;
    err_code code = make_names(o, path, e);
    if (code == OK) {
        code = check_existing(path, force, e);
    }
    for (bool again = true; code == OK && again;) {
        code = open_part(o, &again, e);
    }
    if (code != OK) {
        output_free(o);
        return code;
    }
    *out = o;
    return OK;
}

err_code output_reserve(output *o, uint64_t bytes, err *e)
{
    int result = 0;
    do {
        /* Not posix_fallocate: where the file system has no such call, that writes every block. */
        result = fallocate(o->fd, 0, 0, (off_t)bytes);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        if (errno != EOPNOTSUPP && errno != ENOSYS) {
            return err_set_errno(e, ERR_IO, errno, "%s: cannot reserve %llu bytes", o->part,
                                 (unsigned long long)bytes);
        }
        if (ftruncate(o->fd, (off_t)bytes) != 0) {
            return err_set_errno(e, ERR_IO, errno, "%s: cannot extend to %llu bytes", o->part,
                                 (unsigned long long)bytes);
        }
    }
    return OK;
}

err_code output_write(output *o, uint64_t off, const void *data, uint64_t bytes, err *e)
{
    const err_code code = io_write_at(o->fd, o->part, off, data, bytes, e);
    if (code == OK && bytes >= (1 << 20)) {
        /* Start writing now, so that the fsync at the end does not find everything still to do. A
         * hint: not checked. */
        (void)sync_file_range(o->fd, (off_t)off, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    }
    return code;
}

err_code output_sync(output *o, err *e)
{
    if (fsync(o->fd) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot sync", o->part);
    }
    return OK;
}

int output_descriptor(const output *o)
{
    return o->fd;
}

const char *output_part_path(const output *o)
{
    return o->part;
}

static err_code sync_directory(const char *dir, err *e)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory to sync it", dir);
    }
    /* Some file systems cannot sync directories and say EINVAL: nothing more can be done there. */
    const bool failed = fsync(fd) != 0 && errno != EINVAL;
    const int why = errno;
    close(fd);
    return failed ? err_set_errno(e, ERR_IO, why, "%s: cannot sync the directory", dir) : OK;
}

static int rename_part(const output *o)
{
    if (o->force) {
        return rename(o->part, o->path);
    }
    const int result = renameat2(AT_FDCWD, o->part, AT_FDCWD, o->path, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS)) {
        return result;
    }
    /* The file system cannot do it in one step: link refuses an existing name as well. */
    return link(o->part, o->path) == 0 ? unlink(o->part) : -1;
}

err_code output_commit(output **out, err *e)
{
    output *const o = *out;
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(o->fd, 0666 & ~mask) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot set permissions", o->part);
    }
    if (rename_part(o) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot rename to %s", o->part, o->path);
    }
    const err_code code = sync_directory(o->dir, e);
    output_free(o);
    *out = NULL;
    return code;
}

void output_abandon(output **out)
{
    output *const o = *out;
    if (!o) {
        return;
    }
    struct stat opened;
    struct stat named;
    if (fstat(o->fd, &opened) == 0 && lstat(o->part, &named) == 0 &&
        opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
        unlink(o->part);
    }
    output_free(o);
    *out = NULL;
}
