/* The two sides of `octavo inspect`. `glob` is NULL or chooses tensors; one that matches nothing is
 * ERR_USAGE. */
#ifndef INSPECT_H
#define INSPECT_H

#include <jansson.h>

#include "bin/show/packed_view.h"
#include "bin/cli/report.h"

MUST_CHECK err_code inspect_packed(const char *path, const char *glob, report *r, err *e);
MUST_CHECK err_code inspect_checkpoint(const char *path, const char *glob, report *r, err *e);

/* Everything a packed file says into r->root. */
MUST_CHECK err_code packed_json(const packed_view *v, const char *glob, report *r, err *e);

/* Print "model  TYPE (ARCHITECTURE)" from a config.json, if it says so. */
void inspect_print_model(const json_t *config);

/* ERR_USAGE: --tensor matches nothing. */
MUST_CHECK err_code inspect_no_match(const char *path, const char *glob, err *e);

#endif
