/* Findings about the bytes and the weights of a packed file, as text and as JSON.
 *
 *     code = verify_judge_damage(r, path, &found, e);       lists damage, decides the exit status
 *     code = verify_judge_weights(r, path, against, &found, e);
 */
#ifndef VERIFY_REPORT_H
#define VERIFY_REPORT_H

#include "bin/cli/report.h"
#include "verify/integrity/integrity.h"
#include "verify/weights/weights.h"

enum { DAMAGE_LINES_MAX = 100 }; /* in text; --json lists all */

/* List damage on standard error. Returns OK if there is none, else the worst code, and sets `e`. */
MUST_CHECK err_code verify_judge_damage(report *r, const char *path, const integrity_report *found,
                                        err *e);

/* List wrong tensors and other differences on standard error. Returns ERR_DIFFERENT or OK. */
MUST_CHECK err_code verify_judge_weights(report *r, const char *path, const char *against,
                                         const weights_report *found, err *e);

/* Print a table of the tensors with the largest errors, or of all tensors. ERR_MEMORY. */
MUST_CHECK err_code verify_print_weights(const pack_table *t, const weights_report *found, bool all,
                                         err *e);

json_t *verify_integrity_json(report *r, const integrity_report *found, bool quick, double seconds);
json_t *verify_weights_json(report *r, const weights_report *found, const char *against,
                            double seconds);

/* True if the digests of all compared source tensors are those that the file recorded. */
bool verify_same_source(const weights_report *found);

#endif
