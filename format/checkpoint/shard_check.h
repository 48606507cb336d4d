/* Checks that the index and the shards of a checkpoint agree. A part of checkpoint.c. */
#ifndef SHARD_CHECK_H
#define SHARD_CHECK_H

#include <stdbool.h>

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"

/* Find every disagreement: shards that are missing (missing[i], by shard), names that are only in
 * the index or only in a shard, in two shards, or in another shard than the index says. The message
 * lists as many as fit, up to a hundred more go to the monitor as notes, and the rest are counted.
 *     cp      shards sorted by name, tensors sorted by name and shard
 *     index   with the same shards; NULL: the checkpoint has no index
 * ERR_INPUT if there are any; ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code shard_check(const checkpoint *cp, const shard_index *index, const bool *missing,
                                const monitor *m, err *e);

#endif
