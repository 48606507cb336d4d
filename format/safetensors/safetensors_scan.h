/* Splits a safetensors header into its members, as slices of the text, without allocating anything.
 *
 *     st_scan s = {.path = path, .text = text, .bytes = bytes};
 *     for (bool more = true; more;) {
 *         TRY(st_scan_next(&s, &member, &more, e));
 *         if (more) ... member.key and member.value are JSON texts
 *     }
 *
 * A header is one object of objects, never deeper than root, tensor, array. The scan checks exactly
 * that, and bounds every count. It is hand-written so that the JSON library only ever sees one small
 * piece at a time: a hostile header of 100 MB costs one pass over its bytes, and for an honest one
 * no tree of a hundred thousand tensors is built, which would take longer than all the rest of
 * opening a checkpoint. */
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

/* Find the next member. *more is false if there is none, and then only whitespace followed. The
 * slices point into the text. ERR_INPUT. */
MUST_CHECK err_code st_scan_next(st_scan *s, st_member *member, bool *more, err *e);

/* Scan a whole header: *members is their number, *key_bytes the total length of their keys,
 * including quotes. ERR_INPUT. */
MUST_CHECK err_code st_scan_all(const char *path, const char *text, size_t bytes, size_t *members,
                                size_t *key_bytes, err *e);

#endif
