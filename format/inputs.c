#include "format/inputs.h"

#include <stdlib.h>

#include "format/folder.h"
#include "format/io.h"
#include "format/output.h"
#include "format/shard_index.h"

bool input_is(const char *path, const struct stat *st)
{
    struct stat other;
    return path && stat(path, &other) == 0 && other.st_dev == st->st_dev &&
           other.st_ino == st->st_ino;
}

/* Of what the directory holds, what says what the checkpoint is. */
static bool is_beside_shards(const char *dir, const struct stat *st)
{
    static const char *const names[] = {SHARD_INDEX_NAME, "config.json", "tokenizer.json"};
    bool same = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !same; i++) {
        char *const path = io_join(dir, names[i]);
        same = input_is(path, st);
        free(path);
    }
    return same;
}

bool input_is_of_checkpoint(const checkpoint *cp, const struct stat *st)
{
    const bundle *const archive = cp->folder->archive;
    bool same = archive ? archive->device == st->st_dev && archive->inode == st->st_ino
                        : is_beside_shards(cp->dir, st);
    for (size_t i = 0; i < cp->shard_count && !same; i++) {
        same = cp->shards[i].device == st->st_dev && cp->shards[i].inode == st->st_ino;
    }
    return same;
}

err_code inputs_spare(const char *path, input_test *is_input, const void *ctx, err *e)
{
    struct stat st;
    if (stat(path, &st) == 0 && is_input(ctx, &st)) {
        return err_set(e, ERR_USAGE, "%s: the output is one of the inputs", path);
    }
    char *const part = output_part_name(path);
    if (!part) {
        return err_set(e, ERR_MEMORY, "%s: no memory", path);
    }
    const bool lost = stat(part, &st) == 0 && is_input(ctx, &st);
    if (lost) {
        err_set(e, ERR_USAGE, "%s: an input has the name of the output's temporary file", part);
    }
    free(part);
    return lost ? ERR_USAGE : OK;
}
