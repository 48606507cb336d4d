#include "format/checkpoint/checkpoint_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/checkpoint/hub.h"
#include "format/file/io.h"
#include "format/checkpoint/shard_index.h"
#include "format/checkpoint/shard_locate.h"
#include "format/base/text_list.h"

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
}

/* ---- opening --------------------------------------------------- */

/* Takes over `path` and `top`, also if it fails; `archive` only if it succeeds. */
static err_code make_folder(char *path, archive_index *archive, char *top, checkpoint_dir **out,
                            err *e)
{
    checkpoint_dir *const f = calloc(1, sizeof *f);
    if (!f || !path || (archive && !top)) {
        free(f);
        free(path);
        free(top);
        return err_set(e, ERR_MEMORY, "no memory for the folder of a checkpoint");
    }
    *f = (checkpoint_dir){path, archive, top};
    *out = f;
    return OK;
}

err_code checkpoint_dir_open_directory(const char *dir, checkpoint_dir **out, err *e)
{
    return make_folder(strdup(dir), NULL, NULL, out, e);
}

static bool is_weights(const char *name)
{
    return !strchr(name, '/') && (shard_is_candidate(name) || strcmp(name, SHARD_INDEX_NAME) == 0);
}

/* Copy the first component of a name that has several; "" if it has only one. */
static void top_of(const char *name, char *to, size_t capacity)
{
    const char *const slash = strchr(name, '/');
    snprintf(to, capacity, "%.*s", slash ? (int)(slash - name) : 0, name);
}

/* Members are sorted, so those below one directory follow each other; names like "a.b", between "a"
 * and "a/x", are not below a directory. */
static err_code find_top(const archive_index *b, char **top, err *e)
{
    enum { CAPACITY = 4096 + 1 };
    char only[CAPACITY] = "";
    char dir[CAPACITY];
    text_list found = {0};
    for (size_t i = 0; i < b->count; i++) {
        const archive_member *const m = &b->members[i];
        top_of(m->name, dir, sizeof dir);
        const char *const name = m->name + strlen(dir) + (dir[0] != '\0');
        if (m->kind == ARCHIVE_DIRECTORY || !is_weights(name)) {
            continue;
        }
        if (dir[0] == '\0') {
            *top = strdup("");
            return *top ? OK : no_memory(b->path, e);
        }
        if (strcmp(dir, only) != 0) {
            text_list_add(&found, "%s", dir);
            snprintf(only, sizeof only, "%s", dir);
        }
    }
    if (found.total == 0) {
        return err_set(e, ERR_INPUT,
                       "%s: not a checkpoint: no .safetensors file at its top or in a directory "
                       "at its top",
                       b->path);
    }
    if (found.total > 1) {
        return err_set(e, ERR_INPUT, "%s: %zu directories with .safetensors files: %s", b->path,
                       found.total, text_list_end(&found));
    }
    return asprintf(top, "%s/", only) < 0 ? no_memory(b->path, e) : OK;
}

static err_code open_archive(const char *path, const monitor *m, checkpoint_dir **out, err *e)
{
    archive_index *archive = NULL;
    char *top = NULL;
    err_code code = OK;
    TRY(archive_open(path, m, &archive, e));
    TRY_OUT(find_top(archive, &top, e));
    char *const shown = top[0] ? io_join(path, top) : strdup(path);
    if (shown && top[0]) {
        shown[strlen(shown) - 1] = '\0'; /* the slash */
    }
    TRY_OUT(make_folder(shown, archive, top, out, e));
    archive = NULL;
out:
    archive_close(archive);
    return code;
}

err_code checkpoint_dir_open(const char *path, const monitor *m, checkpoint_dir **out, err *e)
{
    struct stat st;
    *out = NULL;
    if (stat(path, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        return open_archive(path, m, out, e);
    }
    char *dir = NULL;
    TRY(hub_resolve(path, &dir, e));
    return make_folder(dir, NULL, NULL, out, e);
}

void checkpoint_dir_close(checkpoint_dir *f)
{
    if (f) {
        archive_close(f->archive);
        free(f->path);
        free(f->top);
        free(f);
    }
}

/* ---- names ----------------------------------------------------- */

static int compare_name(const void *a, const void *b)
{
    char *const *x = a;
    char *const *y = b;
    return strcmp(*x, *y);
}

/* The part of a member's name after the top, if it is a single component; else NULL. */
static const char *name_at_top(const checkpoint_dir *f, const char *member)
{
    const size_t bytes = strlen(f->top);
    const char *const name = strncmp(member, f->top, bytes) == 0 ? member + bytes : NULL;
    return name && *name && !strchr(name, '/') ? name : NULL;
}

static err_code list_archive(const checkpoint_dir *f, dir_list *out, err *e)
{
    const archive_index *const b = f->archive;
    out->names = calloc(b->count + 1, sizeof *out->names);
    if (!out->names) {
        return no_memory(f->path, e);
    }
    for (size_t i = 0; i < b->count; i++) {
        const char *const name = name_at_top(f, b->members[i].name);
        if (name) {
            char *const copy = strdup(name);
            if (!copy) {
                return no_memory(f->path, e);
            }
            out->names[out->count++] = copy;
        }
    }
    qsort(out->names, out->count, sizeof *out->names, compare_name);
    return OK;
}

err_code checkpoint_dir_list(const checkpoint_dir *f, dir_list *out, err *e)
{
    *out = (dir_list){0};
    return f->archive ? list_archive(f, out, e) : dir_list_read(f->path, out, e);
}

/* ---- files ----------------------------------------------------- */

err_code checkpoint_dir_find(const checkpoint_dir *f, const char *name, archive_place *place,
                             err *e)
{
    char *member = NULL;
    *place = (archive_place){0};
    if (asprintf(&member, "%s%s", f->top, name) < 0) {
        return no_memory(f->path, e);
    }
    const err_code code = archive_find(f->archive, member, place, e);
    free(member);
    return code;
}

static int stat_member(const checkpoint_dir *f, const char *name, struct stat *st)
{
    char *member = NULL;
    if (asprintf(&member, "%s%s", f->top, name) < 0) {
        return ENOMEM;
    }
    const archive_member *const m = archive_member_of(f->archive, member);
    free(member);
    if (!m) {
        return ENOENT;
    }
    *st = (struct stat){.st_mode = m->kind == ARCHIVE_FILE ? S_IFREG : S_IFDIR,
                        .st_size = (off_t)m->bytes,
                        .st_dev = (dev_t)f->archive->device,
                        .st_ino = (ino_t)f->archive->inode};
    return 0;
}

int checkpoint_dir_stat(const checkpoint_dir *f, const char *name, struct stat *st)
{
    if (f->archive) {
        return stat_member(f, name, st);
    }
    char *const path = io_join(f->path, name);
    const int failure = !path ? ENOMEM : stat(path, st) != 0 ? errno : 0;
    free(path);
    return failure;
}

static err_code read_member(const checkpoint_dir *f, const char *name, size_t limit, char **data,
                            size_t *bytes, err *e)
{
    archive_place place;
    int fd = -1;
    err_code code = OK;
    TRY(checkpoint_dir_find(f, name, &place, e));
    if (!place.file) {
        return OK;
    }
    if (place.bytes > limit) {
        return err_set(e, ERR_INPUT, "%s/%s: %" PRIu64 " bytes, more than the limit of %zu",
                       f->path, name, place.bytes, limit);
    }
    char *text = malloc(place.bytes + 1);
    if (!text) {
        return no_memory(f->path, e);
    }
    TRY_OUT(io_open_read(place.file, &fd, NULL, e));
    TRY_OUT(io_read_at(fd, f->path, place.base, text, place.bytes, e));
    text[place.bytes] = '\0';
    *data = text;
    *bytes = place.bytes;
    text = NULL;
out:
    if (fd >= 0) {
        close(fd);
    }
    free(text);
    return code;
}

static err_code read_file(const char *path, size_t limit, char **data, size_t *bytes, err *e)
{
    struct stat st;
    if (!path) {
        return err_set(e, ERR_MEMORY, "no memory for a path");
    }
    if (lstat(path, &st) != 0 && errno == ENOENT) {
        return OK;
    }
    return io_read_file(path, limit, data, bytes, e);
}

err_code checkpoint_dir_read(const checkpoint_dir *f, const char *name, size_t limit, char **data,
                             size_t *bytes, err *e)
{
    *data = NULL;
    *bytes = 0;
    if (f->archive) {
        return read_member(f, name, limit, data, bytes, e);
    }
    char *const path = io_join(f->path, name);
    const err_code code = read_file(path, limit, data, bytes, e);
    free(path);
    return code;
}
