/* Messages for directories and files that are not a checkpoint: what they are, and what to do. A part
 * of shard_locate.c. Each function returns an error, ERR_INPUT, or ERR_MEMORY and the like. */
#ifndef SHARD_REFUSE_H
#define SHARD_REFUSE_H

#include "format/base/err.h"
#include "format/checkpoint/checkpoint_dir.h"
#include "format/file/dir_list.h"

/* A directory without any .safetensors file; `names` are those in it. */
MUST_CHECK err_code shard_refuse_none(const checkpoint_dir *f, const dir_list *names, err *e);

/* A directory without an index and model.safetensors, and with several .safetensors files. */
MUST_CHECK err_code shard_refuse_several(const checkpoint_dir *f, const dir_list *names, err *e);

/* A directory with both an index of shards and a model.safetensors that is not one of them. */
MUST_CHECK err_code shard_refuse_both(const checkpoint_dir *f, err *e);

/* OK unless the only file, `path` named `name`, is a part of a model: an adapter, or one of several
 * shards. `alone`: it is the only one in its directory. */
MUST_CHECK err_code shard_refuse_part(const char *path, const char *name, bool alone, err *e);

#endif
