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
    const char *path, *against, *reference, *versus;
    const slope_form *slopes; /* [2]: source, operand */
    bool limited, no_ideal;   /* the user gave limits; --no-ideal */
    bool proved;              /* every tensor is known to be its definition */
    size_t sequences;         /* asked for */
    size_t tokens_dropped; /* after the last sequence that was asked for, of those that were made */
    bool text, text_ended; /* the tokens are of --text; all of it was read */
    double seconds;
} forward_subject;

/* Print everything except the verdict. ERR_MEMORY. */
MUST_CHECK err_code forward_print(const forward_subject *s, const forward_report *found, err *e);

/* Report every part that is at fault and every limit that is exceeded, or why there is none
 * (forward_judge.c). Errors: ERR_NUMERIC something of this; ERR_DIFFERENT a limit, compared with a
 * reference; ERR_INTERNAL prefill and decode differ; ERR_MEMORY. */
MUST_CHECK err_code forward_judge(report *r, const forward_subject *s, const forward_report *found,
                                  const limits *l, err *e);

/* (forward_json.c) */
json_t *forward_json(report *r, const forward_subject *s, const forward_report *found);
json_t *forward_part_json(report *r, const part_measure *p);

/* ---- words and choices that all of them share ------------------ */

const char *forward_slope_name(slope_form s);
const char *forward_activations(const forward_variant *f);
const char *forward_layer_kind(const forward_report *found, unsigned layer);

/* True if reports have the metric for each layer. */
bool forward_shows(const forward_report *found, metric m);

#endif
