#include "format/checkpoint/shard_index.h"

#include <stdlib.h>
#include <string.h>

static int compare_text(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static int compare_entry(const void *a, const void *b)
{
    const index_entry *x = a;
    const index_entry *y = b;
    return strcmp(x->tensor, y->tensor);
}

bool shard_name_valid(const char *name)
{
    for (;;) {
        const size_t bytes = strcspn(name, "/");
        if (bytes == 0 || (bytes == 1 && name[0] == '.') ||
            (bytes == 2 && name[0] == '.' && name[1] == '.')) {
            return false;
        }
        if (!name[bytes]) {
            return true;
        }
        name += bytes + 1;
    }
}

/* Collect the shard names of the map, sorted and without duplicates. */
static err_code collect_shards(const char *path, json_t *map, shard_index *x, err *e)
{
    const char *tensor = NULL;
    json_t *value = NULL;
    size_t count = 0;
    json_object_foreach(map, tensor, value)
    {
        const char *shard = json_string_value(value);
        if (!shard) {
            return err_set(e, ERR_INPUT, "%s: tensor %s: its shard is not a string", path, tensor);
        }
        if (!shard_name_valid(shard)) {
            return err_set(e, ERR_INPUT,
                           "%s: tensor %s: the shard name \"%s\" is not a path below the directory",
                           path, tensor, shard);
        }
        x->shards[count++] = shard;
    }
    qsort(x->shards, count, sizeof *x->shards, compare_text);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(x->shards[i], x->shards[i - 1]) != 0) {
            x->shards[x->shard_count++] = x->shards[i];
        }
    }
    return OK;
}

static void collect_entries(json_t *map, shard_index *x)
{
    const char *tensor = NULL;
    json_t *value = NULL;
    json_object_foreach(map, tensor, value)
    {
        const char *shard = json_string_value(value);
        const char **found =
            bsearch(&shard, x->shards, x->shard_count, sizeof *x->shards, compare_text);
        x->entries[x->count++] = (index_entry){tensor, (uint32_t)(found - x->shards)};
    }
    qsort(x->entries, x->count, sizeof *x->entries, compare_entry);
}

err_code shard_index_build(const char *path, json_t *json, shard_index *out, err *e)
{
    *out = (shard_index){0};
    json_t *map = json_object_get(json, "weight_map");
    if (!json_is_object(map)) {
        return err_set(e, ERR_INPUT, "%s: weight_map is missing or not an object", path);
    }
    const size_t count = json_object_size(map);
    if (count == 0) {
        return err_set(e, ERR_INPUT, "%s: weight_map is empty", path);
    }
    out->json = json_incref(json);
    out->entries = calloc(count, sizeof *out->entries);
    out->shards = calloc(count, sizeof *out->shards);
    if (!out->entries || !out->shards) {
        return err_set(e, ERR_MEMORY, "%s: no memory for %zu names", path, count);
    }
    TRY(collect_shards(path, map, out, e));
    collect_entries(map, out);
    return OK;
}

void shard_index_free(shard_index *index)
{
    free(index->entries);
    free(index->shards);
    json_decref(index->json);
    *index = (shard_index){0};
}
