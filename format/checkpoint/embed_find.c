#include "format/checkpoint/embed_find.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/checkpoint/embed_names.h"
#include "format/file/dir_list.h"
#include "format/file/io.h"

/* A directory of a checkpoint has fewer entries. One with more holds something else, and is named
 * instead of being listed. */
enum { ENTRIES_MAX = 1000 };

static err_code no_memory(const embed_search *s, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", s->out->from->path);
}

bool embed_is_directory(const char *name)
{
    const size_t bytes = strlen(name);
    return bytes > 0 && name[bytes - 1] == '/';
}

/* ---- files ----------------------------------------------------- */

/* What the globs of the command line say about a file; the last one that matches decides. */
static void apply_globs(const embed_search *s, embed_file *f)
{
    for (size_t i = 0; i < s->glob_count; i++) {
        if (embed_glob_match(s->globs[i].glob, f->name)) {
            f->embedded = s->globs[i].embed;
            f->matters = false;
        }
    }
}

/* The error for a file that cannot be opened: an archive has a more precise one. */
static err_code refuse_file(const checkpoint_dir *from, const embed_file *f, int failure, err *e)
{
    archive_place place;
    if (from->archive) {
        TRY(checkpoint_dir_find(from, f->name, &place, e));
    }
    return err_set_errno(e, ERR_IO, failure, "%s: cannot open", f->path);
}

static bool is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

/* Is it a link that leads nowhere, or where this user may not look? Any other failure says nothing
 * about the file: it must not disappear from what is reported. */
static bool is_dangling(const char *path, int failure)
{
    return failure == ENOENT || failure == ENOTDIR || failure == ELOOP ||
           (failure == EACCES && is_link(path));
}

/* Fill in what the file system says. *take: it is a regular file, or a link to one. A dangling link
 * matters only if it is chosen: then the checkpoint is incomplete. */
static err_code describe_file(const embed_search *s, embed_file *f, bool *take, err *e)
{
    struct stat st;
    const int failure = checkpoint_dir_stat(s->out->from, f->name, &st);
    *take = false;
    if (failure == ENOMEM) {
        return no_memory(s, e);
    }
    if (failure == EACCES && !f->embedded && is_link(f->path)) {
        *take = true; /* as a name: it may be a file that a loader needs */
        return OK;
    }
    if (failure != 0) {
        return f->embedded || !is_dangling(f->path, failure)
                   ? refuse_file(s->out->from, f, failure, e)
                   : OK;
    }
    f->bytes = (uint64_t)st.st_size;
    f->device = (uint64_t)st.st_dev;
    f->inode = (uint64_t)st.st_ino;
    *take = S_ISREG(st.st_mode);
    return OK;
}

/* Takes over the name and the path of `f`, also if it fails. */
static err_code append(const embed_search *s, embed_file *f, err *e)
{
    embed_list *const l = s->out;
    if (l->count == l->capacity) {
        const size_t more = l->capacity ? 2 * l->capacity : 64;
        embed_file *const grown = reallocarray(l->files, more, sizeof *grown);
        if (!grown) {
            return no_memory(s, e);
        }
        l->files = grown;
        l->capacity = more;
    }
    l->files[l->count++] = *f;
    *f = (embed_file){0};
    return OK;
}

/* Add the file of this name if it is a regular one; a name that ends in '/' is a directory. */
static err_code add_file(const embed_search *s, const char *name, err *e)
{
    const bool is_directory = embed_is_directory(name);
    const bool known = !is_directory && embed_name_known(name);
    embed_file f = {.name = strdup(name),
                    .path = io_join(s->out->from->path, name),
                    .known = known,
                    .matters = is_directory || embed_name_matters(name),
                    .embedded = known};
    bool take = is_directory;
    err_code code = OK;
    TRY_OUT(f.name && f.path ? OK : no_memory(s, e));
    TRY_OUT(monitor_step(s->monitor, 0, e)); /* there are files times globs */
    if (!is_directory) {
        apply_globs(s, &f);
        TRY_OUT(describe_file(s, &f, &take, e));
    }
    TRY_OUT(take ? append(s, &f, e) : OK);
out:
    free(f.name);
    free(f.path);
    return code;
}

/* ---- directories ----------------------------------------------- */

/* May something in this directory be embedded? */
static bool is_wanted(const embed_search *s, const char *dir)
{
    bool wanted = embed_name_enters(dir);
    for (size_t i = 0; i < s->glob_count && !wanted; i++) {
        wanted = s->globs[i].embed && embed_glob_enters(s->globs[i].glob, dir);
    }
    return wanted;
}

static err_code add_all(const embed_search *s, const char *prefix, const dir_list *names, err *e)
{
    for (size_t i = 0; i < names->count; i++) {
        char *name = NULL;
        if (embed_name_weights(names->names[i])) {
            continue;
        }
        if (asprintf(&name, "%s%s", prefix, names->names[i]) < 0) {
            return no_memory(s, e);
        }
        const err_code code = add_file(s, name, e);
        free(name);
        TRY(code);
    }
    return OK;
}

/* List a directory. *listed is false if it is not looked into: a link, one with too many entries, or
 * one that cannot be read, which is an error only if something in it may be embedded. */
static err_code list_directory(const embed_search *s, const char *dir, dir_list *names,
                               bool *listed, err *e)
{
    const bool wanted = is_wanted(s, dir);
    err failure = {0};
    TRY(checkpoint_dir_is_directory(s->out->from, dir, listed, e));
    if (!*listed) {
        return OK;
    }
    const err_code code = checkpoint_dir_list_below(s->out->from, dir, names, &failure);
    if (code != OK && (wanted || code != ERR_IO)) {
        return err_set(e, code, "%s", failure.text);
    }
    *listed = code == OK && (wanted || names->count <= ENTRIES_MAX);
    return OK;
}

static err_code add_directory(const embed_search *s, const char *dir, err *e)
{
    dir_list names = {0};
    char *prefix = NULL;
    bool listed = false;
    err_code code = OK;
    if (asprintf(&prefix, "%s/", dir) < 0) {
        return no_memory(s, e);
    }
    TRY_OUT(list_directory(s, dir, &names, &listed, e));
    TRY_OUT(listed ? add_all(s, prefix, &names, e) : add_file(s, prefix, e));
out:
    dir_list_free(&names);
    free(prefix);
    return code;
}

/* A directory about which the system says nothing, unless it is a dangling link. */
static err_code refuse_directory(const embed_search *s, const char *name, int failure, err *e)
{
    char *const path = failure == ENOMEM ? NULL : io_join(s->out->from->path, name);
    if (!path) {
        return no_memory(s, e);
    }
    const err_code code = is_dangling(path, failure)
                              ? OK
                              : err_set_errno(e, ERR_IO, failure, "%s: cannot stat", path);
    free(path);
    return code;
}

/* Directories whose names begin with a dot belong to version control and to downloads. Without
 * config.json nothing says that the others belong to the checkpoint, which may be a file in /tmp. */
static err_code add_directories(const embed_search *s, const dir_list *names, err *e)
{
    const bool is_checkpoint = dir_list_has(names, "config.json");
    for (size_t i = 0; i < names->count; i++) {
        struct stat st;
        const char *const name = names->names[i];
        if (name[0] == '.' || !(is_checkpoint || is_wanted(s, name))) {
            continue;
        }
        TRY(monitor_step(s->monitor, 0, e));
        const int failure = checkpoint_dir_stat(s->out->from, name, &st);
        TRY(failure == 0 ? OK : refuse_directory(s, name, failure, e));
        TRY(failure == 0 && S_ISDIR(st.st_mode) ? add_directory(s, name, e) : OK);
    }
    return OK;
}

static int compare_file(const void *a, const void *b)
{
    return strcmp(((const embed_file *)a)->name, ((const embed_file *)b)->name);
}

err_code embed_find(const embed_search *s, err *e)
{
    dir_list names = {0};
    err_code code = OK;
    TRY_OUT(checkpoint_dir_list(s->out->from, &names, e));
    TRY_OUT(add_all(s, "", &names, e));
    TRY_OUT(add_directories(s, &names, e));
    if (s->out->count > 1) {
        qsort(s->out->files, s->out->count, sizeof *s->out->files, compare_file);
    }
out:
    dir_list_free(&names);
    return code;
}
