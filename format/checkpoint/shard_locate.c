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

/* Takes over `path`, which may be NULL if memory is short. A shard that is missing from an archive
 * has no file, only a path that does not exist. */
static err_code set_shard(checkpoint *cp, size_t i, const char *name, char *path, err *e)
{
    shard *const s = &cp->shards[i];
    archive_place place = {0};
    s->name = strdup(name);
    s->path = path;
    if (!s->name || !path) {
        return no_memory(cp->dir, e);
    }
    if (!cp->folder->archive) {
        return OK;
    }
    TRY(checkpoint_dir_find(cp->folder, name, &place, e));
    if (place.file) {
        s->file = strdup(place.file);
        s->base = place.base;
        s->bytes = place.bytes;
    }
    return place.file && !s->file ? no_memory(cp->dir, e) : OK;
}

static err_code set_only_shard(checkpoint *cp, const char *name, err *e)
{
    TRY(prepare_shards(cp, 1, e));
    return set_shard(cp, 0, name, io_join(cp->dir, name), e);
}

static err_code parse_index(const checkpoint_dir *f, const char *path, json_t **out, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    TRY(checkpoint_dir_read(f, SHARD_INDEX_NAME, JSON_FILE_LIMIT, &text, &bytes, e));
    const err_code code = text ? json_parse(path, text, bytes, JSON_EXACT, out, e)
                               : err_set(e, ERR_IO, "%s: disappeared during the run", path);
    free(text);
    return code;
}

static err_code read_index(const checkpoint_dir *f, shard_index *out, err *e)
{
    json_t *json = NULL;
    err_code code = OK;
    char *path = io_join(f->path, SHARD_INDEX_NAME);
    if (!path) {
        return no_memory(f->path, e);
    }
    TRY_OUT(parse_index(f, path, &json, e));
    TRY_OUT(shard_index_build(path, json, out, e));
out:
    json_decref(json);
    free(path);
    return code;
}

static err_code set_indexed_shards(const search *s, err *e)
{
    TRY(read_index(s->cp->folder, s->index, e));
    TRY(prepare_shards(s->cp, s->index->shard_count, e));
    for (size_t i = 0; i < s->cp->shard_count; i++) {
        const char *name = s->index->shards[i];
        TRY(set_shard(s->cp, i, name, io_join(s->cp->dir, name), e));
    }
    return OK;
}

bool shard_is_candidate(const char *name)
{
    static const char suffix[] = ".safetensors";
    const size_t bytes = strlen(name);
    return name[0] != '.' && bytes >= sizeof suffix &&
           strcmp(name + bytes - (sizeof suffix - 1), suffix) == 0;
}

/* Without an index and model.safetensors there must be exactly one candidate. */
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
        return err_set(e, ERR_INPUT, "%s: not a checkpoint: no .safetensors file", s->cp->dir);
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

/* Other .safetensors files may belong to the checkpoint and be missing from the index, or be
 * something else: the user should know. */
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

static err_code set_dir(const search *s, err *e)
{
    s->cp->dir = strdup(s->cp->folder->path);
    return s->cp->dir ? OK : no_memory(s->cp->folder->path, e);
}

static err_code set_shards(const search *s, const dir_list *l, err *e)
{
    if (dir_list_has(l, SHARD_INDEX_NAME)) {
        return set_indexed_shards(s, e);
    }
    if (dir_list_has(l, "model.safetensors")) {
        return set_only_shard(s->cp, "model.safetensors", e);
    }
    return set_only_candidate(s, l, e);
}

static err_code locate_in_folder(const search *s, const char *path, err *e)
{
    dir_list l;
    err_code code = OK;
    TRY(checkpoint_dir_open(path, s->m, &s->cp->folder, e));
    TRY(set_dir(s, e));
    TRY_OUT(checkpoint_dir_list(s->cp->folder, &l, e));
    TRY_OUT(set_shards(s, &l, e));
    note_ignored(s, &l);
out:
    dir_list_free(&l);
    return code;
}

static err_code locate_file(const search *s, const char *path, err *e)
{
    const char *name = io_basename(path);
    const size_t before = (size_t)(name - path);
    char *const dir = before == 0 ? strdup(".") : strndup(path, before > 1 ? before - 1 : 1);
    if (!dir) {
        return no_memory(path, e);
    }
    const err_code code = checkpoint_dir_open_directory(dir, &s->cp->folder, e);
    free(dir);
    TRY(code);
    TRY(set_dir(s, e));
    TRY(prepare_shards(s->cp, 1, e));
    return set_shard(s->cp, 0, name, strdup(path), e);
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
    if (!is_folder) {
        TRY(archive_probe(path, &is_folder, e));
    }
    return is_folder ? locate_in_folder(&s, path, e) : locate_file(&s, path, e);
}
