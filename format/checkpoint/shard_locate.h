/* Finds the shards of a checkpoint. A part of checkpoint.c.
 *
 * A file that is not an archive is a checkpoint of one shard. In a directory
 * model.safetensors.index.json decides; without it the shard is model.safetensors; without both,
 * the only other *.safetensors.index.json decides; without any, the shard is the only
 * *.safetensors. Names that begin with a dot do not count. A model.safetensors next to an index
 * that does not name it is refused, and so is a directory with a part of a model (shard_refuse.h).
 */
#ifndef SHARD_LOCATE_H
#define SHARD_LOCATE_H

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"

/* Set cp->folder, cp->dir, cp->shards (name, path, file, sorted by name) and cp->shard_count, and
 * read the index if there is one (otherwise index->json and cp->index_name stay NULL). Other
 * .safetensors files and indexes are named in a note. What was set is the caller's to free, also
 * after an error. ERR_IO: cannot be read. ERR_INPUT: not exactly one checkpoint, or a bad index.
 * ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code shard_locate(const char *path, const monitor *m, checkpoint *cp,
                                 shard_index *index, err *e);

#endif
