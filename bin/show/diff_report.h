/* What diff found, as text and as JSON. */
#ifndef DIFF_REPORT_H
#define DIFF_REPORT_H

#include "bin/cli/report.h"
#include "verify/diff/diff.h"

bool diff_is_alike(const diff_report *found);

/* The first hundred differences, and a line that counts. */
void diff_print(const char *const paths[2], const diff_report *found);

/* All of them into the object of --json. */
void diff_put(report *r, const diff_report *found, double seconds);

#endif
