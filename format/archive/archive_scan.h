/* The pass over an archive, through libarchive, that fills an archive_index. A part of
 * archive_index.c. */
#ifndef ARCHIVE_SCAN_H
#define ARCHIVE_SCAN_H

#include "format/archive/archive_index.h"

enum { ARCHIVE_START_BYTES = 512 };

/* The kind of a file by its beginning; `start` has ARCHIVE_START_BYTES bytes, with zeros after a
 * shorter file. */
typedef enum archive_form { FORM_NONE, FORM_TAR, FORM_ZIP, FORM_COMPRESSED } archive_form;
archive_form archive_form_of(const unsigned char *start);

/* Append the members in the order of the archive, which is open as `fd`. *temp_file: the file with
 * what had to be unpacked, the caller's to close; -1: there is none. What was appended is the
 * caller's to free, also after an error. The errors are those of archive_open. */
MUST_CHECK err_code archive_scan(archive_index *index, int fd, archive_form form, const monitor *m,
                                 int *temp_file, err *e);

#endif
