/* The plan of a conversion, and its result, as text and as JSON.
 *
 *     if (r->json) report_put(r, r->root, "plan", plan_json(r, &job));
 *     else TRY(plan_print(&job, r->level < LEVEL_VERBOSE, e));
 */
#ifndef PLAN_REPORT_H
#define PLAN_REPORT_H

#include "bin/cli/report.h"
#include "convert/stream/convert.h"

/* Print the plan: tensors, files, totals. `fold`: identical layers are one group, else every tensor
 * has a row. ERR_MEMORY. */
MUST_CHECK err_code plan_print(const convert_job *job, bool fold, err *e);

/* Print a row for each tensor of a finished conversion. ERR_MEMORY. */
MUST_CHECK err_code plan_print_tensors(const convert_job *job, err *e);

/* The plan as an object; after a conversion, with the error of each tensor. */
json_t *plan_json(report *r, const convert_job *job);

/* The decision about a record: "keep", "quantize" or "carry". */
const char *plan_decision(const convert_job *job, uint32_t number);

#endif
