/* Which files are the shards of a checkpoint? A part of checkpoint.c.
 *
 * A file that is no archive is its own checkpoint. In a directory the index decides; without one it
 * is model.safetensors, or the only *.safetensors that does not begin with a dot. */
#ifndef SHARD_LOCATE_H
#define SHARD_LOCATE_H

#include "format/checkpoint/checkpoint.h"
#include "format/checkpoint/shard_index.h"

/* Set cp->folder, cp->dir, cp->shards (name, path, file, sorted by name) and cp->shard_count, and
 * read the index if there is one (otherwise index->json stays NULL). Other .safetensors files are
 * named in a note. What was set is the caller's to free, also after an error. ERR_IO: cannot be
 * read. ERR_INPUT: not one checkpoint, or a bad index. */
MUST_CHECK err_code shard_locate(const char *path, const monitor *m, checkpoint *cp,
                                 shard_index *index, err *e);

/* May a file of this name be a checkpoint: *.safetensors, but not .*? */
bool shard_is_candidate(const char *name);

#endif
