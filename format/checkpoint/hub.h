/* Resolves a path that may be a folder of the Hub's cache to the directory with the files of a
 * checkpoint.
 *
 *     hub_resolve(path, &dir, e);        free(dir)
 *
 * The cache stores a repository as models--ORG--NAME/{blobs,refs,snapshots}: refs/main contains the
 * name of the snapshot, whose files are links into blobs. Such a folder is recognized by its
 * subdirectories refs and snapshots, not by its own name, so that "." and renamed copies work. */
#ifndef HUB_H
#define HUB_H

#include "format/base/err.h"

/* `path` is a directory. *dir: that directory without trailing slashes, or its snapshot; the
 * caller's to free(). ERR_IO: refs/main cannot be read. ERR_INPUT: it does not name a snapshot.
 * ERR_MEMORY. */
MUST_CHECK err_code hub_resolve(const char *path, char **dir, err *e);

#endif
