/* Finds out which kind of model a path leads to. This is decided in one place, so that all commands
 * agree.
 *
 *     TRY(model_path_find(path, &kind, e));
 *
 * The content decides first, then the name: a packed file whose beginning is damaged is still known
 * by its name. */
#ifndef MODEL_PATH_H
#define MODEL_PATH_H

#include <stdbool.h>
#include <string.h>

#include "format/base/err.h"

typedef enum model_kind {
    MODEL_UNKNOWN,   /* none of those below, or nothing has this path */
    MODEL_STREAM,    /* "-": standard input */
    MODEL_PACKED,    /* a packed file: by its first bytes, or named *.octavo */
    MODEL_DIRECTORY, /* a checkpoint, or a folder of the Hub's cache */
    MODEL_ARCHIVE,   /* an archive of a checkpoint */
    MODEL_SHARD,     /* a checkpoint of a single file, named *.safetensors */
} model_kind;

/* Is it MODEL_STREAM? Looks only at the name. */
static inline bool model_path_is_stream(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Opens a regular file and closes it again. That nothing has this path, or something that is neither a
 * file nor a directory, is no error here: opening it as what its name says tells. ERR_IO: the system
 * does not say what it is, or the file cannot be read. */
MUST_CHECK err_code model_path_find(const char *path, model_kind *kind, err *e);

static inline bool model_is_checkpoint(model_kind k)
{
    return k == MODEL_DIRECTORY || k == MODEL_ARCHIVE || k == MODEL_SHARD;
}

#endif
