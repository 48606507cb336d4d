#include "format/checkpoint/checkpoint_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/checkpoint/hub.h"
#include "format/file/file_kind.h"
#include "format/file/io.h"
#include "format/checkpoint/seen_files.h"
#include "format/checkpoint/shard_name.h"
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
    seen_files *const seen = seen_files_new();
    if (!f || !seen || !path || (archive && !top)) {
        seen_files_free(seen);
        free(f);
        free(path);
        free(top);
        return err_set(e, ERR_MEMORY, "no memory for the folder of a checkpoint");
    }
    *f = (checkpoint_dir){path, archive, top, seen};
    *out = f;
    return OK;
}

err_code checkpoint_dir_open_directory(const char *dir, checkpoint_dir **out, err *e)
{
    return make_folder(strdup(dir), NULL, NULL, out, e);
}

static bool is_weights(const char *name)
{
    return !strchr(name, '/') && (shard_is_candidate(name) || shard_is_index(name));
}

/* Copy the first component of a name that has several; "" if it has only one. */
static void top_of(const char *name, char *to, size_t capacity)
{
    const char *const slash = strchr(name, '/');
    snprintf(to, capacity, "%.*s", slash ? (int)(slash - name) : 0, name);
}

/* What torch.save writes is a zip archive, too. */
static err_code refuse_without_weights(const archive_index *b, err *e)
{
    for (size_t i = 0; i < b->count; i++) {
        const char *const slash = strrchr(b->members[i].name, '/');
        if (strcmp(slash ? slash + 1 : b->members[i].name, "data.pkl") == 0) {
            err_set(e, ERR_INPUT, "%s: weights pickled by PyTorch, not a checkpoint", b->path);
            err_hint(e, FILE_KIND_PICKLE_HINT);
            return ERR_INPUT;
        }
    }
    return err_set(e, ERR_INPUT,
                   "%s: not a checkpoint: no .safetensors file at its top or in a directory at its "
                   "top",
                   b->path);
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
        return refuse_without_weights(b, e);
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
        seen_files_free(f->seen);
        free(f);
    }
}

/* ---- names ----------------------------------------------------- */

/* "TOP/NAME" and what follows, the name of a member; NULL if memory is short. */
static char *member_name(const checkpoint_dir *f, const char *name, const char *end)
{
    char *member = NULL;
    return asprintf(&member, "%s%s%s", f->top, name, end) < 0 ? NULL : member;
}

/* The names of which `prefix`, "" or "DIR/", is the directory. Members are sorted, so those of one
 * name follow each other, except that names like "a.b" come between "a" and "a/x". */
static err_code list_archive(const checkpoint_dir *f, const char *prefix, dir_list *out, err *e)
{
    const archive_index *const b = f->archive;
    const size_t skip = strlen(prefix);
    for (size_t i = archive_first(b, prefix);
         i < b->count && strncmp(b->members[i].name, prefix, skip) == 0; i++) {
        char name[NAME_MAX + 1];
        const char *const found = b->members[i].name + skip;
        const size_t bytes = strcspn(found, "/");
        if (bytes > NAME_MAX) {
            continue; /* no file system could hold such a name either */
        }
        memcpy(name, found, bytes);
        name[bytes] = '\0';
        const bool repeated = out->count > 0 && strcmp(out->names[out->count - 1], name) == 0;
        if (!repeated && !dir_list_add(out, name)) {
            return no_memory(f->path, e);
        }
    }
    dir_list_sort(out);
    dir_list_drop_repeated(out);
    return OK;
}

err_code checkpoint_dir_list(const checkpoint_dir *f, dir_list *out, err *e)
{
    *out = (dir_list){0};
    return f->archive ? list_archive(f, f->top, out, e) : dir_list_read(f->path, out, e);
}

err_code checkpoint_dir_list_below(const checkpoint_dir *f, const char *dir, dir_list *out, err *e)
{
    char *path = NULL;
    err_code code = OK;
    *out = (dir_list){0};
    if (f->archive) {
        path = member_name(f, dir, "/");
        code = path ? list_archive(f, path, out, e) : no_memory(f->path, e);
    } else {
        path = io_join(f->path, dir);
        code = path ? dir_list_read(path, out, e) : no_memory(f->path, e);
    }
    free(path);
    return code;
}

/* ---- files ----------------------------------------------------- */

err_code checkpoint_dir_find(const checkpoint_dir *f, const char *name, archive_place *place,
                             err *e)
{
    char *const member = member_name(f, name, "");
    *place = (archive_place){0};
    const err_code code =
        member ? archive_find(f->archive, member, place, e) : no_memory(f->path, e);
    free(member);
    return code;
}

/* Are there members below the directory "DIR/"? An archive need not have one for itself. */
static bool has_below(const archive_index *b, const char *dir)
{
    const size_t i = archive_first(b, dir);
    return i < b->count && strncmp(b->members[i].name, dir, strlen(dir)) == 0;
}

static int stat_member(const checkpoint_dir *f, const char *name, struct stat *st)
{
    char *const member = member_name(f, name, "");
    char *const dir = member_name(f, name, "/");
    const archive_member *const m = member ? archive_member_of(f->archive, member) : NULL;
    const int failure = !member || !dir ? ENOMEM : m || has_below(f->archive, dir) ? 0 : ENOENT;
    free(member);
    free(dir);
    if (failure == 0) {
        *st = (struct stat){.st_mode = m && m->kind == ARCHIVE_FILE ? S_IFREG : S_IFDIR,
                            .st_size = m ? (off_t)m->bytes : 0,
                            .st_dev = (dev_t)f->archive->stamp.device,
                            .st_ino = (ino_t)f->archive->stamp.inode};
    }
    return failure;
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

err_code checkpoint_dir_is_directory(const checkpoint_dir *f, const char *name, bool *found, err *e)
{
    struct stat st;
    char *const path = f->archive ? member_name(f, name, "/") : io_join(f->path, name);
    *found = false;
    if (!path) {
        return no_memory(f->path, e);
    }
    err_code code = OK;
    if (f->archive) {
        *found = has_below(f->archive, path);
    } else if (lstat(path, &st) == 0) {
        *found = S_ISDIR(st.st_mode);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        code = err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    free(path);
    return code;
}

static err_code read_member(const checkpoint_dir *f, const char *name, size_t limit, char **data,
                            size_t *bytes, file_stamp *stamp, err *e)
{
    archive_place place;
    struct stat st;
    bool touched = false;
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
    TRY_OUT(io_open_read(place.file, &fd, &st, e));
    if (place.file == f->archive->path) { /* what was unpacked is nobody else's to change */
        *stamp = f->archive->stamp;
        TRY_OUT(file_stamp_check(stamp, &st, f->path, &touched, e));
    }
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

static err_code read_file(const char *path, size_t limit, char **data, size_t *bytes,
                          file_stamp *stamp, err *e)
{
    struct stat st;
    if (!path) {
        return err_set(e, ERR_MEMORY, "no memory for a path");
    }
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? OK : err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    return io_read_file_stamped(path, limit, data, bytes, stamp, e);
}

static err_code read_either(const checkpoint_dir *f, const char *name, size_t limit, char **data,
                            size_t *bytes, file_stamp *stamp, err *e)
{
    *data = NULL;
    *bytes = 0;
    if (f->archive) {
        return read_member(f, name, limit, data, bytes, stamp, e);
    }
    char *const path = io_join(f->path, name);
    const err_code code = read_file(path, limit, data, bytes, stamp, e);
    free(path);
    return code;
}

err_code checkpoint_dir_read(const checkpoint_dir *f, const char *name, size_t limit, char **data,
                             size_t *bytes, err *e)
{
    file_stamp stamp = {0};
    TRY(read_either(f, name, limit, data, bytes, &stamp, e));
    const bool may_change = *data && stamp.inode != 0;
    const err_code code = may_change ? seen_files_add(f->seen, name, &stamp, *data, *bytes, e) : OK;
    if (code != OK) {
        free(*data);
        *data = NULL;
    }
    return code;
}

/* ---- the end of the run ---------------------------------------- */

/* Read the file again and compare it with what was seen. */
static err_code compare_again(const checkpoint_dir *f, const seen_file *seen, const char *path,
                              err *e)
{
    char *data = NULL;
    size_t bytes = 0;
    file_stamp stamp;
    unsigned char xxh3[XXH3_BYTES];
    TRY(read_either(f, seen->name, seen->stamp.bytes, &data, &bytes, &stamp, e));
    digest_xxh3(data ? data : "", bytes, xxh3);
    const bool same = data && memcmp(xxh3, seen->xxh3, sizeof xxh3) == 0;
    free(data);
    return same ? OK : file_stamp_refuse(path, e);
}

/* `path` is that of the archive, if it is one. */
static err_code check_seen(const checkpoint_dir *f, const seen_file *seen, const char *path,
                           const monitor *m, err *e)
{
    struct stat now;
    bool touched = false;
    if (stat(path, &now) != 0) {
        const char *const what = errno == ENOENT ? "disappeared during the run" : "cannot stat";
        return err_set_errno(e, ERR_IO, errno, "%s: %s", path, what);
    }
    TRY(file_stamp_check(&seen->stamp, &now, path, &touched, e));
    if (touched) {
        TRY(compare_again(f, seen, path, e));
    }
    if (touched && !f->archive) { /* an archive has its note from the shards */
        file_stamp_note(m, path);
    }
    return OK;
}

/* What was read again and again was the same each time, and is looked at once. */
static err_code check_file(const checkpoint_dir *f, const seen_file *seen, const seen_file *before,
                           const monitor *m, err *e)
{
    const bool again = before && strcmp(before->name, seen->name) == 0;
    const bool same = !again || memcmp(before->xxh3, seen->xxh3, XXH3_BYTES) == 0;
    if (again && same) {
        return OK;
    }
    char *const path = f->archive ? strdup(f->archive->path) : io_join(f->path, seen->name);
    if (!path) {
        return no_memory(f->path, e);
    }
    const err_code code = same ? check_seen(f, seen, path, m, e) : file_stamp_refuse(path, e);
    free(path);
    return code;
}

err_code checkpoint_dir_unchanged(const checkpoint_dir *f, const monitor *m, err *e)
{
    size_t count = 0;
    const seen_file *const files = seen_files_sorted(f->seen, &count);
    for (size_t i = 0; files && i < count; i++) {
        TRY(check_file(f, &files[i], i > 0 ? &files[i - 1] : NULL, m, e));
    }
    return OK;
}
