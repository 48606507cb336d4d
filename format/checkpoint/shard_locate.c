#include "format/checkpoint/shard_locate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/checkpoint/checkpoint_dir.h"
#include "format/checkpoint/shard_name.h"
#include "format/checkpoint/shard_refuse.h"
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

static err_code parse_index(const checkpoint_dir *f, const char *name, const char *path,
                            json_t **out, err *e)
{
    char *text = NULL;
    size_t bytes = 0;
    TRY(checkpoint_dir_read(f, name, JSON_FILE_LIMIT, &text, &bytes, e));
    const err_code code = text ? json_parse(path, text, bytes, JSON_EXACT | JSON_LARGE, out, e)
                               : err_set(e, ERR_IO, "%s: disappeared during the run", path);
    free(text);
    return code;
}

static err_code read_index(const checkpoint_dir *f, const char *name, shard_index *out, err *e)
{
    json_t *json = NULL;
    err_code code = OK;
    char *path = io_join(f->path, name);
    if (!path) {
        return no_memory(f->path, e);
    }
    TRY_OUT(parse_index(f, name, path, &json, e));
    TRY_OUT(shard_index_build(path, json, out, e));
out:
    json_decref(json);
    free(path);
    return code;
}

static err_code set_indexed_shards(const search *s, const char *name, err *e)
{
    s->cp->index_name = strdup(name);
    TRY(s->cp->index_name ? OK : no_memory(s->cp->dir, e));
    TRY(read_index(s->cp->folder, name, s->index, e));
    TRY(prepare_shards(s->cp, s->index->shard_count, e));
    for (size_t i = 0; i < s->cp->shard_count; i++) {
        const char *const part = s->index->shards[i];
        TRY(monitor_step(s->m, i, e));
        TRY(set_shard(s->cp, i, part, io_join(s->cp->dir, part), e));
    }
    return OK;
}

/* Without an index and model.safetensors there must be exactly one candidate, and a whole model. */
static err_code set_only_candidate(const search *s, const dir_list *l, err *e)
{
    const char *only = NULL;
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (shard_is_candidate(l->names[i])) {
            only = l->names[i];
            count++;
        }
    }
    if (count != 1) {
        return count == 0 ? shard_refuse_none(s->cp->folder, l, e)
                          : shard_refuse_several(s->cp->folder, l, e);
    }
    TRY(set_only_shard(s->cp, only, e));
    return shard_refuse_part(s->cp->shards[0].path, only, true, e);
}

static int compare_shard(const void *key, const void *element)
{
    const shard *candidate = element;
    return strcmp(key, candidate->name);
}

static bool is_shard(const checkpoint *cp, const char *name)
{
    return bsearch(name, cp->shards, cp->shard_count, sizeof *cp->shards, compare_shard);
}

/* Weights in a directory, such as 2_Dense/model.safetensors, are not part of the checkpoint unless
 * the index names them. */
static err_code add_below(const search *s, const char *dir, text_list *ignored, err *e)
{
    const checkpoint *const cp = s->cp;
    dir_list below = {0};
    bool is_directory = false;
    TRY(checkpoint_dir_is_directory(cp->folder, dir, &is_directory, e));
    if (dir[0] == '.' || !is_directory) {
        return OK;
    }
    TRY(monitor_step(s->m, 0, e));
    /* What cannot be read cannot be a part of the checkpoint. */
    const err_code code = checkpoint_dir_list_below(cp->folder, dir, &below, NULL);
    for (size_t i = 0; code == OK && i < below.count; i++) {
        char name[2 * (NAME_MAX + 1)];
        snprintf(name, sizeof name, "%s/%s", dir, below.names[i]);
        if (shard_is_candidate(below.names[i]) && !is_shard(cp, name)) {
            text_list_add(ignored, "%s", name);
        }
    }
    dir_list_free(&below);
    return code == ERR_MEMORY ? no_memory(cp->dir, e) : OK;
}

/* Other .safetensors files may belong to the checkpoint and be missing from the index, or be
 * something else: the user should know. */
static err_code note_ignored(const search *s, const dir_list *l, err *e)
{
    const checkpoint *const cp = s->cp;
    text_list ignored = {0};
    for (size_t i = 0; i < l->count; i++) {
        const char *const name = l->names[i];
        const bool other_index =
            shard_is_index(name) && (!cp->index_name || strcmp(name, cp->index_name) != 0);
        if (other_index || (shard_is_candidate(name) && !is_shard(cp, name))) {
            text_list_add(&ignored, "%s", name);
        }
        TRY(add_below(s, name, &ignored, e));
    }
    if (ignored.total > 0) {
        monitor_note(s->m, "%s: not part of the checkpoint, ignored: %s", cp->dir,
                     text_list_end(&ignored));
    }
    return OK;
}

static err_code set_dir(const search *s, err *e)
{
    s->cp->dir = strdup(s->cp->folder->path);
    return s->cp->dir ? OK : no_memory(s->cp->folder->path, e);
}

/* The index that counts: model.safetensors.index.json; without it and without model.safetensors, the
 * only other one, such as consolidated.safetensors.index.json. NULL: none. */
static err_code choose_index(const search *s, const dir_list *l, const char **chosen, err *e)
{
    text_list names = {0};
    *chosen = NULL;
    if (dir_list_has(l, SHARD_INDEX_NAME)) {
        *chosen = SHARD_INDEX_NAME;
        return OK;
    }
    for (size_t i = 0; i < l->count && !dir_list_has(l, "model.safetensors"); i++) {
        if (shard_is_index(l->names[i])) {
            *chosen = l->names[i];
            text_list_add(&names, "%s", l->names[i]);
        }
    }
    return names.total <= 1
               ? OK
               : err_set(e, ERR_INPUT, "%s: %zu indexes, and none is " SHARD_INDEX_NAME ": %s",
                         s->cp->dir, names.total, text_list_end(&names));
}

/* transformers prefers a single file to an index, vLLM and SGLang do the reverse. */
static bool has_two_models(const search *s, const dir_list *l)
{
    const checkpoint *const cp = s->cp;
    return dir_list_has(l, "model.safetensors") && !is_shard(cp, "model.safetensors");
}

static err_code set_shards(const search *s, const dir_list *l, err *e)
{
    const char *index = NULL;
    TRY(choose_index(s, l, &index, e));
    if (index) {
        TRY(set_indexed_shards(s, index, e));
        return has_two_models(s, l) ? shard_refuse_both(s->cp->folder, e) : OK;
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
    TRY_OUT(note_ignored(s, &l, e));
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
