#include "format/output/own_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/file/io.h"
#include "format/output/part.h"

/* ---- visiting -------------------------------------------------- */

typedef struct walk {
    const own_tree *t;
    own_visit visit;
    const char *last;
    char *foreign;
    dir_list *names; /* NULL: nobody wants them */
} walk;

static void keep_foreign(const walk *w, const char *name)
{
    if (w->foreign[0] == '\0' || strcmp(name, w->foreign) < 0) {
        snprintf(w->foreign, OWN_NAME_BYTES, "%s", name);
    }
}

static err_code remove_entry(const walk *w, int fd, const char *entry, const char *name, int flags,
                             err *e)
{
    return unlinkat(fd, entry, flags) == 0
               ? OK
               : err_set_errno(e, ERR_IO, errno, "%s: cannot remove %s", w->t->path, name);
}

/* A file of ours, `entry` in the directory `fd`. */
static err_code take_file(const walk *w, int fd, const char *entry, const char *name, err *e)
{
    if (w->names && !dir_list_add(w->names, name)) {
        return err_set(e, ERR_MEMORY, "%s: no memory for the names in it", w->t->path);
    }
    const bool stays = w->visit == OWN_CHECK || (w->last && strcmp(name, w->last) == 0);
    return stays ? OK : remove_entry(w, fd, entry, name, 0, e);
}

static mode_t kind_of(int fd, const char *entry)
{
    struct stat st;
    return fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

static err_code visit_below(const walk *w, int sub, const char *dir, bool *clean, err *e)
{
    dir_list entries = {0};
    err_code code = OK;
    TRY_OUT(dir_list_read_at(sub, w->t->path, &entries, e));
    for (size_t i = 0; i < entries.count; i++) {
        char name[OWN_NAME_BYTES];
        snprintf(name, sizeof name, "%s/%s", dir, entries.names[i]);
        if (kind_of(sub, entries.names[i]) == S_IFREG && w->t->is_own(w->t->ctx, name)) {
            TRY_OUT(take_file(w, sub, entries.names[i], name, e));
        } else {
            *clean = false;
            keep_foreign(w, name);
        }
    }
out:
    dir_list_free(&entries);
    return code;
}

/* A directory that nothing of ours can be in is foreign as a whole. */
static err_code visit_directory(const walk *w, const char *dir, err *e)
{
    char name[OWN_NAME_BYTES];
    snprintf(name, sizeof name, "%s/", dir);
    if (!w->t->is_own(w->t->ctx, name)) {
        keep_foreign(w, dir);
        return OK;
    }
    const int sub = openat(w->t->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (sub < 0) {
        return err_set_errno(e, ERR_IO, errno, "%s/%s: cannot open the directory", w->t->path, dir);
    }
    bool clean = true;
    const err_code code = visit_below(w, sub, dir, &clean, e);
    close(sub);
    TRY(code);
    return clean && w->visit == OWN_REMOVE ? remove_entry(w, w->t->fd, dir, dir, AT_REMOVEDIR, e)
                                           : OK;
}

static err_code visit_entry(const walk *w, const char *entry, err *e)
{
    const mode_t kind = kind_of(w->t->fd, entry);
    if (kind == S_IFDIR) {
        return visit_directory(w, entry, e);
    }
    if (kind == S_IFREG && w->t->is_own(w->t->ctx, entry)) {
        return take_file(w, w->t->fd, entry, entry, e);
    }
    keep_foreign(w, entry);
    return OK;
}

static err_code visit_all(const walk *w, err *e)
{
    dir_list entries = {0};
    err_code code = OK;
    w->foreign[0] = '\0';
    TRY_OUT(dir_list_read_at(w->t->fd, w->t->path, &entries, e));
    for (size_t i = 0; i < entries.count; i++) {
        TRY_OUT(visit_entry(w, entries.names[i], e));
    }
out:
    dir_list_free(&entries);
    return code;
}

err_code own_tree_visit(const own_tree *t, own_visit visit, const char *last,
                        char foreign[OWN_NAME_BYTES], err *e)
{
    const walk w = {t, visit, last, foreign, NULL};
    return visit_all(&w, e);
}

err_code own_tree_list(const own_tree *t, dir_list *out, err *e)
{
    char foreign[OWN_NAME_BYTES];
    const walk w = {t, OWN_CHECK, NULL, foreign, out};
    *out = (dir_list){0};
    TRY(visit_all(&w, e));
    dir_list_sort(out);
    return OK;
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
    return fsync(out) == 0 ? OK : err_set_errno(e, ERR_IO, errno, "%s/%s: cannot sync", path, name);
}

static err_code write_new(int fd, const char *path, const char *file, const char *name,
                          const void *data, uint64_t bytes, err *e)
{
    const int out = openat(fd, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
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
    const int sub = openat(fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
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
