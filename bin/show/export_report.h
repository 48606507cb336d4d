/* The plan of an export, and what became of it, as text and as JSON. */
#ifndef EXPORT_REPORT_H
#define EXPORT_REPORT_H

#include "bin/cli/report.h"
#include "convert/export/export.h"

/* Print shards, files, and the modules that are not FP8. Errors: ERR_MEMORY. */
MUST_CHECK err_code export_print_plan(const export_job *job, err *e);

void export_print_result(const export_job *job, const export_report *done);

/* Put it into the report's object; `done` is NULL for a plan. */
void export_put(report *r, const export_job *job, const export_report *done);

#endif
