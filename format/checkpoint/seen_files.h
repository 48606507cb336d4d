/* The small files of a checkpoint that were read in this run, to find out at its end whether they are
 * still the same. Safe from several threads. */
#ifndef SEEN_FILES_H
#define SEEN_FILES_H

#include <stddef.h>

#include "format/base/digest.h"
#include "format/base/err.h"
#include "format/file/file_stamp.h"

typedef struct seen_file {
    char *name;
    file_stamp stamp;
    unsigned char xxh3[XXH3_BYTES];
} seen_file;

typedef struct seen_files seen_files;

seen_files *seen_files_new(void); /* NULL: no memory */

/* Remember what was read, once more if it is read again. ERR_MEMORY. */
MUST_CHECK err_code seen_files_add(seen_files *s, const char *name, const file_stamp *stamp,
                                   const char *data, size_t bytes, err *e);

/* Sort by name; files[0 ... count) are then owned by `s`, until the next call. */
const seen_file *seen_files_sorted(seen_files *s, size_t *count);

void seen_files_free(seen_files *s); /* NULL is fine */

#endif
