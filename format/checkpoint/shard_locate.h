/* Finds the shards of a checkpoint. A part of checkpoint.c.
 *
 * A file that is not an archive is a checkpoint of one shard. In a directory the index decides;
 * without an index the shard is model.safetensors, or the only *.safetensors whose name does not
 * begin with a dot. */
#ifndef SHARD_LOCATE_H
#define SHARD_LOCATE_H

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"

/* Set cp->folder, cp->dir, cp->shards (name, path, file, sorted by name) and cp->shard_count, and
 * read the index if there is one (otherwise index->json stays NULL). Other .safetensors files are
 * named in a note. What was set is the caller's to free, also after an error. ERR_IO: cannot be
 * read. ERR_INPUT: not exactly one checkpoint, or a bad index. ERR_MEMORY, ERR_CANCELLED. */
MUST_CHECK err_code shard_locate(const char *path, const monitor *m, checkpoint *cp,
                                 shard_index *index, err *e);

/* May a file of this name be a shard: does it end in .safetensors and not begin with a dot? */
bool shard_is_candidate(const char *name);

#endif
