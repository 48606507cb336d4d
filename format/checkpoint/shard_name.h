/* What the name of a .safetensors file, or of an index of such files, says about it.
 *
 *     if (shard_is_candidate(name)) ...
 *     shard_number n;
 *     if (shard_number_of("model-00001-of-00004.safetensors", &n)) ...      n.number 1, n.count 4
 *
 * No state: safe from several threads. */
#ifndef SHARD_NAME_H
#define SHARD_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* May a file of this name be a shard: does it end in .safetensors and not begin with a dot? */
bool shard_is_candidate(const char *name);

/* May it be an index: does it end in .safetensors.index.json and not begin with a dot? */
bool shard_is_index(const char *name);

/* Is it the file of an adapter (LoRA, ...), as peft calls it? */
bool shard_is_adapter(const char *name);

typedef struct shard_number {
    size_t stem_bytes; /* of "model" in "model-00001-of-00004.safetensors" */
    unsigned number, count;
} shard_number;

/* Is it one of several numbered shards? Not if the count is 1. */
bool shard_number_of(const char *name, shard_number *out);

#endif
