/* Globs over names, byte by byte: '*' any bytes including '.' and '/', '?' one byte, [a-z] and
 * [!a-z] sets. The whole name must match.
 *
 *     if (glob_valid("*.mlp.*") && glob_match("*.mlp.*", name)) ...
 *
 * Hand-written because fnmatch() promises no bound on its time, and its escapes, classes and sets
 * that are not closed differ between C libraries: a recipe in a packed file must match the same
 * names everywhere. */
#ifndef GLOB_H
#define GLOB_H

#include <stdbool.h>

/* What a glob may have where it comes from others or is applied to names of others: matching takes
 * glob times name. glob_match itself has no limit. */
enum { GLOB_MAX_BYTES = 1024 };

/* As how many steps of a loop a match counts that asks for cancellation (monitor_step). */
enum { GLOB_STEPS = 64 };

bool glob_valid(const char *glob); /* false: empty, or with a set that is not closed */
bool glob_match(const char *glob, const char *name);

/* Write a glob that matches `name`, for a hint that shows it in single quotes: the name itself, with
 * '?' for bytes that would mean something else in a glob or in quotes. One that is too long for `out`
 * is cut and ends with '*'. Returns `out`. */
enum { GLOB_NAME_BYTES = 256 };
const char *glob_of_name(const char *name, char out[GLOB_NAME_BYTES]);

#endif
