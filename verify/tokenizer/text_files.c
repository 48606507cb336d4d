#include "verify/tokenizer/text_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/base/text_list.h"
#include "format/file/io.h"

/* ---- names ----------------------------------------------------- */

static bool ends_with(const char *name, size_t bytes, const char *ending)
{
    const size_t length = strlen(ending);
    return bytes > length && memcmp(name + bytes - length, ending, length) == 0;
}

/* The length of the name without the ending of a compressed file. */
static size_t unpacked_length(const char *name)
{
    static const char *const endings[] = {".gz", ".zst", ".xz", ".bz2"};
    const size_t bytes = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (ends_with(name, bytes, endings[i])) {
            return bytes - strlen(endings[i]);
        }
    }
    return bytes;
}

bool text_files_is_lines(const char *path)
{
    const char *const name = io_basename(path);
    const size_t bytes = unpacked_length(name);
    return ends_with(name, bytes, ".jsonl") || ends_with(name, bytes, ".ndjson");
}

static bool is_text(const char *path)
{
    const char *const name = io_basename(path);
    const size_t bytes = unpacked_length(name);
    return text_files_is_lines(name) || ends_with(name, bytes, ".txt") ||
           ends_with(name, bytes, ".text") || ends_with(name, bytes, ".md");
}

/* ---- directories ----------------------------------------------- */

typedef struct walk {
    const char *top; /* without slashes at its end */
    const monitor *m;
    dir_list dirs, files; /* directories are read in the order in which they are found */
    size_t entries;
    text_list left_out;
} walk;

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory for the names in it", path);
}

static void leave_out(walk *w, const char *path, const char *why)
{
    text_list_add(&w->left_out, "%s%s", path + strlen(w->top) + (strcmp(w->top, "/") != 0), why);
}

/* A link: to a file; to nothing, which reading reports if it would be a text; or to something else. */
static err_code see_link(walk *w, const char *path, err *e)
{
    struct stat st;
    const bool leads = stat(path, &st) == 0;
    if (!leads && errno != ENOENT && errno != ELOOP && errno != ENOTDIR && errno != EACCES) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    if (is_text(path) && (!leads || S_ISREG(st.st_mode))) {
        return dir_list_add(&w->files, path) ? OK : no_memory(w->top, e);
    }
    leave_out(w, path, leads && S_ISDIR(st.st_mode) ? " (a link to a directory)" : "");
    return OK;
}

static err_code see_entry(walk *w, const char *path, err *e)
{
    struct stat st;
    if (++w->entries > TEXT_FILES_MAX) {
        return err_set(e, ERR_INPUT, "%s: more than %d files and directories", w->top,
                       TEXT_FILES_MAX);
    }
    if (lstat(path, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    if (S_ISLNK(st.st_mode)) {
        return see_link(w, path, e);
    }
    if (S_ISDIR(st.st_mode)) {
        return dir_list_add(&w->dirs, path) ? OK : no_memory(w->top, e);
    }
    if (S_ISREG(st.st_mode) && is_text(path)) {
        return dir_list_add(&w->files, path) ? OK : no_memory(w->top, e);
    }
    leave_out(w, path, S_ISREG(st.st_mode) ? "" : " (not a file)");
    return OK;
}

static err_code see_dir(walk *w, const char *dir, err *e)
{
    dir_list names;
    err_code code = OK;
    TRY_OUT(dir_list_read(dir, &names, e));
    for (size_t i = 0; i < names.count; i++) {
        TRY_OUT(monitor_step(w->m, i, e));
        char *const path = io_join(dir, names.names[i]);
        TRY_OUT(path ? OK : no_memory(dir, e));
        code = see_entry(w, path, e);
        free(path);
        if (code != OK) {
            goto out;
        }
    }
out:
    dir_list_free(&names);
    return code;
}

static err_code add_all(const walk *w, dir_list *out, err *e)
{
    if (w->files.count == 0) {
        err_set(e, ERR_INPUT, "%s: no texts in this directory", w->top);
        err_hint(e, "in a directory, the names of texts end in %s, also with %s after that",
                 TEXT_FILES_ENDINGS, TEXT_FILES_PACKED_ENDINGS);
        return ERR_INPUT;
    }
    for (size_t i = 0; i < w->files.count; i++) {
        if (!dir_list_add(out, w->files.names[i])) {
            return no_memory(w->top, e);
        }
    }
    return OK;
}

static err_code walk_dir(const char *path, const monitor *m, dir_list *out, err *e)
{
    char *const top = io_without_slashes(path);
    walk w = {.top = top, .m = m};
    err_code code = OK;
    TRY_OUT(top && dir_list_add(&w.dirs, top) ? OK : no_memory(path, e));
    for (size_t i = 0; i < w.dirs.count; i++) {
        TRY_OUT(see_dir(&w, w.dirs.names[i], e));
    }
    dir_list_sort(&w.files);
    TRY_OUT(add_all(&w, out, e));
    if (w.left_out.total > 0) {
        monitor_note(m, "%s: %zu left out, not named like texts: %s", top, w.left_out.total,
                     text_list_end(&w.left_out));
    }
out:
    dir_list_free(&w.dirs);
    dir_list_free(&w.files);
    free(top);
    return code;
}

/* ---- the command line ------------------------------------------ */

static err_code check_file(const char *path, err *e)
{
    int fd = -1;
    TRY(io_open_read(path, &fd, NULL, e));
    close(fd); /* it was not written */
    return OK;
}

/* Opening says more about a name that does not exist: it may be a link to nothing. */
static err_code find_path(const char *path, const monitor *m, dir_list *out, err *e)
{
    struct stat st = {0};
    if (stat(path, &st) != 0 && errno != ENOENT) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot stat", path);
    }
    if (S_ISDIR(st.st_mode)) {
        return walk_dir(path, m, out, e);
    }
    TRY(check_file(path, e));
    return dir_list_add(out, path) ? OK : no_memory(path, e);
}

static err_code find_one(const char *path, bool *standard, const monitor *m, dir_list *out, err *e)
{
    if (strcmp(path, "-") != 0) {
        return find_path(path, m, out, e);
    }
    if (*standard) {
        return err_set(e, ERR_USAGE, "--text -: standard input can be read only once");
    }
    *standard = true;
    return dir_list_add(out, path) ? OK : no_memory(path, e);
}

/* A field that nothing has would be ignored. */
static err_code check_field(const dir_list *files, err *e)
{
    for (size_t i = 0; i < files->count; i++) {
        if (text_files_is_lines(files->names[i])) {
            return OK;
        }
    }
    return err_set(e, ERR_USAGE,
                   "--text-field requires a text whose name ends in .jsonl or .ndjson");
}

err_code text_files_find(const char *const *paths, size_t count, const char *field,
                         const monitor *m, dir_list *out, err *e)
{
    bool standard = false;
    *out = (dir_list){0};
    for (size_t i = 0; i < count; i++) {
        TRY(find_one(paths[i], &standard, m, out, e));
    }
    return field ? check_field(out, e) : OK;
}
