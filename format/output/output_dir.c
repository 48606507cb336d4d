#include "format/output/output_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/file/dir_list.h"
#include "format/output/output.h"

struct output_dir {
    char *path;   /* the final name, without '/' at its end */
    char *part;   /* where the files are made */
    char *around; /* the directory that `part` lies in: its names change in the end */
    bool inside;  /* the directory exists: around is path */
    bool force;
    const char *const *names; /* what a run of this kind could make */
    size_t count;
    int fd;        /* of part */
    int around_fd; /* of around: good for names, but maybe not for reading */
    int sync_fd;   /* the same for fsync; -1: not allowed */
};

static void dir_free(output_dir *d)
{
    if (d->fd >= 0) {
        close(d->fd);
    }
    if (d->around_fd >= 0) {
        close(d->around_fd);
    }
    if (d->sync_fd >= 0) {
        close(d->sync_fd);
    }
    free(d->path);
    free(d->part);
    free(d->around);
    free(d);
}

/* ---- names ----------------------------------------------------- */

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
}

static err_code names_inside(output_dir *d, err *e)
{
    d->inside = true;
    d->around = strdup(d->path);
    d->part = io_join(d->path, OUTPUT_DIR_PART);
    return d->around && d->part ? OK : no_memory(d->path, e);
}

static err_code names_beside(output_dir *d, err *e)
{
    const char *const name = io_basename(d->path);
    const size_t before = (size_t)(name - d->path);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return err_set(e, ERR_IO, "%s: not the name of a directory", d->path);
    }
    d->around = before > 0 ? strndup(d->path, before) : strdup(".");
    if (asprintf(&d->part, "%.*s.%s.part", (int)before, d->path, name) < 0) {
        d->part = NULL;
    }
    return d->around && d->part ? OK : no_memory(d->path, e);
}

/* Nothing but what a killed run left. */
static err_code check_empty(const char *path, err *e)
{
    dir_list names = {0};
    err_code code = dir_list_read(path, &names, e);
    if (code == OK && names.count > (dir_list_has(&names, OUTPUT_DIR_PART) ? 1U : 0U)) {
        code = err_set(e, ERR_IO, "%s: exists and is not empty", path);
        err_hint(e, "-f puts files into it and replaces those of the same name");
    }
    dir_list_free(&names);
    return code;
}

static err_code choose_names(output_dir *d, err *e)
{
    struct stat st;
    if (stat(d->path, &st) != 0) {
        if (errno == ENOENT && lstat(d->path, &st) != 0) {
            return names_beside(d, e);
        }
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", d->path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: exists and is not a directory", d->path);
    }
    const err_code code = d->force ? OK : check_empty(d->path, e);
    return code == OK ? names_inside(d, e) : code;
}

/* ---- the temporary directory ----------------------------------- */

/* Does the temporary name lead to what is open? */
static bool has_its_name(const output_dir *d)
{
    struct stat opened;
    struct stat named;
    return fstat(d->fd, &opened) == 0 && lstat(d->part, &named) == 0 &&
           opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

/* Could it be a file of ours, or of a run that was killed? */
static bool is_own(const output_dir *d, const char *entry)
{
    struct stat st;
    bool own = false;
    for (size_t i = 0; i < d->count && !own; i++) {
        own = output_stands_for(entry, d->names[i]);
    }
    return own && fstatat(d->fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static err_code check_own(const output_dir *d, const dir_list *names, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!is_own(d, names->names[i])) {
            err_set(e, ERR_IO, "%s: holds %s, which is no file of this output: not removed",
                    d->part, names->names[i]);
            err_hint(e, "move it away, or remove the directory if a killed run has left it");
            return ERR_IO;
        }
    }
    return OK;
}

/* Nothing is removed before it is known that nothing has to stay. */
static err_code empty_part(const output_dir *d, err *e)
{
    dir_list names = {0};
    err_code code = dir_list_read(d->part, &names, e);
    if (code == OK) {
        code = check_own(d, &names, e);
    }
    for (size_t i = 0; i < names.count && code == OK; i++) {
        if (unlinkat(d->fd, names.names[i], 0) != 0) {
            code = err_set_errno(e, ERR_IO, errno, "%s/%s: cannot remove", d->part, names.names[i]);
        }
    }
    dir_list_free(&names);
    return code;
}

/* What cannot be removed stays; the failure that led here is what is told. To look into it takes a
 * descriptor, and their lack may be that failure: first as if it were empty. */
static void remove_part(const output_dir *d)
{
    if (has_its_name(d) && rmdir(d->part) != 0 && empty_part(d, NULL) == OK) {
        rmdir(d->part);
    }
}

static err_code lock_part(const output_dir *d, bool created, err *e)
{
    if (flock(d->fd, LOCK_EX | LOCK_NB) == 0) {
        return OK;
    }
    if (errno == EWOULDBLOCK) {
        return err_set(e, ERR_IO, "%s: another run is writing it", d->part);
    }
    const bool no_locks = errno == ENOLCK || errno == ENOSYS || errno == EOPNOTSUPP;
    if (no_locks && created) {
        return OK;
    }
    err_set_errno(e, ERR_IO, errno, "%s: cannot lock", d->part);
    if (created) {
        remove_part(d);
    } else {
        err_hint(e, "remove it if no other run is writing it");
    }
    return ERR_IO;
}

static err_code cannot_open_part(const output_dir *d, bool created, err *e)
{
    err_set_errno(e, ERR_IO, errno, "%s: cannot open", d->part);
    if (created) {
        (void)rmdir(d->part); /* that it stays is not worth a second message */
    }
    return ERR_IO;
}

/* *again: who held the lock has renamed or removed it in between. */
static err_code open_part(output_dir *d, bool *again, err *e)
{
    *again = false;
    const bool created = mkdir(d->part, 0700) == 0;
    if (!created && errno != EEXIST) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot create", d->part);
    }
    d->fd = open(d->part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (d->fd < 0) {
        *again = errno == ENOENT;
        return *again ? OK : cannot_open_part(d, created, e);
    }
    err_code code = lock_part(d, created, e);
    if (code == OK && has_its_name(d)) {
        code = empty_part(d, e);
        if (code != OK && created) {
            remove_part(d);
        }
        return code;
    }
    *again = code == OK;
    close(d->fd);
    d->fd = -1;
    return code;
}

/* Who may write into a directory may still not be allowed to read it, and then cannot sync it. */
static err_code open_around(output_dir *d, err *e)
{
    d->around_fd = open(d->around, O_PATH | O_DIRECTORY | O_CLOEXEC);
    d->sync_fd = open(d->around, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d->around_fd >= 0 && (d->sync_fd >= 0 || errno == EACCES)
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", d->around);
}

err_code output_dir_open(const char *path, bool force, const char *const *names, size_t count,
                         output_dir **out, err *e)
{
    output_dir *const d = calloc(1, sizeof *d);
    if (!d) {
        return no_memory(path, e);
    }
    *d = (output_dir){.path = io_without_slashes(path),
                      .force = force,
                      .names = names,
                      .count = count,
                      .fd = -1,
                      .around_fd = -1,
                      .sync_fd = -1};
    err_code code = d->path ? choose_names(d, e) : no_memory(path, e);
    if (code == OK) {
        code = open_around(d, e);
    }
    for (bool again = true; code == OK && again;) {
        code = open_part(d, &again, e);
    }
    if (code != OK) {
        dir_free(d);
        return code;
    }
    *out = d;
    return OK;
}

const char *output_dir_path(const output_dir *d)
{
    return d->part;
}

char *output_dir_final(const output_dir *d, const char *name)
{
    return io_join(d->path, name);
}

/* ---- the end --------------------------------------------------- */

static err_code check_target(const output_dir *d, const char *name, err *e)
{
    struct stat st;
    if (fstatat(d->around_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot stat", d->path, name);
    }
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return err_set(e, ERR_IO, "%s/%s: exists and is not a regular file", d->path, name);
    }
    return d->force ? OK : err_set(e, ERR_IO, "%s/%s: exists", d->path, name);
}

err_code output_dir_claim(const output_dir *d, const char *name, err *e)
{
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strcmp(name, OUTPUT_DIR_PART) == 0) {
        return err_set(e, ERR_IO, "%s: '%s' is not to be the name of a file there", d->path, name);
    }
    return d->inside ? check_target(d, name, e) : OK;
}

static err_code sync_directory(int fd, const char *path, err *e)
{
    /* Some file systems cannot sync directories and say EINVAL: nothing more can be done there. */
    if (fd >= 0 && fsync(fd) != 0 && errno != EINVAL) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot sync the directory", path);
    }
    return OK;
}

/* 0 or -1: a name that has been taken in between is not replaced. */
static int rename_new(int from_fd, const char *from, int to_fd, const char *to)
{
    const int result = renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS)) {
        return result;
    }
    /* The file system cannot do it in one step: look first, and hope that nobody else comes in
     * between. */
    struct stat st;
    if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
        return renameat(from_fd, from, to_fd, to);
    }
    errno = EEXIST;
    return -1;
}

/* Without a path that would have to be put together: once the first file is moved, nothing but the
 * file system may fail. */
static err_code move_file(const output_dir *d, const char *name, err *e)
{
    const int result = d->force ? renameat(d->fd, name, d->around_fd, name)
                                : rename_new(d->fd, name, d->around_fd, name);
    return result == 0 ? OK
                       : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot move it out of %s", d->path,
                                       name, d->part);
}

static err_code move_files(const output_dir *d, err *e)
{
    dir_list names = {0};
    err_code code = dir_list_read(d->part, &names, e);
    if (code == OK) {
        code = check_own(d, &names, e);
    }
    for (size_t i = 0; i < names.count && code == OK; i++) {
        code = output_dir_claim(d, names.names[i], e); /* all of them before the first */
    }
    for (size_t i = 0; i < names.count && code == OK; i++) {
        code = move_file(d, names.names[i], e);
    }
    if (code == OK && rmdir(d->part) != 0) {
        code = err_set_errno(e, ERR_IO, errno, "%s: cannot remove", d->part);
    }
    dir_list_free(&names);
    return code;
}

static err_code rename_part(const output_dir *d, err *e)
{
    const mode_t mask = umask(0);
    umask(mask);
    if (fchmod(d->fd, 0777 & ~mask) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot set permissions", d->part);
    }
    return rename_new(AT_FDCWD, d->part, AT_FDCWD, d->path) == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot rename to %s", d->part, d->path);
}

err_code output_dir_commit(output_dir **out, err *e)
{
    output_dir *const d = *out;
    err_code code = sync_directory(d->fd, d->part, e);
    if (code == OK) {
        code = d->inside ? move_files(d, e) : rename_part(d, e);
    }
    if (code != OK) {
        return code;
    }
    code = sync_directory(d->sync_fd, d->around, e);
    dir_free(d);
    *out = NULL;
    return code;
}

void output_dir_abandon(output_dir **out)
{
    output_dir *const d = *out;
    if (d) {
        remove_part(d);
        dir_free(d);
        *out = NULL;
    }
}
