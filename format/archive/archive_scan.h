/* The pass over an archive that fills a bundle. A part of bundle.c. */
#ifndef BUNDLE_SCAN_H
#define BUNDLE_SCAN_H

#include "format/archive/archive_index.h"

enum { BUNDLE_START_BYTES = 512 };

/* What a file begins like; `start` has BUNDLE_START_BYTES bytes, zeros behind a shorter file. */
typedef enum archive_form { FORM_NONE, FORM_TAR, FORM_ZIP, FORM_COMPRESSED } archive_form;
archive_form bundle_form(const unsigned char *start);

/* Appends members in the order of the archive, `fd` being open. *spill: a file for what has to be
 * unpacked, the caller's to close, -1: there is none. What was appended is the caller's to free,
 * also after an error; the errors are those of bundle_open. */
MUST_CHECK err_code bundle_scan(bundle *b, int fd, archive_form form, const monitor *m, int *spill,
                                err *e);

#endif
