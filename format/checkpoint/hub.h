/* Where the files of a checkpoint are, when its path may be a folder of the Hub's cache.
 *
 * The cache keeps a repository as models--ORG--NAME/{blobs,refs,snapshots}: refs/main holds the
 * name of the snapshot, whose files are links into blobs. A folder is taken for such a one by its
 * refs and snapshots, not by its own name, so that "." and renamed copies work. */
#ifndef HUB_H
#define HUB_H

#include "format/base/err.h"

/* The directory to look in, in fresh memory: `path` without slashes at its end, or its snapshot.
 * `path` is a directory. ERR_IO: refs/main cannot be read. ERR_INPUT: it does not name a snapshot.
 */
MUST_CHECK err_code hub_resolve(const char *path, char **dir, err *e);

#endif
