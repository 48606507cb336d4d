/* Names in an archive: paths below its top, with one spelling. A part of archive_scan.c.
 *
 * Both give fresh memory, or NULL: there is no such name, or no memory, which *no_memory tells. */
#ifndef ARCHIVE_NAME_H
#define ARCHIVE_NAME_H

#include <stdbool.h>

/* The path without empty components and ".". None if it is absolute, has "..", or nothing is left.
 */
char *archive_clean_name(const char *path, bool *no_memory);

/* The name that a symbolic link at `name` leads to: "b" for "a/x" and "../b". None if that is
 * outside of the archive. */
char *archive_link_target(const char *name, const char *target, bool *no_memory);

#endif
