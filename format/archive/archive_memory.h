/* Whether libarchive found memory.
 *
 *     archive_memory_start();
 *     ... calls of libarchive ...
 *     TRY_OUT(archive_memory_check(path, a, e));      before their result is believed
 *     ...
 *     archive_memory_end();
 *
 * libarchive does not always say so: some of its allocations fail as "damaged archive", and some are
 * passed over. But an allocation that fails leaves ENOMEM in errno, where it stays, since calls that
 * succeed do not touch errno. Some of its functions end the process or crash when they find no
 * memory: bin/cli/library_guard.h. */
#ifndef ARCHIVE_MEMORY_H
#define ARCHIVE_MEMORY_H

#include <archive.h>
#include <stdbool.h>

#include "format/base/err.h"

void archive_memory_start(void);
void archive_memory_end(void);

/* ERR_MEMORY if memory was short since archive_memory_start, else OK. */
MUST_CHECK err_code archive_memory_check(const char *path, struct archive *a, err *e);

/* For handlers of signals: is memory short while libarchive is at work in this thread? */
bool archive_memory_is_short(void);

#endif
