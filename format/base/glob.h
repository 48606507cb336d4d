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

bool glob_valid(const char *glob); /* false: empty, or with a set that is not closed */
bool glob_match(const char *glob, const char *name);

#endif
