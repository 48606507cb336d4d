/* The archive of embedded files: a ustar archive in canonical form (spec/format.md section 9),
 * written and read.
 *
 *     archive_pack(members, count, &tar, &bytes, e);           free(tar)
 *     archive_unpack(tar, bytes, &members, &count, e);         members_free(members, count)
 *
 * No state: safe from several threads. Hand-written because every byte of the archive is specified,
 * and because libarchive ends the process when some of its allocations fail. */
#ifndef EMBED_TAR_H
#define EMBED_TAR_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/err.h"

enum { ARCHIVE_MAX_MEMBERS = 512, ARCHIVE_MAX_BYTES = 256 << 20 };

typedef struct member {
    char *name; /* NAME or DIR/NAME, see member_name_valid */
    char *data; /* `bytes` long, without a NUL after it */
    size_t bytes;
} member;

/* Is it one component, or two with a '/' between them, each [A-Za-z0-9._-]{1,100} and neither "." nor
 * ".."? */
bool member_name_valid(const char *name);

/* What a message says about such names. */
#define MEMBER_NAME_RULE                                                                           \
    "a name, or a directory and a name, of at most 100 of the characters A-Z a-z 0-9 . _ - each"

/* Pack members, in any order; the archive is sorted by name. *out is the caller's to free().
 * ERR_INPUT: a name that is not allowed, occurs twice or is also the directory of another, or a
 * limit is exceeded. ERR_MEMORY. */
MUST_CHECK err_code archive_pack(const member *members, size_t count, char **out, size_t *bytes,
                                 err *e);

/* Unpack an archive and check that it is canonical: packing the members again must give the same
 * bytes. *members: members_free. ERR_INPUT otherwise; ERR_MEMORY. */
MUST_CHECK err_code archive_unpack(const char *data, size_t bytes, member **members, size_t *count,
                                   err *e);

void members_free(member *members, size_t count);

#endif
