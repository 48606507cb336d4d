/* Reads an index, model.safetensors.index.json as a rule: which tensor is in which shard, according
 * to the maker of the checkpoint. */
#ifndef SHARD_INDEX_H
#define SHARD_INDEX_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

#define SHARD_INDEX_NAME "model.safetensors.index.json"

typedef struct index_entry {
    const char *tensor;
    uint32_t shard; /* index into `shards` */
} index_entry;

typedef struct shard_index {
    json_t *json;         /* owns all names below */
    index_entry *entries; /* sorted by tensor name */
    size_t count;
    const char **shards; /* sorted, without duplicates */
    size_t shard_count;
} shard_index;

/* Build the index from `json`, the parsed file, to which it keeps a reference. Shard names must be
 * relative and stay below the directory; total_size and other keys are ignored. `path` is for
 * messages. Errors: ERR_INPUT, ERR_MEMORY. Free with shard_index_free, also after an error. */
MUST_CHECK err_code shard_index_build(const char *path, json_t *json, shard_index *out, err *e);

/* Does this name stay below its directory: is it relative, without empty, "." or ".." components?
 */
bool shard_name_valid(const char *name);

void shard_index_free(shard_index *index);

#endif
