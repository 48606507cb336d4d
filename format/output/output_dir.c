#include "format/output/output_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/file/dir_list.h"
#include "format/output/output.h"
#include "format/output/part.h"

struct output_dir {
    part p;      /* where the files are made */
    char *path;  /* the final name, without '/' at its end */
    bool inside; /* the directory exists: the temporary one lies in it */
    bool force;
    const char *const *names; /* what a run of this kind could make */
    size_t count;
    int around_fd; /* of p.around: good for names, but maybe not for reading */
};

static void dir_free(output_dir *d)
{
    if (d->around_fd >= 0) {
        close(d->around_fd);
    }
    part_close(&d->p);
    free(d->path);
    free(d);
}

/* ---- names ----------------------------------------------------- */

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
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
            return part_name_beside(&d->p, PART_DIRECTORY, d->path, "a directory", e);
        }
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", d->path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: exists and is not a directory", d->path);
    }
    TRY(d->force ? OK : check_empty(d->path, e));
    d->inside = true;
    return part_name_inside(&d->p, PART_DIRECTORY, d->path, OUTPUT_DIR_PART, e);
}

/* ---- the temporary directory ----------------------------------- */

/* Could it be a file of ours, or of a run that was killed? */
static bool is_own(const output_dir *d, const char *entry)
{
    struct stat st;
    bool own = false;
    for (size_t i = 0; i < d->count && !own; i++) {
        own = output_stands_for(entry, d->names[i]);
    }
    return own && fstatat(d->p.fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static err_code check_own(const output_dir *d, const dir_list *names, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!is_own(d, names->names[i])) {
            err_set(e, ERR_IO, "%s: holds %s, which is no file of this output: not removed",
                    d->p.name, names->names[i]);
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
    err_code code = dir_list_read(d->p.name, &names, e);
    if (code == OK) {
        code = check_own(d, &names, e);
    }
    for (size_t i = 0; i < names.count && code == OK; i++) {
        if (unlinkat(d->p.fd, names.names[i], 0) != 0) {
            code =
                err_set_errno(e, ERR_IO, errno, "%s/%s: cannot remove", d->p.name, names.names[i]);
        }
    }
    dir_list_free(&names);
    return code;
}

/* What cannot be removed stays; the failure that led here is what is told. To look into it takes a
 * descriptor, and their lack may be that failure: first as if it were empty. */
static void remove_all(const output_dir *d)
{
    if (!part_remove(&d->p) && empty_part(d, NULL) == OK) {
        (void)part_remove(&d->p);
    }
}

/* Found or made, it may hold files of ours alone: of one that holds others nothing is removed. */
static err_code empty_dir(void *ctx, bool created, bool *again, err *e)
{
    const output_dir *const d = ctx;
    const err_code code = empty_part(d, e);
    (void)again;
    if (code != OK && created) {
        remove_all(d);
    }
    return code;
}

/* For names a descriptor will do that is not good for reading, and so for fsync. */
static err_code open_around(output_dir *d, err *e)
{
    d->around_fd = open(d->p.around, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return d->around_fd < 0
               ? err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", d->p.around)
               : part_open_around(&d->p, e);
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
                      .p = PART_CLOSED,
                      .around_fd = -1};
    err_code code = OK;
    TRY_OUT(d->path ? choose_names(d, e) : no_memory(path, e));
    TRY_OUT(open_around(d, e));
    TRY_OUT(part_open(&d->p, empty_dir, d, e));
    *out = d;
    return OK;
out:
    dir_free(d);
    return code;
}

const char *output_dir_path(const output_dir *d)
{
    return d->p.name;
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

/* Without a path that would have to be put together: once the first file is moved, nothing but the
 * file system may fail. */
static err_code move_file(const output_dir *d, const char *name, err *e)
{
    const int result = d->force ? renameat(d->p.fd, name, d->around_fd, name)
                                : part_rename_new(d->p.fd, name, d->around_fd, name);
    return result == 0 ? OK
                       : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot move it out of %s", d->path,
                                       name, d->p.name);
}

static err_code move_files(const output_dir *d, err *e)
{
    dir_list names = {0};
    err_code code = dir_list_read(d->p.name, &names, e);
    if (code == OK) {
        code = check_own(d, &names, e);
    }
    for (size_t i = 0; i < names.count && code == OK; i++) {
        code = output_dir_claim(d, names.names[i], e); /* all of them before the first */
    }
    for (size_t i = 0; i < names.count && code == OK; i++) {
        code = move_file(d, names.names[i], e);
    }
    if (code == OK && rmdir(d->p.name) != 0) {
        code = err_set_errno(e, ERR_IO, errno, "%s: cannot remove", d->p.name);
    }
    dir_list_free(&names);
    return code;
}

static err_code rename_part(const output_dir *d, err *e)
{
    TRY(part_chmod(&d->p, part_mode(0777), e));
    return part_rename(&d->p, false, e);
}

err_code output_dir_commit(output_dir **out, err *e)
{
    output_dir *const d = *out;
    TRY(part_sync_directory(d->p.fd, d->p.name, e));
    TRY(d->inside ? move_files(d, e) : rename_part(d, e));
    const err_code code = part_sync_around(&d->p, e);
    dir_free(d);
    *out = NULL;
    return code;
}

void output_dir_abandon(output_dir **out)
{
    output_dir *const d = *out;
    if (d) {
        remove_all(d);
        dir_free(d);
        *out = NULL;
    }
}
