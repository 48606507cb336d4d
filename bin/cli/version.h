/* What this program is: version, build, what it can use. */
#ifndef VERSION_H
#define VERSION_H

#include "format/base/err.h"

extern const char version_number[]; /* "0.1.0" */
extern const char version_git[];    /* commit, "-dirty" behind it if there were changes */

/* Print all of it on standard output. ERR_USAGE: OCTAVO_CPU names no level. */
MUST_CHECK err_code version_print(err *e);

#endif
