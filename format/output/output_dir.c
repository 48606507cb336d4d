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
#include "format/output/own_tree.h"
#include "format/output/part.h"

struct output_dir {
    part p;      /* where the files are made */
    char *path;  /* the final name, without '/' at its end */
    bool inside; /* the directory exists, and the temporary one is inside it */
    bool force;
    const char *const *names; /* of the files that a run of this kind could make */
    size_t count;
    int around_fd; /* of p.around: for looking names up; it may not be readable */
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

/* What a killed run left does not count. */
static err_code check_empty(const char *path, err *e)
{
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(dir_list_read(path, &names, e));
    const size_t left =
        (size_t)dir_list_has(&names, OUTPUT_DIR_PART) + (size_t)dir_list_has(&names, PART_PROBE);
    if (names.count > left) {
        code = err_set(e, ERR_IO, "%s: exists and is not empty", path);
        err_hint(e, "-f puts files into it and replaces those of the same name");
    }
out:
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

/* Could this be a file of this run, or of a run that was killed, or the directory of one? */
static bool is_own(const void *ctx, const char *entry)
{
    const output_dir *const d = ctx;
    const size_t bytes = strlen(entry);
    const bool is_directory = bytes > 0 && entry[bytes - 1] == '/';
    bool own = false;
    for (size_t i = 0; i < d->count && !own; i++) {
        own = is_directory ? strncmp(d->names[i], entry, bytes) == 0
                           : output_stands_for(entry, d->names[i]);
    }
    return own;
}

/* The names in the temporary directory, all of which must be ours. */
static err_code list_part(const output_dir *d, dir_list *names, err *e)
{
    const own_tree t = {d->p.fd, d->p.name, is_own, d};
    char foreign[OWN_NAME_BYTES];
    TRY(own_tree_list(&t, names, foreign, e));
    if (foreign[0] == '\0') {
        return OK;
    }
    err_set(e, ERR_IO, "%s: contains %s, which is not part of this output: not removed", d->p.name,
            foreign);
    err_hint(e, "move it away, or remove the directory if a killed run left it");
    return ERR_IO;
}

/* All entries are checked before the first is removed: a directory with a file of somebody else's
 * stays complete. */
static err_code empty_part(const output_dir *d, err *e)
{
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(list_part(d, &names, e));
    TRY_OUT(own_tree_remove(d->p.fd, d->p.name, &names, NULL, e));
out:
    dir_list_free(&names);
    return code;
}

/* Files that cannot be removed stay: the failure that led here is the one to report. Listing the
 * directory takes a descriptor, and the lack of descriptors may be that failure; so first try to
 * remove the directory as if it were empty. */
static void remove_all(const output_dir *d)
{
    if (part_remove(&d->p)) {
        return;
    }
    const err_code code = empty_part(d, NULL);
    if (code == ERR_MEMORY) {
        own_tree_remove_named(d->p.fd, d->names, d->count);
    }
    if (code == OK || code == ERR_MEMORY) {
        (void)part_remove(&d->p);
    }
}

/* The directory may have been created or found; found or not, somebody else may have put files into
 * it, and then nothing is removed. */
static err_code empty_dir(void *ctx, bool created, bool *again, err *e)
{
    (void)created;
    (void)again;
    return empty_part(ctx, e);
}

/* O_PATH opens a directory that may be written but not read. Such a descriptor is good for looking
 * names up, but not for fsync: part_open_around opens one for that if it is readable. */
static err_code open_around(output_dir *d, err *e)
{
    d->around_fd = io_openat(AT_FDCWD, d->p.around, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
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
    d->p.mode = part_mode(0777);
    TRY_OUT(part_open(&d->p, empty_dir, d, e));
    *out = d;
    return OK;
out:
    dir_free(d);
    return code;
}

output_folder output_dir_folder(const output_dir *d)
{
    return (output_folder){d->p.fd, d->p.name};
}

err_code output_dir_put(const output_dir *d, const char *name, const void *data, uint64_t bytes,
                        err *e)
{
    if (strchr(name, '/')) {
        return own_tree_put(d->p.fd, d->p.name, name, data, bytes, e);
    }
    const output_folder folder = output_dir_folder(d);
    return output_write_file_in(&folder, name, data, bytes, e);
}

char *output_dir_final(const output_dir *d, const char *name)
{
    return io_join(d->path, name);
}

/* ---- the end --------------------------------------------------- */

/* May the entry `file` of the directory `fd` be created or replaced? `name` is for messages. */
static err_code check_target(const output_dir *d, int fd, const char *file, const char *name,
                             err *e)
{
    struct stat st;
    if (fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot stat", d->path, name);
    }
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
        return err_set(e, ERR_IO, "%s/%s: exists and is not a regular file", d->path, name);
    }
    return d->force ? OK : err_set(e, ERR_IO, "%s/%s: exists", d->path, name);
}

/* Open the directory `dir` of the existing one, but no link to one; *sub is -1 if there is none. */
static err_code open_target(const output_dir *d, const char *dir, int *sub, err *e)
{
    *sub = io_openat(d->around_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (*sub >= 0 || errno == ENOENT) {
        return OK;
    }
    return errno == ENOTDIR || errno == ELOOP
               ? err_set(e, ERR_IO, "%s/%s: exists and is not a directory", d->path, dir)
               : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot open the directory", d->path, dir);
}

static err_code check_target_below(const output_dir *d, const char *dir, const char *file,
                                   const char *name, err *e)
{
    int sub = -1;
    TRY(open_target(d, dir, &sub, e));
    if (sub < 0) {
        return OK;
    }
    const err_code code = check_target(d, sub, file, name, e);
    close(sub);
    return code;
}

static bool is_component(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           strcmp(name, OUTPUT_DIR_PART) != 0 && strcmp(name, PART_PROBE) != 0;
}

err_code output_dir_claim(const output_dir *d, const char *name, err *e)
{
    char dir[NAME_MAX + 1];
    const char *const file = own_name_split(name, dir);
    if (file ? !is_component(dir) || !is_component(file) : !is_component(name)) {
        return err_set(e, ERR_IO, "%s: '%s' cannot be the name of a file in it", d->path, name);
    }
    if (!d->inside) {
        return OK;
    }
    return file ? check_target_below(d, dir, file, name, e)
                : check_target(d, d->around_fd, name, name, e);
}

/* Uses no path that would have to be allocated: once the first file is moved, nothing may fail
 * except the file system. */
static err_code move_entry(const output_dir *d, int from, int to, const char *file,
                           const char *name, err *e)
{
    const int result =
        d->force ? renameat(from, file, to, file) : part_rename_new(from, file, to, file);
    return result == 0 ? OK
                       : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot move it out of %s", d->path,
                                       name, d->p.name);
}

/* The names in DIR, `name` without '/', of the existing directory are durable. It may be writable but not
 * readable, or, if nothing was to be moved into it, not be there. */
static err_code sync_target(const output_dir *d, const char *name, err *e)
{
    char dir[NAME_MAX + 1];
    if (!own_name_split(name, dir)) {
        return OK;
    }
    const int fd = io_openat(d->around_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0) {
        return errno == ENOENT   ? OK
               : errno == EACCES ? part_sync_unreadable(&d->p, d->path, e)
                                 : err_set_errno(e, ERR_IO, errno,
                                                 "%s/%s: cannot open the directory", d->path, dir);
    }
    const err_code code = part_sync_directory(fd, d->path, e);
    close(fd);
    return code;
}

/* The directory is created if there is none. */
static err_code move_below(const output_dir *d, const char *dir, const char *file, const char *name,
                           err *e)
{
    int to = -1;
    err_code code = OK;
    const int from = io_openat(d->p.fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (from < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s/%s: cannot open the directory", d->p.name, dir);
    }
    if (mkdirat(d->around_fd, dir, 0777) != 0 && errno != EEXIST) {
        code = err_set_errno(e, ERR_IO, errno, "%s/%s: cannot create the directory", d->path, dir);
        goto out;
    }
    TRY_OUT(open_target(d, dir, &to, e));
    if (to < 0) {
        code = err_set(e, ERR_IO, "%s/%s: disappeared during the run", d->path, dir);
        goto out;
    }
    code = move_entry(d, from, to, file, name, e);
out:
    if (to >= 0) {
        close(to);
    }
    close(from);
    return code;
}

static err_code move_file(const output_dir *d, const char *name, err *e)
{
    char dir[NAME_MAX + 1];
    const char *const file = own_name_split(name, dir);
    return file ? move_below(d, dir, file, name, e)
                : move_entry(d, d->p.fd, d->around_fd, name, name, e);
}

static err_code claim_all(const output_dir *d, const dir_list *names, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        TRY(own_name_is_directory(names->names[i]) ? OK : output_dir_claim(d, names->names[i], e));
    }
    return OK;
}

static err_code move_all(const output_dir *d, const dir_list *names, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        TRY(own_name_is_directory(names->names[i]) ? OK : move_file(d, names->names[i], e));
    }
    return OK;
}

/* All new names are durable. */
static err_code sync_targets(const output_dir *d, const dir_list *names, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        TRY(own_name_is_directory(names->names[i]) ? sync_target(d, names->names[i], e) : OK);
    }
    return part_sync_around(&d->p, e);
}

/* The temporary directory is empty. It is removed from the open one: DIR may have been renamed, and
 * it does no harm if somebody has removed it. */
static err_code remove_part(const output_dir *d, err *e)
{
    return unlinkat(d->around_fd, OUTPUT_DIR_PART, AT_REMOVEDIR) == 0 || errno == ENOENT
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot remove", d->p.name);
}

/* Is DIR, which now has the files, still what its name leads to? */
static err_code check_place(const output_dir *d, err *e)
{
    struct stat named;
    struct stat open;
    if (fstat(d->around_fd, &open) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", d->path);
    }
    const int failure = stat(d->path, &named) != 0 ? errno : 0;
    if (failure != 0 && failure != ENOENT && failure != ENOTDIR) {
        return err_set_errno(e, ERR_IO, failure, "%s: cannot stat", d->path);
    }
    return failure == 0 && named.st_dev == open.st_dev && named.st_ino == open.st_ino
               ? OK
               : err_set(e, ERR_IO, "%s: was removed or replaced during the run", d->path);
}

/* Several files cannot be renamed in one step. So everything that can be checked is checked for all
 * of them before the first is moved. The temporary directory goes when all moves are durable. */
static err_code move_files(const output_dir *d, err *e)
{
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(list_part(d, &names, e));
    TRY_OUT(claim_all(d, &names, e));
    TRY_OUT(move_all(d, &names, e));
    TRY_OUT(sync_targets(d, &names, e));
    TRY_OUT(own_tree_remove(d->p.fd, d->p.name, &names, NULL, e)); /* directories, empty by now */
    TRY_OUT(remove_part(d, e));
    code = check_place(d, e);
out:
    dir_list_free(&names);
    return code;
}

static err_code rename_part(const output_dir *d, err *e)
{
    TRY(part_chmod(&d->p, d->p.mode, e));
    TRY(part_sync_directory(d->p.fd, d->p.name, e));
    return part_rename(&d->p, false, e);
}

err_code output_dir_commit(output_dir **out, err *e)
{
    output_dir *const d = *out;
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
