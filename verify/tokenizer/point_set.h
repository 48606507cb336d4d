/* Sets of characters as ascending ranges: what PCRE2's classes cannot express, intersections and
 * complements within a class, is computed here.
 *
 *     point_set letters = {0}, han = {0};
 *     TRY_OUT(point_set_of_class("\\p{L}", &letters, e));
 *     ...
 *     TRY_OUT(point_set_complement(&han, e));
 *     TRY_OUT(point_set_intersect(&letters, &han, e));      letters without Han
 *     point_set_free(&letters); ...
 *
 * The time of every operation is linear in the number of ranges. All of them can fail with
 * ERR_MEMORY, after which a set is still valid to free. */
#ifndef POINT_SET_H
#define POINT_SET_H

#include <stddef.h>
#include <stdint.h>

#include "format/base/err.h"

enum { POINT_LAST = 0x10ffff };

typedef struct point_range {
    uint32_t first, last;
} point_range;

typedef struct point_set {
    point_range *ranges; /* ascending, with at least one character between two of them */
    size_t count, capacity;
} point_set;

MUST_CHECK err_code point_set_add(point_set *set, uint32_t first, uint32_t last, err *e);
MUST_CHECK err_code point_set_unite(point_set *set, const point_set *other, err *e);
MUST_CHECK err_code point_set_intersect(point_set *set, const point_set *other, err *e);
MUST_CHECK err_code point_set_complement(point_set *set, err *e);

/* What a class of PCRE2 (without an explicit range beyond U+3FFFF) matches: properties have no
 * characters there, except for private use. ERR_MEMORY. */
MUST_CHECK err_code point_set_of_class(const char *class, point_set *out, err *e);

void point_set_free(point_set *set);

#endif
