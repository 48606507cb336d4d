/* The options --for, --tp and --ep of a plan, and the answer as text and as JSON: would a runtime
 * load the result, on that many devices? (spec/cli.md section 4.1)
 *
 *     case OPTION_TP: return fit_on_option(&q->fit, o, value, e);    while options are parsed
 *     ...
 *     TRY(fit_request_check(&q->fit, dry_run, e));
 *     ...
 *     TRY(fit_find(&q->fit, &about, &f, e));
 *     TRY_OUT(fit_show(&q->fit, &f, report, e));
 *     code = fit_judge(&f, about.path, e);
 *     fit_free(&f);
 */
#ifndef FIT_REPORT_H
#define FIT_REPORT_H

#include "bin/cli/report.h"
#include "convert/fit/fit.h"

typedef struct fit_request {
    bool asked;      /* one of the three options was given */
    bool runtime;    /* --for was given */
    unsigned preset; /* its number, if it was given */
    fit_sizes tp, ep;
} fit_request;

/* Take OPTION_FOR, OPTION_TP or OPTION_EP. ERR_USAGE: the value is malformed. */
MUST_CHECK err_code fit_on_option(fit_request *q, const option_spec *o, const char *value, err *e);

/* Check the options together. ERR_USAGE: no runtime was named, or it is not a plan. */
MUST_CHECK err_code fit_request_check(const fit_request *q, bool dry_run, err *e);

/* The plan that the question is about. */
typedef struct fit_about {
    const char *path; /* for messages */
    const pack_table *table;
    const char *config; /* text of config.json; NULL: none */
    size_t config_bytes;
    const export_plan *exported; /* NULL: not of an export */
    const monitor *monitor;      /* is asked for cancellation */
} fit_about;

/* Find the answer. Errors: those of fit_make. Free with fit_free, also after an error. */
MUST_CHECK err_code fit_find(const fit_request *q, const fit_about *about, fit *out, err *e);

/* Print it, or put it into the object of --json. Errors: ERR_MEMORY. */
MUST_CHECK err_code fit_show(const fit_request *q, const fit *f, report *r, err *e);

/* A note for each warning that does not block. */
void fit_note(const fit *f, const monitor *m);

/* ERR_DIFFERENT: the answer is no. */
MUST_CHECK err_code fit_judge(const fit *f, const char *path, err *e);

#endif
