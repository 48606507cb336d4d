/* Do index and shards of a checkpoint say the same? A part of checkpoint.c. */
#ifndef SHARD_CHECK_H
#define SHARD_CHECK_H

#include <stdbool.h>

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"

/* Find every disagreement: shards that are missing (missing[i], by shard), names that only the
 * index or only the shards know, that are in two shards, or in another shard than the index says.
 * The first several stand in the message, up to a hundred of the others go to the monitor as notes,
 * and the rest is counted.
 * in:   cp     shards sorted by name, tensors sorted by name and shard
 *       index  with the same shards, NULL when the checkpoint has none
 * errs: ERR_INPUT there are some */
MUST_CHECK err_code shard_check(const checkpoint *cp, const shard_index *index, const bool *missing,
                                const monitor *m, err *e);

#endif
