/* The pass over an archive that fills an archive_index. A part of archive_index.c. */
#ifndef ARCHIVE_SCAN_H
#define ARCHIVE_SCAN_H

#include "format/archive/archive_index.h"

enum { ARCHIVE_START_BYTES = 512 };

/* What a file begins like; `start` has ARCHIVE_START_BYTES bytes, zeros behind a shorter file. */
typedef enum archive_form { FORM_NONE, FORM_TAR, FORM_ZIP, FORM_COMPRESSED } archive_form;
archive_form archive_form_of(const unsigned char *start);

/* Appends members in the order of the archive, `fd` being open. *temp_file: a file for what has to be
 * unpacked, the caller's to close, -1: there is none. What was appended is the caller's to free,
 * also after an error; the errors are those of archive_open. */
MUST_CHECK err_code archive_scan(archive_index *b, int fd, archive_form form, const monitor *m,
                                 int *temp_file, err *e);

#endif
