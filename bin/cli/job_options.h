/* Options that most commands share: number of threads, memory, and what is printed while the job
 * runs.
 *
 *     job_options job = job_defaults();
 *     ...
 *     default: return job_on_option(&job, o, value, e);    after a command's own options
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

/* Store one of these options. Errors: ERR_USAGE; ERR_INTERNAL for any other option, which the
 * command should have handled. */
MUST_CHECK err_code job_on_option(job_options *job, const option_spec *o, const char *value,
                                  err *e);

/* Set the report's level, and install handlers so that signals end the job cleanly. Returns the
 * monitor for the job, which belongs to the report. */
const monitor *job_start(const job_options *job, report *r);

/* The monitor, or NULL without -v: for notes that explain. */
const monitor *job_explains(const job_options *job, const monitor *m);

#endif
