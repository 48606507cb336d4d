/* What the forward pass found, as text and as JSON. */
#ifndef FORWARD_REPORT_H
#define FORWARD_REPORT_H

#include "bin/cli/report.h"
#include "verify/forward/forward.h"
#include "verify/forward/limits.h"

/* What was run on what; paths as they were given, NULL for what was not. */
typedef struct forward_subject {
    const char *path, *against, *reference;
    const slope_form *slopes; /* [2] */
    size_t tokens_left;       /* of the input, behind the last whole sequence that was used */
    double seconds;
} forward_subject;

/* Print everything but the verdict. Errors: ERR_MEMORY. */
MUST_CHECK err_code forward_print(const forward_subject *s, const forward_report *found, err *e);
/* Complain about every limit that is not kept. ERR_NUMERIC; ERR_DIFFERENT where a reference is what
 * the model departs from; or OK. (forward_judge.c) */
MUST_CHECK err_code forward_judge(report *r, const forward_subject *s, const forward_report *found,
                                  const limits *l, err *e);

json_t *forward_json(report *r, const forward_subject *s, const forward_report *found);

#endif
