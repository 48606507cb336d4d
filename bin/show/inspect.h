/* The two kinds of models that `octavo inspect` shows: packed files and checkpoints.
 *
 *     code = kind == MODEL_PACKED ? inspect_packed(path, glob, r, e)
 *                                 : inspect_checkpoint(path, glob, r, e);
 *
 * Text goes to standard output, JSON into r->root. `glob` selects tensors (NULL: all). Errors:
 * ERR_USAGE the glob matches nothing; those of opening the model; ERR_MEMORY. */
#ifndef INSPECT_H
#define INSPECT_H

#include <jansson.h>

#include "bin/show/packed_view.h"
#include "bin/cli/report.h"

MUST_CHECK err_code inspect_packed(const char *path, const char *glob, report *r, err *e);
MUST_CHECK err_code inspect_checkpoint(const char *path, const char *glob, report *r, err *e);

/* Put every field of a packed file, and the tensors that `glob` matches, into r->root. */
MUST_CHECK err_code packed_json(const packed_view *v, const char *glob, report *r, err *e);

/* Print the line "model  TYPE, ARCHITECTURE" if config.json (NULL: none) has one of them. */
void inspect_print_model(const json_t *config);

/* Returns ERR_USAGE: --tensor matches nothing in the model. */
MUST_CHECK err_code inspect_no_match(const char *path, const char *glob, err *e);

#endif
