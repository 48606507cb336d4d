/* What a path stands for where a model is wanted. It is decided here for all commands, so that they
 * agree.
 *
 *     if (model_path_kind(path) == MODEL_PACKED) ...
 *
 * By what lies there first, then by the name: a file whose beginning is damaged still has its name.
 * Nothing is reported here; whoever opens the path says what is wrong with it. */
#ifndef MODEL_PATH_H
#define MODEL_PATH_H

#include <stdbool.h>
#include <string.h>

typedef enum model_kind {
    MODEL_UNKNOWN,   /* none of those below, or nothing is there */
    MODEL_STREAM,    /* "-": standard input */
    MODEL_PACKED,    /* a packed file: by its first bytes, or called *.octavo */
    MODEL_DIRECTORY, /* a checkpoint, or a folder of the Hub's cache */
    MODEL_ARCHIVE,   /* an archive of a checkpoint */
    MODEL_SHARD,     /* a checkpoint that is one file, *.safetensors */
} model_kind;

/* Is it MODEL_STREAM? Asks the name alone. */
static inline bool model_path_is_stream(const char *path)
{
    return strcmp(path, "-") == 0;
}

/* Opens the file, unless it is a stream or a directory, and closes it again. */
model_kind model_path_kind(const char *path);

static inline bool model_is_checkpoint(model_kind k)
{
    return k == MODEL_DIRECTORY || k == MODEL_ARCHIVE || k == MODEL_SHARD;
}

#endif
