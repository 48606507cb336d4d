/* Which files a checkpoint consists of, for outputs that must not replace one
 * (format/output/inputs.h). */
#ifndef CHECKPOINT_INPUTS_H
#define CHECKPOINT_INPUTS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "format/checkpoint/checkpoint.h"

/* Is it a file that the checkpoint consists of: a shard, the index, config.json, tokenizer.json, or
 * the archive that contains them? Other files next to them are up to the caller. An input_test:
 * ERR_IO, ERR_MEMORY. */
MUST_CHECK err_code input_is_of_checkpoint(const checkpoint *cp, const struct stat *st,
                                           bool *is_one, err *e);

#endif
