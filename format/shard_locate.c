#include "format/shard_locate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/hub.h"
#include "format/io.h"
#include "format/json.h"
#include "format/listing.h"
#include "format/text_list.h"

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

/* Takes `path`, which may be NULL for want of memory. */
static err_code set_shard(checkpoint *cp, size_t i, const char *name, char *path, err *e)
{
    cp->shards[i].name = strdup(name);
    cp->shards[i].path = path;
    return cp->shards[i].name && path ? OK : no_memory(cp->dir, e);
}

static err_code set_only_shard(checkpoint *cp, const char *name, err *e)
{
    const err_code code = prepare_shards(cp, 1, e);
    return code == OK ? set_shard(cp, 0, name, io_join(cp->dir, name), e) : code;
}

static err_code read_index(const char *dir, shard_index *out, err *e)
{
    json_t *json = NULL;
    char *path = io_join(dir, SHARD_INDEX_NAME);
    err_code code = path ? json_parse_file(path, false, &json, e) : no_memory(dir, e);
    if (code == OK) {
        code = shard_index_build(path, json, out, e);
    }
    json_decref(json);
    free(path);
    return code;
}

static err_code set_indexed_shards(const search *s, err *e)
{
    err_code code = read_index(s->cp->dir, s->index, e);
    if (code == OK) {
        code = prepare_shards(s->cp, s->index->shard_count, e);
    }
    for (size_t i = 0; i < s->cp->shard_count && code == OK; i++) {
        const char *name = s->index->shards[i];
        code = set_shard(s->cp, i, name, io_join(s->cp->dir, name), e);
    }
    return code;
}

static bool is_candidate(const char *name)
{
    static const char suffix[] = ".safetensors";
    const size_t bytes = strlen(name);
    return name[0] != '.' && bytes >= sizeof suffix &&
           strcmp(name + bytes - (sizeof suffix - 1), suffix) == 0;
}

/* Without index and model.safetensors: there must be one candidate. */
static err_code set_only_candidate(const search *s, const listing *l, err *e)
{
    text_list names = {0};
    const char *only = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (is_candidate(l->names[i])) {
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
static void note_ignored(const search *s, const listing *l)
{
    const checkpoint *cp = s->cp;
    text_list ignored = {0};
    for (size_t i = 0; i < l->count; i++) {
        if (is_candidate(l->names[i]) &&
            !bsearch(l->names[i], cp->shards, cp->shard_count, sizeof *cp->shards, compare_shard)) {
            text_list_add(&ignored, "%s", l->names[i]);
        }
    }
    if (ignored.total > 0) {
        monitor_note(s->m, "%s: not part of the checkpoint, ignored: %s", cp->dir,
                     text_list_end(&ignored));
    }
}

static err_code locate_in_directory(const search *s, const char *path, err *e)
{
    err_code code = hub_resolve(path, &s->cp->dir, e);
    if (code != OK) {
        return code;
    }
    listing l;
    code = listing_read(s->cp->dir, &l, e);
    if (code == OK) {
        if (listing_has(&l, SHARD_INDEX_NAME)) {
            code = set_indexed_shards(s, e);
        } else if (listing_has(&l, "model.safetensors")) {
            code = set_only_shard(s->cp, "model.safetensors", e);
        } else {
            code = set_only_candidate(s, &l, e);
        }
    }
    if (code == OK) {
        note_ignored(s, &l);
    }
    listing_free(&l);
    return code;
}

static err_code locate_file(const search *s, const char *path, err *e)
{
    const char *name = io_basename(path);
    const size_t before = (size_t)(name - path);
    s->cp->dir = before == 0 ? strdup(".") : strndup(path, before > 1 ? before - 1 : 1);
    if (!s->cp->dir) {
        return no_memory(path, e);
    }
    const err_code code = prepare_shards(s->cp, 1, e);
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
    return S_ISDIR(st.st_mode) ? locate_in_directory(&s, path, e) : locate_file(&s, path, e);
}
