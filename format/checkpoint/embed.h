/* Chooses which files next to the weights are embedded in the packed file (spec/cli.md section 4).
 *
 *     embed_list list;
 *     embed_choose(cp->folder, globs, glob_count, m, &list, e);
 *     embed_pack(&list, &tar, &bytes, e);
 *     embed_list_free(&list);
 */
#ifndef EMBED_H
#define EMBED_H

#include <stdint.h>

#include "format/archive/embed_tar.h"
#include "format/checkpoint/checkpoint_dir.h"
#include "format/base/monitor.h"

typedef struct embed_file {
    char *name; /* NAME or DIR/NAME; "DIR/" for a directory that was not looked into */
    char *path;
    uint64_t bytes;
    bool known;    /* in the built-in list: a part of the checkpoint, embedded or not */
    bool matters;  /* neither the list nor a glob says anything, but a loader might need it */
    bool embedded; /* false: it is in the directory but is not embedded */
    uint64_t device, inode;
} embed_file;

typedef struct embed_list {
    embed_file *files; /* every regular file at the top level of the directory and in directories
                          there, except weights and their indexes, sorted by name */
    size_t count, capacity;
    const checkpoint_dir *from;
} embed_list;

/* A glob of the command line. */
typedef struct embed_glob {
    const char *glob;
    bool embed; /* true: of --embed; false: of --no-embed */
} embed_glob;

/* Choose from the folder `from`, which must outlive the list: the built-in list first, then the
 * globs in command-line order add and remove files; a glob matches component by component
 * (embed_names.h). Indexes and *.safetensors are never embedded. Directories are looked into if they
 * are not links, do not begin with a dot, and have at most 1000 entries or may hold what is chosen.
 * A glob that matches no file is ERR_USAGE; an embedded file over 64 MiB, with a name that the
 * archive does not allow, or that is a Git LFS pointer, is ERR_INPUT; ERR_IO, ERR_MEMORY,
 * ERR_CANCELLED. Free with embed_list_free. */
MUST_CHECK err_code embed_choose(const checkpoint_dir *from, const embed_glob *globs,
                                 size_t glob_count, const monitor *m, embed_list *out, err *e);

/* One note that names the files that are left out although a loader might need them, unless a glob
 * says otherwise; none if there are no such files, or if without config.json nothing says that the
 * files belong to the checkpoint. */
void embed_note(const embed_list *list, const monitor *m);

/* Read the files to embed and pack them (archive_pack): *out is the caller's to free(). ERR_IO: one
 * cannot be read or has changed. */
MUST_CHECK err_code embed_pack(const embed_list *list, char **out, size_t *bytes, err *e);

/* Read file `i` of the list, as io_read_file does. */
MUST_CHECK err_code embed_read(const embed_list *list, size_t i, size_t limit, char **data,
                               size_t *bytes, err *e);

void embed_list_free(embed_list *list);

#endif
