/* The embedded files: a ustar archive with one spelling (spec/format.md section 9), through
 * libarchive. */
#ifndef EMBED_TAR_H
#define EMBED_TAR_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

enum { ARCHIVE_MAX_MEMBERS = 512, ARCHIVE_MAX_BYTES = 256 << 20 };

typedef struct member {
    char *name; /* [A-Za-z0-9._-]{1,100} */
    char *data; /* bytes long, not terminated */
    size_t bytes;
} member;

bool member_name_valid(const char *name);

/* Write members (any order; the archive is sorted by name) into fresh memory: *out is the caller's
 * to free(). ERR_INPUT: a name that is not allowed or stands twice, or more than the limits. */
MUST_CHECK err_code archive_pack(const member *members, size_t count, char **out, size_t *bytes,
                                 err *e);

/* Take an archive apart and check that it is the canonical one: packing the members again gives the
 * same bytes. ERR_INPUT otherwise. *members: members_free. */
MUST_CHECK err_code archive_unpack(const char *data, size_t bytes, member **members, size_t *count,
                                   err *e);

void members_free(member *members, size_t count);

#endif
