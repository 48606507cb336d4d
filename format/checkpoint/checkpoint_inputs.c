#include "format/checkpoint/checkpoint_inputs.h"

#include <stdlib.h>

#include "format/checkpoint/checkpoint_dir.h"
#include "format/output/inputs.h"
#include "format/file/io.h"
#include "format/checkpoint/shard_index.h"

/* Is it one of the files in the directory that describe the checkpoint? */
static err_code is_next_to_shards(const checkpoint *cp, const struct stat *st, bool *is_one, err *e)
{
    const char *const names[] = {cp->index_name ? cp->index_name : SHARD_INDEX_NAME, "config.json",
                                 "tokenizer.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *const path = io_join(cp->dir, names[i]);
        const err_code code =
            path ? input_is(path, st, is_one, e) : err_set(e, ERR_MEMORY, "%s: no memory", cp->dir);
        free(path);
        TRY(code);
    }
    return OK;
}

static bool is_stamped(const file_stamp *stamp, const struct stat *st)
{
    return stamp->device == st->st_dev && stamp->inode == st->st_ino;
}

err_code input_is_of_checkpoint(const checkpoint *cp, const struct stat *st, bool *is_one, err *e)
{
    const archive_index *const archive = cp->folder->archive;
    if (archive) {
        *is_one = *is_one || is_stamped(&archive->stamp, st);
    } else {
        TRY(is_next_to_shards(cp, st, is_one, e));
    }
    for (size_t i = 0; i < cp->shard_count; i++) {
        *is_one = *is_one || is_stamped(&cp->shards[i].stamp, st);
    }
    return OK;
}
