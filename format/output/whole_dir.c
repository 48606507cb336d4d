#include "format/output/whole_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/json/json.h"
#include "format/output/output.h"
#include "format/output/own_tree.h"
#include "format/output/part.h"

struct whole_dir {
    part p;
    const char *list;
    dir_list made; /* the files that whole_dir_list has named */
    bool force;
};

static void dir_free(whole_dir *d)
{
    part_close(&d->p);
    dir_list_free(&d->made);
    free(d);
}

static err_code make_names(whole_dir *d, const char *path, err *e)
{
    char *const name = io_without_slashes(path);
    const err_code code = name ? part_name_beside(&d->p, PART_DIRECTORY, name, "a new directory", e)
                               : err_set(e, ERR_MEMORY, "%s: no memory", path);
    free(name);
    return code;
}

/* ---- what a directory holds ------------------------------------ */

/* Read and parse the list; text that is not JSON is no list. Lack of memory or a failed read says
 * nothing about the directory. */
static err_code parse_list(int file, const char *name, json_t **out, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    struct stat st;
    err_code code = OK;
    TRY_OUT(fstat(file, &st) == 0 ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", name));
    if (!S_ISREG(st.st_mode) || st.st_size > JSON_FILE_LIMIT) {
        goto out;
    }
    TRY_OUT(io_read_stream(file, name, JSON_FILE_LIMIT, &text, &bytes, e));
    code = json_parse(name, text, bytes, JSON_EXACT, out, NULL);
    if (code != OK) {
        *out = NULL;
        code = code == ERR_MEMORY ? err_set(e, ERR_MEMORY, "%s: no memory", name) : OK;
    }
out:
    free(text);
    return code;
}

/* The list of a directory; *out is NULL if it has none. */
static err_code read_list(int fd, const char *path, const char *list, json_t **out, err *e)
{
    const int file = io_openat(fd, list, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    *out = NULL;
    if (file < 0) {
        return errno == ENOENT || errno == ELOOP || errno == ENXIO
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s: cannot open %s", path, list);
    }
    char *const name = io_join(path, list);
    const err_code code =
        name ? parse_list(file, name, out, e) : err_set(e, ERR_MEMORY, "%s: no memory", path);
    close(file);
    free(name);
    return code;
}

/* What is_own is asked about: what a directory may hold, and the name of its list. A directory that
 * replaces another one may have as many files as the list: each is searched for. */
typedef struct listed {
    dir_list names; /* sorted: the files of the list, and the directories of these, as "DIR/" */
    const char *list_name;
} listed;

static bool add_listed(const char *name, dir_list *to)
{
    const char *const slash = strchr(name, '/');
    char *const dir = slash ? strndup(name, (size_t)(slash - name) + 1) : NULL;
    const bool added = dir_list_add(to, name) && (!slash || (dir && dir_list_add(to, dir)));
    free(dir);
    return added;
}

static err_code take_names(const json_t *list, const char *path, dir_list *to, err *e)
{
    size_t i = 0;
    const json_t *value = NULL;
    json_array_foreach(json_object_get(list, "files"), i, value)
    {
        const char *const name = json_is_string(value) ? json_string_value(value) : "";
        if (*name && !add_listed(name, to)) {
            return err_set(e, ERR_MEMORY, "%s: no memory for the names in it", path);
        }
    }
    dir_list_sort(to);
    return OK;
}

static bool is_own(const void *ctx, const char *name)
{
    const listed *const l = ctx;
    char plain[OWN_NAME_BYTES];
    return output_stands_for(name, l->list_name) || dir_list_has(&l->names, name) ||
           (output_plain_name(name, plain) && dir_list_has(&l->names, plain));
}

static err_code refuse_foreign(const char *path, const char *entry, err *e)
{
    err_set(e, ERR_IO, "%s: contains %s, which is not part of an export: not replaced", path,
            entry);
    err_hint(e, "move it away, or export to another directory");
    return ERR_IO;
}

/* List the files in a directory, all of which must be ours. */
static err_code list_own(int fd, const char *path, const char *list_name, dir_list *names, err *e)
{
    json_t *list = NULL;
    listed l = {.list_name = list_name};
    const own_tree t = {fd, path, is_own, &l};
    char foreign[OWN_NAME_BYTES];
    err_code code = OK;
    TRY(read_list(fd, path, list_name, &list, e));
    TRY_OUT(take_names(list, path, &l.names, e));
    TRY_OUT(own_tree_list(&t, names, foreign, e));
    TRY_OUT(foreign[0] == '\0' ? OK : refuse_foreign(path, foreign, e));
out:
    dir_list_free(&l.names);
    json_decref(list);
    return code;
}

static err_code check_own(int fd, const char *path, const char *list_name, err *e)
{
    dir_list names = {0};
    const err_code code = list_own(fd, path, list_name, &names, e);
    dir_list_free(&names);
    return code;
}

/* Remove these files, and the list last, when it is durable that the others are gone: whatever fails
 * on the way, the list says which of the remaining files are ours. */
static err_code remove_own(int fd, const char *path, const char *list_name, const dir_list *names,
                           err *e)
{
    TRY(own_tree_remove(fd, path, names, list_name, e));
    TRY(part_sync_directory(fd, path, e));
    return unlinkat(fd, list_name, 0) == 0 || errno == ENOENT
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot remove %s", path, list_name);
}

/* All entries are checked before the first is removed: a directory with a file of somebody else's
 * stays complete. */
static err_code clear(int fd, const char *path, const char *list_name, err *e)
{
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(list_own(fd, path, list_name, &names, e));
    TRY_OUT(remove_own(fd, path, list_name, &names, e));
out:
    dir_list_free(&names);
    return code;
}

/* ---- opening --------------------------------------------------- */

static err_code check_existing(const whole_dir *d, err *e)
{
    struct stat st;
    if (lstat(d->p.path, &st) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", d->p.path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_IO, "%s: exists and is not a directory", d->p.path);
    }
    if (!d->force) {
        err_set(e, ERR_IO, "%s: exists", d->p.path);
        err_hint(e, "-f replaces an earlier export");
        return ERR_IO;
    }
    const int fd =
        io_openat(AT_FDCWD, d->p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", d->p.path);
    }
    const err_code code = check_own(fd, d->p.path, d->list, e);
    close(fd);
    return code;
}

/* A directory that was created just now is empty: it is locked, and all runs keep to the lock. */
static err_code empty_dir(void *ctx, bool created, bool *again, err *e)
{
    const whole_dir *const d = ctx;
    (void)again;
    return created ? OK : clear(d->p.fd, d->p.name, d->list, e);
}

err_code whole_dir_open(const char *path, bool force, const char *list, whole_dir **out, err *e)
{
    whole_dir *const d = calloc(1, sizeof *d);
    if (!d) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    *d = (whole_dir){.p = PART_CLOSED, .force = force, .list = list};
    err_code code = OK;
    TRY_OUT(make_names(d, path, e));
    TRY_OUT(check_existing(d, e));
    TRY_OUT(part_open_around(&d->p, e));
    d->p.mode = part_mode(0777);
    TRY_OUT(part_open(&d->p, empty_dir, d, e));
    *out = d;
    return OK;
out:
    dir_free(d);
    return code;
}

/* ---- the list -------------------------------------------------- */

static json_t *make_list(const char *const *names, size_t count, const char *members, err *e)
{
    json_t *list = NULL;
    json_t *const files = json_array();
    err_code code = json_parse("list", members, strlen(members), JSON_EXACT, &list, e);
    int failed = 0; /* jansson returns -1 if memory is short or a name is not UTF-8 */
    for (size_t i = 0; i < count; i++) {
        failed |= json_array_append_new(files, json_string(names[i]));
    }
    failed |= json_object_set_new(list, "files", files); /* releases files even if it fails */
    if (code == OK && failed) {
        err_set(e, ERR_MEMORY, "no memory for a list of %zu files", count);
        json_decref(list);
        list = NULL;
    }
    return list;
}

err_code whole_dir_list(whole_dir *d, const char *const *names, size_t count, const char *members,
                        err *e)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (!dir_list_add(&d->made, names[i])) {
            return err_set(e, ERR_MEMORY, "%s: no memory", d->p.name);
        }
    }
    json_t *const list = make_list(names, count, members, e);
    char *const text = list ? json_canonical(list, &bytes) : NULL;
    const output_folder folder = whole_dir_folder(d);
    const err_code code = text ? output_write_file_in(&folder, d->list, text, bytes, e)
                               : err_set(e, ERR_MEMORY, "%s: no memory", d->p.name);
    json_decref(list);
    free(text);
    return code;
}

output_folder whole_dir_folder(const whole_dir *d)
{
    return (output_folder){d->p.fd, d->p.name};
}

err_code whole_dir_put(whole_dir *d, const char *name, const void *data, uint64_t bytes, err *e)
{
    if (strchr(name, '/')) {
        return own_tree_put(d->p.fd, d->p.name, name, data, bytes, e);
    }
    const output_folder folder = whole_dir_folder(d);
    return output_write_file_in(&folder, name, data, bytes, e);
}

/* ---- commit ---------------------------------------------------- */

/* The new directory and the old one exchange their names in one step. */
static err_code swap_names(const whole_dir *d, err *e)
{
    TRY(part_check_name(&d->p, e));
    if (renameat2(AT_FDCWD, d->p.name, AT_FDCWD, d->p.path, RENAME_EXCHANGE) == 0) {
        return OK;
    }
    const err_code code =
        err_set_errno(e, ERR_IO, errno, "%s: cannot be renamed to %s", d->p.name, d->p.path);
    err_hint(e, "remove %s first", d->p.path);
    return code;
}

/* The file that `st` describes, under the name `name`. */
static part known_as(const whole_dir *d, char *name, const struct stat *st)
{
    part p = d->p;
    p.name = name;
    p.device = st->st_dev;
    p.inode = st->st_ino;
    return p;
}

/* The names are exchanged, but what got the temporary one is not what was looked at: somebody has
 * replaced DIR in between. Give it its name back. False: the new directory keeps the final name. */
static bool swap_back(const whole_dir *d)
{
    part here = d->p;
    here.name = d->p.path;
    return part_check_name(&here, NULL) == OK &&
           renameat2(AT_FDCWD, d->p.name, AT_FDCWD, d->p.path, RENAME_EXCHANGE) == 0;
}

/* Remove the old directory, which is open, locked, and has the temporary name now. Its mode: if this
 * is the last thing that this run does, the next one has to find a directory that nobody else can
 * write to. It may be somebody else's, and then the mode cannot be changed. */
static err_code remove_old(const part *old, const char *list, const dir_list *names, err *e)
{
    (void)io_chmod(old->fd, 0700); /* a precaution */
    TRY(remove_own(old->fd, old->name, list, names, e));
    struct stat named;
    if (lstat(old->name, &named) == 0 &&
        (named.st_ino != old->inode || named.st_dev != old->device)) {
        return err_set(e, ERR_IO, "%s: was removed or replaced during the run", old->name);
    }
    /* Without an answer it is taken for ours: it was a moment ago, and is locked. Only an empty
     * directory can be removed. */
    return rmdir(old->name) == 0 ? OK
                                 : err_set_errno(e, ERR_IO, errno, "%s: cannot remove", old->name);
}

/* Exchange the names of the new directory and of `old`, and remove that one when the exchange is
 * durable. It is checked once more before: files may have been added since whole_dir_open. What is to
 * be removed is known before the exchange, after which neither memory nor an answer about the old
 * directory is needed. *named: the new directory has its name. */
static err_code replace_old(const whole_dir *d, int old, bool *named, err *e)
{
    struct stat st;
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(fstat(old, &st) == 0 ? OK
                                 : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", d->p.path));
    TRY_OUT(part_lock_old(old, d->p.path, e));
    TRY_OUT(list_own(old, d->p.path, d->list, &names, e));
    const part before = known_as(d, d->p.path, &st);
    part after = known_as(d, d->p.name, &st);
    after.fd = old;
    TRY_OUT(part_check_name(&before, e));
    TRY_OUT(swap_names(d, e));
    err why = {0};
    code = part_check_name(&after, &why);
    if (code != OK) {
        *named = !swap_back(d);
        err_set(e, code, "%s: cannot be replaced: %s", d->p.path, why.text);
        goto out;
    }
    *named = true;
    TRY_OUT(part_sync_around(&d->p, e));
    TRY_OUT(remove_old(&after, d->list, &names, e));
out:
    dir_list_free(&names);
    return code;
}

static err_code exchange(const whole_dir *d, bool *named, err *e)
{
    const int old =
        io_openat(AT_FDCWD, d->p.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (old < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open the directory", d->p.path);
    }
    const err_code code = replace_old(d, old, named, e);
    close(old); /* and so unlock it */
    return code;
}

static err_code publish(const whole_dir *d, bool *named, err *e)
{
    struct stat st;
    bool replaces = false;
    TRY(part_chmod(&d->p, d->p.mode, e));
    TRY(part_sync_directory(d->p.fd, d->p.name, e));
    if (d->force) {
        replaces = lstat(d->p.path, &st) == 0;
        TRY(replaces || errno == ENOENT
                ? OK
                : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", d->p.path));
    }
    if (replaces) {
        return exchange(d, named, e);
    }
    TRY(part_rename(&d->p, false, e));
    *named = true;
    return OK;
}

err_code whole_dir_commit(whole_dir **out, err *e)
{
    whole_dir *const d = *out;
    bool named = false;
    err_code code = publish(d, &named, e);
    if (named) { /* whatever failed after the rename, the rename itself has to be durable */
        const err_code last = part_sync_around(&d->p, e);
        code = code == OK ? last : code;
        dir_free(d);
        *out = NULL;
    }
    return code;
}

/* Without memory to list the directory, remove what this run may have made there. */
static void remove_files(const whole_dir *d)
{
    if (clear(d->p.fd, d->p.name, d->list, NULL) == ERR_MEMORY) {
        own_tree_remove_named(d->p.fd, (const char *const *)d->made.names, d->made.count);
        (void)unlinkat(d->p.fd, d->list, 0); /* if it stays, so does the directory */
    }
}

void whole_dir_abandon(whole_dir **out)
{
    whole_dir *const d = *out;
    if (!d) {
        return;
    }
    /* Listing the directory takes descriptors, and the lack of descriptors may be what failed; so
     * first try to remove it as if it were empty. */
    if (!part_remove(&d->p)) {
        remove_files(d);
        (void)part_remove(&d->p); /* if it stays, the next run replaces it */
    }
    dir_free(d);
    *out = NULL;
}
