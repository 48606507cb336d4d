#include "format/output/own_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/output/part.h"

/* ---- listing --------------------------------------------------- */

typedef struct walk {
    const own_tree *t;
    char *foreign;
    dir_list *names;
} walk;

static void keep_foreign(const walk *w, const char *name)
{
    if (w->foreign[0] == '\0' || strcmp(name, w->foreign) < 0) {
        snprintf(w->foreign, OWN_NAME_BYTES, "%s", name);
    }
}

static err_code keep_own(const walk *w, const char *name, err *e)
{
    return dir_list_add(w->names, name)
               ? OK
               : err_set(e, ERR_MEMORY, "%s: no memory for the names in it", w->t->path);
}

/* *kind: S_IFREG, S_IFDIR, …; 0 if the entry has disappeared. */
static err_code kind_of(const walk *w, int fd, const char *entry, mode_t *kind, err *e)
{
    struct stat st;
    *kind = 0;
    if (fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        *kind = st.st_mode & S_IFMT;
        return OK;
    }
    return errno == ENOENT
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot stat %s in it", w->t->path, entry);
}

/* `entry` of the directory `fd`, which is not a directory; `name` with DIR/. */
static err_code list_file(const walk *w, mode_t kind, const char *name, err *e)
{
    if (kind == S_IFREG && w->t->is_own(w->t->ctx, name)) {
        return keep_own(w, name, e);
    }
    if (kind != 0) {
        keep_foreign(w, name);
    }
    return OK;
}

static err_code list_below(const walk *w, int sub, const char *dir, err *e)
{
    dir_list entries = {0};
    err_code code = OK;
    TRY_OUT(dir_list_read_at(sub, w->t->path, &entries, e));
    for (size_t i = 0; i < entries.count; i++) {
        char name[OWN_NAME_BYTES];
        mode_t kind = 0;
        snprintf(name, sizeof name, "%s/%s", dir, entries.names[i]);
        TRY_OUT(kind_of(w, sub, entries.names[i], &kind, e));
        TRY_OUT(list_file(w, kind, name, e));
    }
out:
    dir_list_free(&entries);
    return code;
}

/* A directory that nothing of ours can be in is foreign as a whole. */
static err_code list_directory(const walk *w, const char *dir, err *e)
{
    char name[OWN_NAME_BYTES];
    snprintf(name, sizeof name, "%s/", dir);
    if (!w->t->is_own(w->t->ctx, name)) {
        keep_foreign(w, dir);
        return OK;
    }
    const int sub = io_openat(w->t->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (sub < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s/%s: cannot open the directory", w->t->path, dir);
    }
    err_code code = OK;
    TRY_OUT(list_below(w, sub, dir, e));
    TRY_OUT(keep_own(w, name, e));
out:
    close(sub);
    return code;
}

static err_code list_entry(const walk *w, const char *entry, err *e)
{
    mode_t kind = 0;
    TRY(kind_of(w, w->t->fd, entry, &kind, e));
    return kind == S_IFDIR ? list_directory(w, entry, e) : list_file(w, kind, entry, e);
}

err_code own_tree_list(const own_tree *t, dir_list *out, char foreign[OWN_NAME_BYTES], err *e)
{
    const walk w = {t, foreign, out};
    dir_list entries = {0};
    err_code code = OK;
    foreign[0] = '\0';
    *out = (dir_list){0};
    TRY_OUT(dir_list_read_at(t->fd, t->path, &entries, e));
    for (size_t i = 0; i < entries.count; i++) {
        TRY_OUT(list_entry(&w, entries.names[i], e));
    }
    dir_list_sort(out);
out:
    dir_list_free(&entries);
    return code;
}

/* ---- removing -------------------------------------------------- */

bool own_name_is_directory(const char *name)
{
    const size_t bytes = strlen(name);
    return bytes > 0 && name[bytes - 1] == '/';
}

static err_code remove_entry(int fd, const char *path, const char *entry, const char *name,
                             int flags, err *e)
{
    return unlinkat(fd, entry, flags) == 0 || errno == ENOENT
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot remove %s", path, name);
}

static err_code remove_file(int fd, const char *path, const char *name, err *e)
{
    char dir[NAME_MAX + 1];
    const char *const file = own_name_split(name, dir);
    if (!file) {
        return remove_entry(fd, path, name, name, 0, e);
    }
    const int sub = io_openat(fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (sub < 0) {
        return errno == ENOENT
                   ? OK
                   : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot open the directory", path, dir);
    }
    const err_code code = remove_entry(sub, path, file, name, 0, e);
    close(sub);
    return code;
}

static err_code remove_directory(int fd, const char *path, const char *name, err *e)
{
    char dir[NAME_MAX + 1];
    return own_name_split(name, dir) ? remove_entry(fd, path, dir, name, AT_REMOVEDIR, e) : OK;
}

err_code own_tree_remove(int fd, const char *path, const dir_list *names, const char *last, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        const char *const name = names->names[i];
        const bool stays = own_name_is_directory(name) || (last && strcmp(name, last) == 0);
        TRY(stays ? OK : remove_file(fd, path, name, e));
    }
    for (size_t i = 0; i < names->count; i++) {
        const char *const name = names->names[i];
        TRY(own_name_is_directory(name) ? remove_directory(fd, path, name, e) : OK);
    }
    return OK;
}

void own_tree_remove_named(int fd, const char *const *names, size_t count)
{
    char dir[NAME_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        (void)remove_file(fd, "", names[i], NULL); /* what stays is found by the next run */
    }
    for (size_t i = 0; i < count; i++) {
        if (own_name_split(names[i], dir)) {
            (void)unlinkat(fd, dir, AT_REMOVEDIR); /* the same */
        }
    }
}

/* ---- making ---------------------------------------------------- */

const char *own_name_split(const char *name, char dir[NAME_MAX + 1])
{
    const char *const slash = strchr(name, '/');
    if (!slash || slash - name > NAME_MAX) {
        return NULL;
    }
    memcpy(dir, name, (size_t)(slash - name));
    dir[slash - name] = '\0';
    return slash + 1;
}

static err_code fill_new(int out, const char *path, const char *name, const void *data,
                         uint64_t bytes, err *e)
{
    const err_code code = io_write_at(out, name, 0, data, bytes, e);
    if (code != OK) {
        err_prefix(e, "%s", path);
        return code;
    }
    return io_sync(out) == 0 ? OK
                             : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot sync", path, name);
}

static err_code write_new(int fd, const char *path, const char *file, const char *name,
                          const void *data, uint64_t bytes, err *e)
{
    const int out = io_openat(fd, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (out < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s/%s: cannot create", path, name);
    }
    const err_code code = fill_new(out, path, name, data, bytes, e);
    const bool closed = close(out) == 0;
    return code != OK || closed
               ? code
               : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot write", path, name);
}

err_code own_tree_put(int fd, const char *path, const char *name, const void *data, uint64_t bytes,
                      err *e)
{
    char dir[NAME_MAX + 1];
    const char *const file = own_name_split(name, dir);
    if (!file) {
        return err_set(e, ERR_INTERNAL, "%s/%s: no directory in the name", path, name);
    }
    if (mkdirat(fd, dir, 0777) != 0 && errno != EEXIST) {
        return err_set_errno(e, ERR_IO, errno, "%s/%s: cannot create the directory", path, dir);
    }
    const int sub = io_openat(fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (sub < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s/%s: cannot open the directory", path, dir);
    }
    err_code code = OK;
    TRY_OUT(write_new(sub, path, file, name, data, bytes, e));
    code = part_sync_directory(sub, path, e);
out:
    close(sub);
    return code;
}
