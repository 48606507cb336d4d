/* Options that most commands share: how many threads and how much memory, and what is printed while
 * the job runs.
 *
 *     job_options job = job_defaults();
 *     ...
 *     default: return job_take(&job, o, value, e);         after a command's own options
 *     ...
 *     const monitor *m = job_start(&job, report);
 */
#ifndef JOB_OPTIONS_H
#define JOB_OPTIONS_H

#include <stdint.h>

#include "bin/cli/report.h"

typedef struct job_options {
    unsigned threads;       /* --threads */
    uint64_t memory;        /* --memory: bytes for buffers */
    progress_when progress; /* --progress */
    report_level level;     /* -q, -v */
} job_options;

/* One thread per processor, 512 MiB, progress on a terminal. */
job_options job_defaults(void);

/* Take one of these options, or --json. Any other is one that the command has and forgot:
 * option_unhandled. Errors: ERR_USAGE. */
MUST_CHECK err_code job_take(job_options *job, const option_spec *o, const char *value, err *e);

/* From here on the report prints as much as was asked for, and signals end the job in good order.
 * Returns the monitor for the job. */
const monitor *job_start(const job_options *job, report *r);

#endif
