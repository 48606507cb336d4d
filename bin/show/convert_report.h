/* What octavo convert reports: the plan of a dry run, or the result of a conversion, as text or as
 * JSON (spec/cli.md section 4).
 *
 *     convert_report_plan(r, &job, e);                  -n
 *     convert_report_done(r, &job, &c, &done, e);       after convert_run
 *
 * Both print, or fill the object of the report, as its level and form ask. */
#ifndef CONVERT_REPORT_H
#define CONVERT_REPORT_H

#include "bin/cli/report.h"
#include "bin/compute/compute.h"
#include "convert/stream/convert.h"

/* ERR_MEMORY. */
MUST_CHECK err_code convert_report_plan(report *r, const convert_job *job, err *e);

/* Opens nothing: the new file may have been moved away or replaced since it got its name. ERR_MEMORY;
 * the object has its result all the same. */
MUST_CHECK err_code convert_report_done(report *r, const convert_job *job, const compute *c,
                                        const convert_report *done, err *e);

#endif
