#include "format/checkpoint/checkpoint_inputs.h"

#include <stdlib.h>

#include "format/checkpoint/checkpoint_dir.h"
#include "format/output/inputs.h"
#include "format/file/io.h"
#include "format/checkpoint/shard_index.h"

/* Is it one of the files in the directory that describe the checkpoint? */
static bool is_next_to_shards(const checkpoint *cp, const struct stat *st)
{
    const char *const names[] = {cp->index_name ? cp->index_name : SHARD_INDEX_NAME, "config.json",
                                 "tokenizer.json"};
    bool same = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !same; i++) {
        char *const path = io_join(cp->dir, names[i]);
        same = input_is(path, st);
        free(path);
    }
    return same;
}

bool input_is_of_checkpoint(const checkpoint *cp, const struct stat *st)
{
    const archive_index *const archive = cp->folder->archive;
    bool same = archive ? archive->stamp.device == st->st_dev && archive->stamp.inode == st->st_ino
                        : is_next_to_shards(cp, st);
    for (size_t i = 0; i < cp->shard_count && !same; i++) {
        same = cp->shards[i].stamp.device == st->st_dev && cp->shards[i].stamp.inode == st->st_ino;
    }
    return same;
}
