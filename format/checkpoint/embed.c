#include "format/checkpoint/embed.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/file/io.h"
#include "format/base/num.h"
#include "format/base/text_list.h"
#include "format/checkpoint/embed_find.h"
#include "format/checkpoint/embed_names.h"
#include "format/file/file_kind.h"

static const uint64_t file_limit = 64 * MIB;

/* A Git LFS pointer has less than 1024 bytes, by its specification. */
enum { POINTER_LIMIT = 1023 };

static err_code check_globs(const embed_search *s, err *e)
{
    const embed_list *const list = s->out;
    for (size_t g = 0; g < s->glob_count; g++) {
        const embed_glob *const of = &s->globs[g];
        const char *const option = of->embed ? "--embed" : "--no-embed";
        if (!glob_valid(of->glob)) {
            return err_set(e, ERR_USAGE, "%s \"%s\": invalid glob", option, of->glob);
        }
        TRY(monitor_step(s->monitor, 0, e));
        bool matched = false;
        for (size_t i = 0; i < list->count && !matched; i++) {
            const char *const name = list->files[i].name;
            matched = !embed_is_directory(name) && embed_glob_match(of->glob, name);
        }
        if (!matched) {
            return err_set(e, ERR_USAGE, "%s \"%s\": matches no file in %s", option, of->glob,
                           list->from->path);
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
            err_set(e, ERR_INPUT, "%s: cannot be embedded: expected " MEMBER_NAME_RULE, f->path);
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

err_code embed_choose(const checkpoint_dir *from, const embed_glob *globs, size_t glob_count,
                      const monitor *m, embed_list *out, err *e)
{
    const embed_search search = {globs, glob_count, m, out};
    err_code code = OK;
    *out = (embed_list){.from = from};
    TRY_OUT(embed_find(&search, e));
    TRY_OUT(check_globs(&search, e));
    TRY_OUT(check_files(out, e));
    TRY_OUT(check_pointers(out, e));
out:
    if (code != OK) {
        embed_list_free(out);
    }
    return code;
}

/* How many files that matter are in the directory of file `i`, from there on; *next: the first file
 * after them. A file at the top is counted alone. */
static size_t count_together(const embed_list *list, size_t i, size_t *next)
{
    const char *const first = list->files[i].name;
    const char *const slash = strchr(first, '/');
    const size_t dir_bytes = slash ? (size_t)(slash - first) + 1 : 0;
    size_t count = list->files[i].matters;
    *next = i + 1;
    while (slash && *next < list->count &&
           strncmp(list->files[*next].name, first, dir_bytes) == 0) {
        count += list->files[(*next)++].matters;
    }
    return count;
}

static void add_together(text_list *names, const embed_list *list, size_t i, size_t next,
                         size_t count)
{
    while (i < next && !list->files[i].matters) {
        i++;
    }
    const char *const name = list->files[i < next ? i : i - 1].name;
    if (count == 1) {
        text_list_add(names, "%s", name);
    } else if (count > 1) {
        text_list_add(names, "%.*s (%zu files)", (int)strcspn(name, "/") + 1, name, count);
    }
}

void embed_note(const embed_list *list, const monitor *m)
{
    text_list names = {0};
    bool is_checkpoint = false;
    for (size_t i = 0, next = 0; i < list->count; i = next) {
        const size_t count = count_together(list, i, &next);
        is_checkpoint |= strcmp(list->files[i].name, "config.json") == 0;
        add_together(&names, list, i, next, count);
    }
    if (is_checkpoint && names.total > 0) {
        monitor_note(m, "%s: not embedded; if a loader needs them, add them with --embed: %s",
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
