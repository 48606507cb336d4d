/* Which files a checkpoint is made of, for outputs that must not replace one (inputs.h). */
#ifndef CHECKPOINT_INPUTS_H
#define CHECKPOINT_INPUTS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "format/checkpoint/checkpoint.h"

/* Is it what a checkpoint is made of: a shard, the index, config.json, tokenizer.json, or the
 * archive in which they are? Other files beside them are the caller's to know. */
bool input_is_of_checkpoint(const checkpoint *cp, const struct stat *st);

#endif
