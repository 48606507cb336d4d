/* A plan, and what became of it, as text and as JSON. */
#ifndef PLAN_REPORT_H
#define PLAN_REPORT_H

#include "bin/show/packed_view.h"
#include "bin/cli/report.h"
#include "convert/stream/convert.h"

/* Print the plan: tensors, files, totals. `fold`: layers that are alike are told once. */
MUST_CHECK err_code plan_print(const convert_job *job, bool fold, err *e);

/* Print a line for each tensor of a finished conversion. */
MUST_CHECK err_code plan_print_tensors(const convert_job *job, const packed_view *made, err *e);

/* The plan as an object; `made` is NULL, or the file that was made, for the error of each tensor.
 */
json_t *plan_json(report *r, const convert_job *job, const packed_view *made);

/* "keep", "quantize" or "carry" */
const char *plan_decision(const pack_record *r);

#endif
