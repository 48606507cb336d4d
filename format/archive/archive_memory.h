/* Whether libarchive found memory.
 *
 *     archive_memory_start();
 *     ... calls of libarchive ...
 *     TRY(archive_memory_check(path, a, e));      before their result is believed
 *
 * libarchive does not always say so: some of its allocations fail as "damaged archive", and some are
 * passed over. But an allocation that fails leaves ENOMEM in errno, where it stays, since calls that
 * succeed do not touch errno. A few of its functions end the process when they find no memory; see
 * main.c for these. */
#ifndef ARCHIVE_MEMORY_H
#define ARCHIVE_MEMORY_H

#include <archive.h>

#include "format/base/err.h"

void archive_memory_start(void);

/* ERR_MEMORY if memory was short since archive_memory_start, else OK. */
MUST_CHECK err_code archive_memory_check(const char *path, struct archive *a, err *e);

#endif
