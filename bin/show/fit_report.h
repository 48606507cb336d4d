/* What --for, --tp and --ep ask of a plan, and the answer as text and as JSON (spec/cli.md 4.1).
 *
 *     case OPTION_TP: return fit_take(&q->fit, o, value, e);
 *     ...
 *     code = fit_request_check(&q->fit, dry_run, e);
 *     if (q->fit.asked) code = fit_tell(&q->fit, &about, report, e);
 */
#ifndef FIT_REPORT_H
#define FIT_REPORT_H

#include "bin/cli/report.h"
#include "convert/fit/fit.h"

typedef struct fit_request {
    bool asked;   /* an answer is wanted: one of the three was given */
    bool runtime; /* --for was given */
    unsigned preset;
    fit_sizes tp, ep;
} fit_request;

/* Of OPTION_FOR, OPTION_TP and OPTION_EP. */
MUST_CHECK err_code fit_take(fit_request *q, const option_spec *o, const char *value, err *e);

/* ERR_USAGE: it was asked about no runtime, or not of a plan. */
MUST_CHECK err_code fit_request_check(const fit_request *q, bool dry_run, err *e);

/* What it is asked about. */
typedef struct fit_about {
    const char *path; /* for messages */
    const pack_table *table;
    const char *config; /* text of config.json, or NULL */
    size_t config_bytes;
    const export_plan *exported; /* or NULL */
} fit_about;

/* Find the answer and tell it. ERR_DIFFERENT: it is no; else as fit_make. */
MUST_CHECK err_code fit_tell(const fit_request *q, const fit_about *about, report *r, err *e);

#endif
