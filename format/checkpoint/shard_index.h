/* model.safetensors.index.json: which tensor is in which shard, as the maker of the checkpoint
 * says. */
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
    uint32_t shard; /* in `shards` */
} index_entry;

typedef struct shard_index {
    json_t *json;         /* owns all names below */
    index_entry *entries; /* sorted by tensor name */
    size_t count;
    const char **shards; /* sorted, none twice */
    size_t shard_count;
} shard_index;

/* Take the index apart; `json` is the parsed file, a reference of which is taken. Shard names must
 * be relative and lead nowhere else; total_size and other keys are not looked at. Errors:
 * ERR_INPUT, ERR_MEMORY. shard_index_free, also after an error. `path` is for messages. */
MUST_CHECK err_code shard_index_build(const char *path, json_t *json, shard_index *out, err *e);

/* Is this a name that stays below its directory: relative, without empty, "." or ".." components?
 */
bool shard_name_valid(const char *name);

void shard_index_free(shard_index *index);

#endif
