/* The findings of `octavo diff` as text and as JSON.
 *
 *     if (r->json) diff_put(r, &found, seconds);
 *     else diff_print(paths, &found);
 *     return diff_is_alike(&found) ? OK : err_set(e, ERR_DIFFERENT, ...);
 */
#ifndef DIFF_REPORT_H
#define DIFF_REPORT_H

#include "bin/cli/report.h"
#include "verify/diff/diff.h"

/* True if the models are equal: no difference of tensors, files or recipes. */
bool diff_is_alike(const diff_report *found);

/* Print the first hundred differences, and a line with the counts. */
void diff_print(const char *const paths[2], const diff_report *found);

/* Put all differences into the object of --json. */
void diff_put(report *r, const diff_report *found, double seconds);

#endif
