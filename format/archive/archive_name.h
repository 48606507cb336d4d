/* Normalizes names in an archive: paths below its top, each with one spelling. A part of
 * archive_scan.c.
 *
 * Both functions return memory that is the caller's to free(); NULL if there is no such name, or, as
 * *no_memory then says, if memory is short. */
#ifndef ARCHIVE_NAME_H
#define ARCHIVE_NAME_H

#include <stdbool.h>

/* The path without empty components and ".". NULL if it is absolute, contains "..", or nothing is
 * left. */
char *archive_clean_name(const char *path, bool *no_memory);

/* The name that a symbolic link at `name` points to: "b" for "a/x" and "../b". NULL if that is
 * outside the archive. */
char *archive_link_target(const char *name, const char *target, bool *no_memory);

#endif
