/* Which files beside the weights travel inside the packed file (DECISIONS 14). */
#ifndef EMBED_H
#define EMBED_H

#include <stdint.h>

#include "format/archive/embed_tar.h"
#include "format/checkpoint/checkpoint_dir.h"
#include "format/base/monitor.h"

typedef struct embed_file {
    char *name;
    char *path;
    uint64_t bytes;
    bool known;    /* the built-in list has it: a part of the checkpoint, embedded or not */
    bool embedded; /* false: it is in the directory but stays out */
    uint64_t device, inode;
} embed_file;

typedef struct embed_list {
    embed_file *files; /* every regular file at the top level of the directory but shards and index,
                          sorted by name */
    size_t count;
    const checkpoint_dir *from;
} embed_list;

/* Choose: the built-in allow-list, then --embed globs add and --no-embed globs remove, in
 * command-line order (globs[i].embed says which). A glob that matches no file is ERR_USAGE; an
 * embedded file over 64 MiB or with a name the archive does not allow is ERR_INPUT. The index and
 * *.safetensors are never embedded. */
typedef struct embed_glob {
    const char *glob;
    bool embed;
} embed_glob;

MUST_CHECK err_code embed_choose(const checkpoint_dir *from, const embed_glob *globs,
                                 size_t glob_count, embed_list *out, err *e);

/* Read the chosen files, `from` being still open, and pack them: archive_pack of all that is
 * embedded. */
MUST_CHECK err_code embed_pack(const embed_list *list, char **out, size_t *bytes, err *e);

/* File `i` of the list, of at most `limit` bytes: as io_read_file does. */
MUST_CHECK err_code embed_read(const embed_list *list, size_t i, size_t limit, char **data,
                               size_t *bytes, err *e);

void embed_list_free(embed_list *list);

#endif
