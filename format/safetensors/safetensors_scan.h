/* The outline of a safetensors header: its members as slices of the text, found without allocating
 * anything.
 *
 * A header is one object of objects, never deeper than root, tensor, array. The scan checks just
 * that, and bounds every count, so that the JSON library only ever sees one small piece at a time:
 * a hostile header of 100 MB costs one pass over its bytes, and an honest one no tree of its
 * hundred thousand tensors.
 *
 *     st_scan s = {.path = path, .text = text, .bytes = bytes};
 *     bool more = true;
 *     while (code == OK && more) {
 *         code = st_scan_next(&s, &member, &more, e);
 *         if (code == OK && more) ... member.key, member.value are JSON texts
 *     }
 */
#ifndef SAFETENSORS_SCAN_H
#define SAFETENSORS_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

enum {
    ST_MAX_MEMBERS = (1 << 20) + 1, /* tensors of one header, and __metadata__ */
    ST_MAX_FIELDS = 1 << 18,        /* of one member; __metadata__ may well have one per tensor */
    ST_MAX_ITEMS = 64,              /* of an array */
    ST_MAX_MEMBER_BYTES = 32 << 20  /* the text of one member */
};

typedef struct st_slice {
    const char *text;
    size_t bytes;
} st_slice;

typedef struct st_member {
    st_slice key;   /* from quote to quote */
    st_slice value; /* from brace to brace */
} st_member;

typedef struct st_scan {
    const char *path; /* for messages */
    const char *text;
    size_t bytes;
    size_t pos;     /* of the next byte */
    size_t members; /* found so far */
} st_scan;

/* Find the next member; *more is false behind the last one, when nothing but whitespace follows. */
MUST_CHECK err_code st_scan_next(st_scan *s, st_member *member, bool *more, err *e);

/* Scan a whole header: how many members it has, and how long their keys are together, quotes
 * included. */
MUST_CHECK err_code st_scan_all(const char *path, const char *text, size_t bytes, size_t *members,
                                size_t *key_bytes, err *e);

#endif
