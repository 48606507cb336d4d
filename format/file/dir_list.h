/* The names in a directory, sorted by bytes, so that nothing depends on the order in which a file
 * system keeps them. */
#ifndef LISTING_H
#define LISTING_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

typedef struct listing {
    char **names; /* without "." and ".." */
    size_t count;
} listing;

/* ERR_IO if `dir` cannot be read. Free with listing_free, also after an error. */
MUST_CHECK err_code listing_read(const char *dir, listing *out, err *e);

bool listing_has(const listing *l, const char *name);

void listing_free(listing *l);

#endif
