#include "format/checkpoint/embed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/base/glob.h"
#include "format/file/io.h"
#include "format/file/dir_list.h"
#include "format/base/num.h"
#include "format/base/text_list.h"
#include "format/checkpoint/embed_names.h"
#include "format/file/file_kind.h"

static const uint64_t file_limit = 64 * MIB;

/* A Git LFS pointer has less than 1024 bytes, by its specification. */
enum { POINTER_LIMIT = 1023 };

/* What the globs of the command line say about a file; the last one that matches decides. */
static void apply_globs(const embed_glob *globs, size_t glob_count, embed_file *f)
{
    for (size_t i = 0; i < glob_count; i++) {
        if (glob_match(globs[i].glob, f->name)) {
            f->embedded = globs[i].embed;
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

/* Fill in what the file system says. *take: it is a regular file, or a link to one. A dangling link
 * matters only if it is chosen: then the checkpoint is incomplete. */
static err_code describe_file(const checkpoint_dir *from, embed_file *f, bool *take, err *e)
{
    struct stat st;
    const int failure = checkpoint_dir_stat(from, f->name, &st);
    *take = false;
    if (failure == ENOMEM) {
        return err_set(e, ERR_MEMORY, "%s: no memory", from->path);
    }
    if (failure != 0) {
        return f->embedded ? refuse_file(from, f, failure, e) : OK;
    }
    f->bytes = (uint64_t)st.st_size;
    f->device = (uint64_t)st.st_dev;
    f->inode = (uint64_t)st.st_ino;
    *take = S_ISREG(st.st_mode);
    return OK;
}

static err_code add_file(const char *name, const embed_glob *globs, size_t glob_count,
                         embed_list *out, err *e)
{
    const char *const dir = out->from->path;
    const bool known = embed_name_known(name);
    embed_file f = {.name = strdup(name),
                    .path = io_join(dir, name),
                    .known = known,
                    .matters = embed_name_matters(name),
                    .embedded = known};
    bool take = false;
    err_code code = OK;
    if (!f.name || !f.path) {
        code = err_set(e, ERR_MEMORY, "%s: no memory", dir);
        goto out;
    }
    apply_globs(globs, glob_count, &f);
    TRY_OUT(describe_file(out->from, &f, &take, e));
    if (take) {
        out->files[out->count++] = f;
        f = (embed_file){0};
    }
out:
    free(f.name);
    free(f.path);
    return code;
}

static err_code check_globs(const char *dir, const embed_glob *globs, size_t glob_count,
                            const embed_list *list, err *e)
{
    for (size_t g = 0; g < glob_count; g++) {
        const char *option = globs[g].embed ? "--embed" : "--no-embed";
        if (!glob_valid(globs[g].glob)) {
            return err_set(e, ERR_USAGE, "%s \"%s\": invalid glob", option, globs[g].glob);
        }
        bool matched = false;
        for (size_t i = 0; i < list->count && !matched; i++) {
            matched = glob_match(globs[g].glob, list->files[i].name);
        }
        if (!matched) {
            return err_set(e, ERR_USAGE, "%s \"%s\": matches no file in %s", option, globs[g].glob,
                           dir);
        }
    }
    return OK;
}

/* Checked before anything is read, so that no more than the archive may contain is ever in memory.
 */
static err_code check_files(const embed_list *list, err *e)
{
    uint64_t total = 0;
    for (size_t i = 0; i < list->count; i++) {
        const embed_file *f = &list->files[i];
        if (!f->embedded) {
            continue;
        }
        if (!member_name_valid(f->name)) {
            err_set(e, ERR_INPUT,
                    "%s: cannot be embedded: expected a name of at most 100 of the characters A-Z "
                    "a-z 0-9 . _ -",
                    f->path);
        } else if (f->bytes > file_limit) {
            err_set(e, ERR_INPUT,
                    "%s: cannot be embedded: expected at most %" PRIu64 " bytes, found %" PRIu64,
                    f->path, file_limit, f->bytes);
        } else if (!num_add(total, f->bytes, &total) || total > ARCHIVE_MAX_BYTES) {
            err_set(e, ERR_INPUT, "%s: cannot be embedded: more than %d bytes in total", f->path,
                    ARCHIVE_MAX_BYTES);
        } else {
            continue;
        }
        err_hint(e, "--no-embed GLOB excludes files");
        return ERR_INPUT;
    }
    return OK;
}

/* A pointer in place of a tokenizer would go unnoticed until a runtime reads it. */
static err_code check_pointers(const embed_list *list, err *e)
{
    for (size_t i = 0; i < list->count; i++) {
        const embed_file *const f = &list->files[i];
        char *data = NULL;
        size_t bytes = 0;
        if (!f->embedded || f->bytes > POINTER_LIMIT) {
            continue;
        }
        TRY(embed_read(list, i, (size_t)file_limit, &data, &bytes, e));
        const bool pointer = file_kind_is_pointer(data, bytes);
        free(data);
        if (pointer) {
            err_set(e, ERR_INPUT, "%s: a Git LFS pointer, not the file itself", f->path);
            err_hint(e, FILE_KIND_POINTER_HINT);
            return ERR_INPUT;
        }
    }
    return OK;
}

static err_code add_files(const dir_list *names, const embed_glob *globs, size_t glob_count,
                          embed_list *out, err *e)
{
    out->files = calloc(names->count + 1, sizeof *out->files);
    if (!out->files) {
        return err_set(e, ERR_MEMORY, "%s: no memory", out->from->path);
    }
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        if (!embed_name_weights(name)) {
            TRY(add_file(name, globs, glob_count, out, e));
        }
    }
    return OK;
}

err_code embed_choose(const checkpoint_dir *from, const embed_glob *globs, size_t glob_count,
                      embed_list *out, err *e)
{
    dir_list names;
    err_code code = OK;
    *out = (embed_list){.from = from};
    TRY_OUT(checkpoint_dir_list(from, &names, e));
    TRY_OUT(add_files(&names, globs, glob_count, out, e));
    TRY_OUT(check_globs(from->path, globs, glob_count, out, e));
    TRY_OUT(check_files(out, e));
    TRY_OUT(check_pointers(out, e));
out:
    dir_list_free(&names);
    if (code != OK) {
        embed_list_free(out);
    }
    return code;
}

void embed_note(const embed_list *list, const monitor *m)
{
    text_list names = {0};
    bool is_checkpoint = false;
    for (size_t i = 0; i < list->count; i++) {
        const embed_file *const f = &list->files[i];
        is_checkpoint |= strcmp(f->name, "config.json") == 0;
        if (f->matters) {
            text_list_add(&names, "%s", f->name);
        }
    }
    if (is_checkpoint && names.total > 0) {
        monitor_note(m, "%s: not embedded, add them with --embed if a loader needs them: %s",
                     list->from->path, text_list_end(&names));
    }
}

err_code embed_read(const embed_list *list, size_t i, size_t limit, char **data, size_t *bytes,
                    err *e)
{
    const embed_file *const f = &list->files[i];
    TRY(checkpoint_dir_read(list->from, f->name, limit, data, bytes, e));
    return *data ? OK : err_set_errno(e, ERR_IO, ENOENT, "%s: cannot open", f->path);
}

static err_code read_file(const embed_list *list, size_t i, member *m, err *e)
{
    const embed_file *const f = &list->files[i];
    TRY(embed_read(list, i, (size_t)file_limit, &m->data, &m->bytes, e));
    return m->bytes == f->bytes
               ? OK
               : err_set(e, ERR_IO,
                         "%s: changed during the run: expected %" PRIu64 " bytes, found %zu",
                         f->path, f->bytes, m->bytes);
}

err_code embed_pack(const embed_list *list, char **out, size_t *bytes, err *e)
{
    member *members = calloc(list->count + 1, sizeof *members);
    if (!members) {
        return err_set(e, ERR_MEMORY, "no memory for the embedded files");
    }
    err_code code = OK;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->files[i].embedded) {
            members[count].name = list->files[i].name;
            TRY_OUT(read_file(list, i, &members[count++], e));
        }
    }
    TRY_OUT(archive_pack(members, count, out, bytes, e));
out:
    /* The names belong to the list. */
    for (size_t i = 0; i < count; i++) {
        free(members[i].data);
    }
    free(members);
    return code;
}

void embed_list_free(embed_list *list)
{
    for (size_t i = 0; list->files && i < list->count; i++) {
        free(list->files[i].name);
        free(list->files[i].path);
    }
    free(list->files);
    *list = (embed_list){0};
}
