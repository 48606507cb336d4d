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
#include "format/output/part_owner.h"

enum { ATTEMPTS = 1000 }; /* to get hold of a name that other runs create and remove */

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

/* The name that system calls get, relative to p->at. */
static const char *entry_of(const part *p, const char *path)
{
    return p->at == AT_FDCWD ? path : io_basename(path);
}

err_code part_name_in(part *p, int dir, const char *dir_path, const char *name, err *e)
{
    char *const path = io_join(dir_path, name);
    p->kind = PART_FILE;
    p->at = dir;
    p->path = path;
    p->around = strdup(dir_path);
    p->name = path ? part_name_of(path) : NULL;
    return check_memory(p, dir_path, e);
}

/* Another run may have renamed or removed the open file and created another one of the same name.
 * Device and inode show whether the name still leads to the open file. */
static err_code find_name(const part *p, bool *is_ours, err *e)
{
    struct stat named;
    *is_ours = false;
    if (fstatat(p->at, entry_of(p, p->name), &named, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", p->name);
    }
    *is_ours = named.st_ino == p->inode && named.st_dev == p->device;
    return OK;
}

static int unlink_part(const part *p)
{
    return unlinkat(p->at, entry_of(p, p->name), p->kind == PART_FILE ? 0 : AT_REMOVEDIR);
}

bool part_remove(const part *p)
{
    bool is_ours = false;
    return find_name(p, &is_ours, NULL) == OK && (!is_ours || unlink_part(p) == 0);
}

/* ---- opening --------------------------------------------------- */

err_code part_open_around(part *p, err *e)
{
    const char *const name = p->at == AT_FDCWD ? p->around : ".";
    p->around_fd = io_openat(p->at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return p->around_fd >= 0 || errno == EACCES
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", p->around);
}

/* O_NONBLOCK: opening a pipe or a device of this name must not wait. O_NOFOLLOW: a link of this
 * name would have its target overwritten. */
static err_code open_left_file(part *p, err *e)
{
    p->fd = io_openat(p->at, entry_of(p, p->name), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (p->fd >= 0 || errno == ENOENT) {
        return OK;
    }
    if (errno == ELOOP || errno == EISDIR || errno == ENXIO) {
        return part_owner_refuse(p, "not a regular file", e);
    }
    const err_code code = err_set_errno(e, ERR_IO, errno, "%s: cannot open", p->name);
    err_hint(e, "remove it if no other run is writing it");
    return code;
}

/* O_EXCL: a file that is created just now is nobody else's. In an open directory, which was empty,
 * there can be no other. */
static err_code create_file(part *p, bool *created, err *e)
{
    const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    p->fd = io_openat(p->at, entry_of(p, p->name), flags, 0600);
    *created = p->fd >= 0;
    if (*created) {
        return OK;
    }
    return errno == EEXIST && p->at == AT_FDCWD
               ? open_left_file(p, e)
               : err_set_errno(e, ERR_IO, errno, "%s: cannot create", p->name);
}

/* Unlike a file, a directory cannot be created and opened in one step. If another run renames or
 * removes it in between, fd is -1, and the caller tries again. */
static err_code create_directory(part *p, bool *created, err *e)
{
    *created = mkdir(p->name, 0700) == 0;
    if (!*created && errno != EEXIST) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot create", p->name);
    }
    p->fd = io_openat(AT_FDCWD, p->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (p->fd >= 0 || errno == ENOENT) {
        return OK;
    }
    if (errno == ENOTDIR || errno == ELOOP) {
        return part_owner_refuse(p, "not a directory", e);
    }
    return err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", p->name);
}

/* Remember which file this is. */
static err_code identify(part *p, struct stat *st, err *e)
{
    if (fstat(p->fd, st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", p->name);
    }
    p->device = st->st_dev;
    p->inode = st->st_ino;
    return p->kind == PART_DIRECTORY || S_ISREG(st->st_mode)
               ? OK
               : part_owner_refuse(p, "not a regular file", e);
}

/* flock, because the system drops it when the run ends in whatever way: a file of a killed run is
 * not locked, and no lock file is left behind. It does not wait: two runs with one output are a
 * mistake that the user has to know about. */
static int try_lock(int fd)
{
    int result = 0;
    do {
        result = flock(fd, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    return result;
}

static bool lacks_locks(int error)
{
    return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP;
}

err_code part_lock_old(int fd, const char *path, err *e)
{
    if (try_lock(fd) == 0 || lacks_locks(errno)) {
        return OK; /* without locks, whatever has the temporary name is refused */
    }
    return errno == EWOULDBLOCK ? err_set(e, ERR_IO, "%s: another run is writing it", path)
                                : err_set_errno(e, ERR_IO, errno, "%s: cannot lock", path);
}

static err_code lock(const part *p, bool *created, err *e)
{
    if (try_lock(p->fd) == 0) {
        return OK;
    }
    if (errno == EWOULDBLOCK) {
        *created = false; /* another run has taken it, so it is not for us to remove */
        return err_set(e, ERR_IO, "%s: another run is writing it", p->name);
    }
    if (lacks_locks(errno) && *created) {
        return OK;
    }
    const err_code code = err_set_errno(e, ERR_IO, errno, "%s: cannot lock", p->name);
    if (!*created) {
        err_hint(e, "remove it if no other run is writing it");
    }
    return code;
}

/* The owner is allowed everything and nobody else anything: the umask, or a run that was killed
 * after its last step, may have set other bits. */
static err_code make_private(const part *p, const struct stat *st, err *e)
{
    const mode_t wanted = p->kind == PART_FILE ? 0600 : 0700;
    const mode_t others = p->kind == PART_FILE ? 0 : 077;
    return (st->st_mode & (wanted | others)) == wanted ? OK : part_chmod(p, wanted, e);
}

/* A directory may have been exchanged between mkdir and open, so a new one is checked as well. */
static err_code check_use(part *p, bool created, bool *again, err *e)
{
    struct stat st;
    part_use use = PART_TAKE;
    TRY(identify(p, &st, e)); /* the mode may have changed until it was locked */
    if (!created || p->kind == PART_DIRECTORY) {
        TRY(part_owner_check(p, &st, &use, e));
        TRY(part_sync_around(p, e)); /* the probe stays removed */
    }
    if (use == PART_TAKE) {
        return make_private(p, &st, e);
    }
    *again = true;
    return part_remove(p) ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot remove", p->name);
}

/* One attempt; *again asks for another one.
 *
 * Between open and flock, the run that held the lock may have renamed the file into place or
 * removed it. Then this run has locked a finished output, or a file without a name, and must not
 * empty it. So the name is compared once more while the lock is held; after that, no run that keeps
 * to the lock changes what the name leads to. */
static err_code try_open(part *p, part_empty_fn empty, void *ctx, bool *created, bool *again,
                         err *e)
{
    struct stat st;
    bool is_ours = false;
    TRY(p->kind == PART_FILE ? create_file(p, created, e) : create_directory(p, created, e));
    *again = p->fd < 0;
    if (*again) {
        return OK;
    }
    TRY(identify(p, &st, e));
    TRY(lock(p, created, e));
    TRY(find_name(p, &is_ours, e));
    *again = !is_ours;
    if (!*again) {
        TRY(check_use(p, *created, again, e));
    }
    return *again ? OK : empty(ctx, *created, again, e);
}

/* Remove what was created although it could not be used. Before it is identified only its name is
 * known, which nobody has had time to use. If it stays, that is not worth a second message. */
static void remove_created(const part *p)
{
    if (p->inode == 0) {
        (void)unlink_part(p);
    } else {
        (void)part_remove(p);
    }
}

static err_code attempt(part *p, part_empty_fn empty, void *ctx, bool *again, err *e)
{
    bool created = false;
    const err_code code = try_open(p, empty, ctx, &created, again, e);
    if (code != OK && created) {
        remove_created(p);
    }
    if (p->fd >= 0 && (*again || code != OK)) {
        close(p->fd); /* and so unlock it */
        p->fd = -1;
        p->inode = 0;
    }
    return code;
}

err_code part_open(part *p, part_empty_fn empty, void *ctx, err *e)
{
    for (int i = 0; i < ATTEMPTS; i++) {
        bool again = false;
        TRY(attempt(p, empty, ctx, &again, e));
        if (!again) {
            return OK;
        }
    }
    return err_set(e, ERR_IO, "%s: other processes keep creating and removing it", p->name);
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
    return io_chmod(p->fd, mode) == 0
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
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? renameat(from_dir, from, to_dir, to) : -1;
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
static int rename_new_file(int at, const char *from, const char *to)
{
    const int result = renameat2(at, from, at, to, RENAME_NOREPLACE);
    if (result == 0 || !lacks_noreplace(errno)) {
        return result;
    }
    if (linkat(at, from, at, to, 0) == 0) {
        return unlinkat(at, from, 0);
    }
    return errno == EEXIST ? -1 : rename_if_free(at, from, at, to);
}

err_code part_check_name(const part *p, err *e)
{
    bool is_ours = false;
    TRY(find_name(p, &is_ours, e));
    return is_ours ? OK : err_set(e, ERR_IO, "%s: was removed or replaced during the run", p->name);
}

err_code part_rename(const part *p, bool replace, err *e)
{
    const char *const from = entry_of(p, p->name);
    const char *const to = entry_of(p, p->path);
    int result = 0;
    TRY(part_check_name(p, e)); /* the rename would publish somebody else's file */
    if (replace) {
        result = renameat(p->at, from, p->at, to);
    } else if (p->kind == PART_FILE) {
        result = rename_new_file(p->at, from, to);
    } else {
        result = part_rename_new(p->at, from, p->at, to);
    }
    return result == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot rename to %s", p->name, p->path);
}

err_code part_sync_directory(int fd, const char *path, err *e)
{
    /* Some file systems cannot sync directories and return EINVAL: nothing more can be done
     * there. */
    return io_sync(fd) == 0 || errno == EINVAL
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot sync the directory", path);
}

/* fsync needs a descriptor that was opened for reading; syncfs takes any of the file system. What is
 * renamed is on the same one as the directory that it goes to. */
err_code part_sync_unreadable(const part *p, const char *path, err *e)
{
    int result = 0;
    do {
        result = syncfs(p->fd);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? OK
                       : err_set_errno(e, ERR_IO, errno, "%s: cannot sync its file system", path);
}

err_code part_sync_around(const part *p, err *e)
{
    return p->around_fd >= 0 ? part_sync_directory(p->around_fd, p->around, e)
                             : part_sync_unreadable(p, p->around, e);
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
