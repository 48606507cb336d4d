/* Version and build of this program. */
#ifndef VERSION_H
#define VERSION_H

#include "format/base/err.h"

extern const char version_number[]; /* "0.1.0" */
extern const char version_git[];    /* commit, with the suffix "-dirty" if there were changes */

/* Print version, build and instruction level on standard output. ERR_USAGE: OCTAVO_CPU is not a
 * level that this processor supports. */
MUST_CHECK err_code version_print(err *e);

#endif
