#include "format/checkpoint/shard_locate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/checkpoint/checkpoint_dir.h"
#include "format/file/io.h"
#include "format/json/json.h"
#include "format/file/dir_list.h"
#include "format/base/text_list.h"

typedef struct search {
    checkpoint *cp;
    const monitor *m;
    shard_index *index;
} search;

static err_code no_memory(const char *path, err *e)
{
    return err_set(e, ERR_MEMORY, "%s: no memory", path);
}

static err_code prepare_shards(checkpoint *cp, size_t count, err *e)
{
    cp->shards = calloc(count, sizeof *cp->shards);
    if (!cp->shards) {
        return no_memory(cp->dir, e);
    }
    cp->shard_count = count;
    return OK;
}

/* Takes `path`, which may be NULL for want of memory. What an archive lacks has no file, and a path
 * that leads nowhere. */
static err_code set_shard(checkpoint *cp, size_t i, const char *name, char *path, err *e)
{
    shard *const s = &cp->shards[i];
    archive_place place = {0};
    s->name = strdup(name);
    s->path = path;
    if (!s->name || !path) {
        return no_memory(cp->dir, e);
    }
    const err_code code =
        cp->folder->archive ? checkpoint_dir_find(cp->folder, name, &place, e) : OK;
    if (code == OK && place.file) {
        s->file = strdup(place.file);
        s->base = place.base;
        s->bytes = place.bytes;
    }
    return code == OK && place.file && !s->file ? no_memory(cp->dir, e) : code;
}

static err_code set_only_shard(checkpoint *cp, const char *name, err *e)
{
    const err_code code = prepare_shards(cp, 1, e);
    return code == OK ? set_shard(cp, 0, name, io_join(cp->dir, name), e) : code;
}

static err_code read_index(const checkpoint_dir *f, shard_index *out, err *e)
{
    json_t *json = NULL;
    char *text = NULL;
    size_t bytes = 0;
    char *path = io_join(f->path, SHARD_INDEX_NAME);
    err_code code =
        path ? checkpoint_dir_read(f, SHARD_INDEX_NAME, JSON_FILE_LIMIT, &text, &bytes, e)
             : no_memory(f->path, e);
    if (code == OK && !text) {
        code = err_set(e, ERR_IO, "%s: gone meanwhile", path);
    }
    if (code == OK) {
        code = json_parse(path, text, bytes, false, &json, e);
    }
    free(text);
    if (code == OK) {
        code = shard_index_build(path, json, out, e);
    }
    json_decref(json);
    free(path);
    return code;
}

static err_code set_indexed_shards(const search *s, err *e)
{
    err_code code = read_index(s->cp->folder, s->index, e);
    if (code == OK) {
        code = prepare_shards(s->cp, s->index->shard_count, e);
    }
    for (size_t i = 0; i < s->cp->shard_count && code == OK; i++) {
        const char *name = s->index->shards[i];
        code = set_shard(s->cp, i, name, io_join(s->cp->dir, name), e);
    }
    return code;
}

bool shard_is_candidate(const char *name)
{
    static const char suffix[] = ".safetensors";
    const size_t bytes = strlen(name);
    return name[0] != '.' && bytes >= sizeof suffix &&
           strcmp(name + bytes - (sizeof suffix - 1), suffix) == 0;
}

/* Without index and model.safetensors: there must be one candidate. */
static err_code set_only_candidate(const search *s, const dir_list *l, err *e)
{
    text_list names = {0};
    const char *only = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (shard_is_candidate(l->names[i])) {
            only = l->names[i];
            text_list_add(&names, "%s", only);
        }
    }
    if (names.total == 1) {
        return set_only_shard(s->cp, only, e);
    }
    if (!only) {
        return err_set(e, ERR_INPUT, "%s: no checkpoint: there is no .safetensors file",
                       s->cp->dir);
    }
    err_set(e, ERR_INPUT, "%s: %zu .safetensors files and no %s that says which to use: %s",
            s->cp->dir, names.total, SHARD_INDEX_NAME, text_list_end(&names));
    err_hint(e, "name the file itself");
    return ERR_INPUT;
}

static int compare_shard(const void *key, const void *element)
{
    const shard *candidate = element;
    return strcmp(key, candidate->name);
}

/* They may belong to the checkpoint and be missing from the index, or be something else: the user
 * has to know. */
static void note_ignored(const search *s, const dir_list *l)
{
    const checkpoint *cp = s->cp;
    text_list ignored = {0};
    for (size_t i = 0; i < l->count; i++) {
        if (shard_is_candidate(l->names[i]) &&
            !bsearch(l->names[i], cp->shards, cp->shard_count, sizeof *cp->shards, compare_shard)) {
            text_list_add(&ignored, "%s", l->names[i]);
        }
    }
    if (ignored.total > 0) {
        monitor_note(s->m, "%s: not part of the checkpoint, ignored: %s", cp->dir,
                     text_list_end(&ignored));
    }
}

/* The folder, and its path. */
static err_code take_folder(const search *s, err_code code, err *e)
{
    if (code == OK) {
        s->cp->dir = strdup(s->cp->folder->path);
        code = s->cp->dir ? OK : no_memory(s->cp->folder->path, e);
    }
    return code;
}

static err_code locate_in_folder(const search *s, const char *path, err *e)
{
    dir_list l;
    err_code code = take_folder(s, checkpoint_dir_open(path, s->m, &s->cp->folder, e), e);
    if (code != OK) {
        return code;
    }
    code = checkpoint_dir_list(s->cp->folder, &l, e);
    if (code == OK) {
        if (dir_list_has(&l, SHARD_INDEX_NAME)) {
            code = set_indexed_shards(s, e);
        } else if (dir_list_has(&l, "model.safetensors")) {
            code = set_only_shard(s->cp, "model.safetensors", e);
        } else {
            code = set_only_candidate(s, &l, e);
        }
    }
    if (code == OK) {
        note_ignored(s, &l);
    }
    dir_list_free(&l);
    return code;
}

static err_code locate_file(const search *s, const char *path, err *e)
{
    const char *name = io_basename(path);
    const size_t before = (size_t)(name - path);
    char *const dir = before == 0 ? strdup(".") : strndup(path, before > 1 ? before - 1 : 1);
    err_code code =
        dir ? checkpoint_dir_open_directory(dir, &s->cp->folder, e) : no_memory(path, e);
    free(dir);
    code = take_folder(s, code, e);
    if (code == OK) {
        code = prepare_shards(s->cp, 1, e);
    }
    return code == OK ? set_shard(s->cp, 0, name, strdup(path), e) : code;
}

err_code shard_locate(const char *path, const monitor *m, checkpoint *cp, shard_index *index,
                      err *e)
{
    const search s = {cp, m, index};
    struct stat st;
    if (stat(path, &st) != 0) {
        return err_set_errno(e, ERR_IO, errno, "%s: cannot open", path);
    }
    bool is_folder = S_ISDIR(st.st_mode);
    const err_code code = is_folder ? OK : archive_probe(path, &is_folder, e);
    if (code != OK) {
        return code;
    }
    return is_folder ? locate_in_folder(&s, path, e) : locate_file(&s, path, e);
}
