/* Reports on an export: its plan, and its result, as text and as JSON.
 *
 *     r->json ? export_put(r, &job, &done) : export_print_result(&job, &done);
 */
#ifndef EXPORT_REPORT_H
#define EXPORT_REPORT_H

#include "bin/cli/report.h"
#include "convert/export/export.h"

/* Print the shards, the files, the modules that are not FP8 and the tensors that are dequantized.
 * ERR_MEMORY. */
MUST_CHECK err_code export_print_plan(const export_job *job, err *e);

/* Print one line about a finished export. */
void export_print_result(const export_job *job, const export_report *done);

/* Put plan and result into the object of --json; `done` is NULL for a plan. */
void export_put(report *r, const export_job *job, const export_report *done);

#endif
