/* Globs over names, by byte: '*' any bytes including '.', '?' one byte, [a-z] and [!a-z] sets. The
 * whole name must match. */
#ifndef GLOB_H
#define GLOB_H

#include <stdbool.h>

bool glob_valid(const char *glob); /* false: empty, or a set that is not closed */
bool glob_match(const char *glob, const char *name);

#endif
