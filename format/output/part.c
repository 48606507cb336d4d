#include "format/output/part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"

/* ---- names ----------------------------------------------------- */

char *part_name_of(const char *path)
{
    char *name = NULL;
    const char *const base = io_basename(path);
    const int length = asprintf(&name, "%.*s.%s.part", (int)(base - path), path, base);
    return length < 0 ? NULL : name;
}

static err_code check_memory(const part *p, const char *path, err *e)
{
    return p->path && p->around && p->name ? OK : err_set(e, ERR_MEMORY, "%s: no memory", path);
}

err_code part_name_beside(part *p, part_kind kind, const char *path, const char *what, err *e)
{
    const char *const base = io_basename(path);
    const size_t before = (size_t)(base - path);
    if (base[0] == '\0' || strcmp(base, ".") == 0 || strcmp(base, "..") == 0) {
        return err_set(e, ERR_IO, "%s: not the name of %s", path, what);
    }
    p->kind = kind;
    p->path = strdup(path);
    p->around = before > 0 ? strndup(path, before) : strdup(".");
    p->name = part_name_of(path);
    return check_memory(p, path, e);
}

err_code part_name_inside(part *p, part_kind kind, const char *path, const char *name, err *e)
{
    p->kind = kind;
    p->path = strdup(path);
    p->around = strdup(path);
    p->name = io_join(path, name);
    return check_memory(p, path, e);
}

/* Another run may have renamed or removed the open file and created another one of the same name.
 * Device and inode show whether the name still leads to the open file. */
bool part_has_its_name(const part *p)
{
    struct stat opened;
    struct stat named;
    return fstat(p->fd, &opened) == 0 && lstat(p->name, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

bool part_remove(const part *p)
{
    return !part_has_its_name(p) || (p->kind == PART_FILE ? unlink(p->name) : rmdir(p->name)) == 0;
}

/* ---- opening --------------------------------------------------- */

err_code part_open_around(part *p, err *e)
{
    p->around_fd = open(p->around, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return p->around_fd >= 0 || errno == EACCES
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", p->around);
}

/* O_EXCL first, because only a file that is known to be new may be used where locks are not
 * supported. O_NOFOLLOW: a link of this name would have its target overwritten. */
static err_code create_file(part *p, bool *created, err *e)
{
    const int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    struct stat st;
    p->fd = open(p->name, flags | O_EXCL, 0600);
    *created = p->fd >= 0;
    if (p->fd < 0 && errno == EEXIST) {
        p->fd = open(p->name, flags, 0600);
    }
    if (p->fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot create", p->name);
    }
    return fstat(p->fd, &st) == 0 && S_ISREG(st.st_mode)
               ? OK
               : err_set(e, ERR_IO, "%s: not a regular file", p->name);
}

/* Unlike a file, a directory cannot be created and opened in one step. If another run renames or
 * removes it in between, fd is -1, and the caller tries again. */
static err_code create_directory(part *p, bool *created, err *e)
{
    *created = mkdir(p->name, 0700) == 0;
    if (!*created && errno != EEXIST) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot create", p->name);
    }
    p->fd = open(p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->fd >= 0 || errno == ENOENT) {
        return OK;
    }
    err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", p->name);
    if (*created) {
        (void)rmdir(p->name); /* if it stays, that is not worth a second message */
    }
    return ERR_IO;
}

/* flock, because the system drops it when the run ends in whatever way: a file of a killed run is
 * not locked, and no lock file is left behind. It does not wait: two runs with one output are a
 * mistake that the user has to know about. */
static err_code lock(const part *p, bool created, err *e)
{
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0) {
        return OK;
    }
    if (errno == EWOULDBLOCK) {
        return err_set(e, ERR_IO, "%s: another run is writing it", p->name);
    }
    const bool no_locks = errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP;
    if (no_locks && created) {
        return OK;
    }
    err_set_errno(e, ERR_IO, errno, "%s: cannot lock", p->name);
    if (created) {
        (void)part_remove(p); /* if it stays, that is not worth a second message */
    } else {
        err_hint(e, "remove it if no other run is writing it");
    }
    return ERR_IO;
}

/* One attempt; *again asks for another one.
 *
 * Between open and flock, the run that held the lock may have renamed the file into place or
 * removed it. Then this run has locked a finished output, or a file without a name, and must not
 * empty it. So the name is compared once more while the lock is held; after that, no run that keeps
 * to the lock changes what the name leads to. */
static err_code try_open(part *p, part_empty_fn empty, void *ctx, bool *again, err *e)
{
    bool created = false;
    TRY(p->kind == PART_FILE ? create_file(p, &created, e) : create_directory(p, &created, e));
    *again = p->fd < 0;
    if (*again) {
        return OK;
    }
    TRY(lock(p, created, e));
    *again = !part_has_its_name(p);
    return *again ? OK : empty(ctx, created, again, e);
}

err_code part_open(part *p, part_empty_fn empty, void *ctx, err *e)
{
    bool again = true;
    while (again) {
        const err_code code = try_open(p, empty, ctx, &again, e);
        if (p->fd >= 0 && (again || code != OK)) {
            close(p->fd); /* and so unlock it */
            p->fd = -1;
        }
        TRY(code);
    }
    return OK;
}

/* ---- the end --------------------------------------------------- */

mode_t part_mode(mode_t all)
{
    const mode_t mask = umask(0);
    umask(mask);
    return all & ~mask;
}

err_code part_chmod(const part *p, mode_t mode, err *e)
{
    return fchmod(p->fd, mode) == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot set permissions", p->name);
}

/* Does this error of renameat2 mean that the kernel or the file system knows no
 * RENAME_NOREPLACE? */
static bool lacks_noreplace(int error)
{
    return error == EINVAL || error == ENOSYS;
}

/* The last resort: check, then rename. A file that somebody creates between the two is replaced;
 * rename itself never replaces a directory that is not empty. */
static int rename_if_free(int from_dir, const char *from, int to_dir, const char *to)
{
    struct stat st;
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
        return renameat(from_dir, from, to_dir, to);
    }
    errno = EEXIST;
    return -1;
}

int part_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
    const int result = renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE);
    return result == 0 || !lacks_noreplace(errno) ? result
                                                  : rename_if_free(from_dir, from, to_dir, to);
}

/* Without RENAME_NOREPLACE, files have link, which also refuses an existing name in one step.
 * Directories cannot be linked, and some file systems cannot link files. */
static int rename_new_file(const char *from, const char *to)
{
    const int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (result == 0 || !lacks_noreplace(errno)) {
        return result;
    }
    if (link(from, to) == 0) {
        return unlink(from);
    }
    return errno == EEXIST ? -1 : rename_if_free(AT_FDCWD, from, AT_FDCWD, to);
}

err_code part_rename(const part *p, bool replace, err *e)
{
    int result = 0;
    if (replace) {
        result = rename(p->name, p->path);
    } else if (p->kind == PART_FILE) {
        result = rename_new_file(p->name, p->path);
    } else {
        result = part_rename_new(AT_FDCWD, p->name, AT_FDCWD, p->path);
    }
    return result == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot rename to %s", p->name, p->path);
}

err_code part_sync_directory(int fd, const char *path, err *e)
{
    /* Some file systems cannot sync directories and return EINVAL: nothing more can be done
     * there. */
    return fd < 0 || fsync(fd) == 0 || errno == EINVAL
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot sync the directory", path);
}

err_code part_sync_around(const part *p, err *e)
{
    return part_sync_directory(p->around_fd, p->around, e);
}

void part_close(part *p)
{
    if (p->fd >= 0) {
        close(p->fd);
    }
    if (p->around_fd >= 0) {
        close(p->around_fd);
    }
    free(p->path);
    free(p->around);
    free(p->name);
    *p = PART_CLOSED;
}
