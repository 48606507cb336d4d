/* Measurements of the forward pass as text and as JSON, and their verdict.
 *
 *     TRY(forward_print(&subject, &found, e));
 *     return forward_judge(r, &subject, &found, &limits, e);
 */
#ifndef FORWARD_REPORT_H
#define FORWARD_REPORT_H

#include "bin/cli/report.h"
#include "verify/forward/forward.h"
#include "verify/forward/limits.h"

/* What was run. Paths are as given, NULL if not given. */
typedef struct forward_subject {
    const char *path, *against, *reference;
    const slope_form *slopes; /* [2]: source, operand */
    size_t tokens_dropped;    /* of the input, after the last sequence that was used */
    double seconds;
} forward_subject;

/* Print everything except the verdict. ERR_MEMORY. */
MUST_CHECK err_code forward_print(const forward_subject *s, const forward_report *found, err *e);

/* Report every limit that is exceeded, or that all limits are met (forward_judge.c). Errors:
 * ERR_NUMERIC a limit is exceeded; ERR_DIFFERENT likewise, compared with a reference; ERR_INTERNAL
 * prefill and decode differ; ERR_MEMORY. */
MUST_CHECK err_code forward_judge(report *r, const forward_subject *s, const forward_report *found,
                                  const limits *l, err *e);

json_t *forward_json(report *r, const forward_subject *s, const forward_report *found);

#endif
