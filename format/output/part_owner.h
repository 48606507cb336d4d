/* Decides whether what already has a temporary name was left by a killed run of the same user, or
 * was planted: somebody who may write to the directory can make a file of that name in advance, and
 * would then own what is written into it, or read it.
 *
 *     part_owner_check(p, &st, &use, e);       `st` of the open and locked file or directory
 *     part_owner_refuse(p, what, e);           the error for what is refused
 *
 * The owner must be that of a file that is created beside it now, and not simply this process's
 * user: a server may give all files of root to another user. The mode tells whether others may have
 * opened it. A file must not have another name. Only part.c includes this header. One thread. */
#ifndef PART_OWNER_H
#define PART_OWNER_H

#include <sys/stat.h>

#include "format/base/err.h"
#include "format/output/part.h"

typedef enum part_use {
    PART_TAKE,   /* nobody else can have opened it: empty it and use it */
    PART_REMOVE, /* a file that was finished but not renamed, or is published under its final name */
} part_use;

/* ERR_IO: not ours, with a hint what to remove; or the owner cannot be found out. ERR_MEMORY. */
MUST_CHECK err_code part_owner_check(const part *p, const struct stat *st, part_use *use, err *e);

/* ERR_IO: the temporary name is taken by `what`, with a hint. */
err_code part_owner_refuse(const part *p, const char *what, err *e);

#endif
