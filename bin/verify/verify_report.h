/* What verify found, as text and as JSON. */
#ifndef VERIFY_REPORT_H
#define VERIFY_REPORT_H

#include "bin/cli/report.h"
#include "verify/integrity/integrity.h"
#include "verify/weights/weights.h"

enum { DAMAGE_LINES_MAX = 100 }; /* for people; --json has all */

/* List damages on standard error, and set `e` to their worst code; OK if there are none. */
MUST_CHECK err_code verify_judge_damage(report *r, const char *path, const integrity_report *found,
                                        err *e);

/* List what differs on standard error; ERR_DIFFERENT or OK. */
MUST_CHECK err_code verify_judge_weights(report *r, const char *path, const char *against,
                                         const weights_report *found, err *e);

/* Print the tensors of the largest error, or all of them. Errors: ERR_MEMORY. */
MUST_CHECK err_code verify_print_weights(const pack_table *t, const weights_report *found, bool all,
                                         err *e);

json_t *verify_integrity_json(report *r, const integrity_report *found, bool quick, double seconds);
json_t *verify_weights_json(report *r, const weights_report *found, const char *against,
                            double seconds);

/* True if the source is, by its digests, the one that the file was made from. */
bool verify_same_source(const weights_report *found);

#endif
