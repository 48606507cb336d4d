#include "bin/cli/job_options.h"

#include "bin/cli/signals.h"
#include "bin/cli/value.h"
#include "format/base/num.h"
#include "format/thread/parallel.h"

enum { THREADS_MAX = 4096 };

job_options job_defaults(void)
{
    return (job_options){
        .threads = parallel_processors(), .memory = 512 * MIB, .level = LEVEL_NORMAL};
}

err_code job_on_option(job_options *job, const option_spec *o, const char *value, err *e)
{
    unsigned when = 0;
    switch (o->id) {
    case OPTION_THREADS:
        return value_count("--threads", value, 1, THREADS_MAX, &job->threads, e);
    case OPTION_MEMORY:
        return value_size("--memory", value, &job->memory, e);
    case OPTION_PROGRESS:
        TRY(value_word("--progress", value, o->words, &when, e));
        job->progress = (progress_when)when;
        return OK;
    case OPTION_QUIET:
        job->level = LEVEL_QUIET;
        return OK;
    case OPTION_VERBOSE:
        job->level = LEVEL_VERBOSE;
        return OK;
    default:
        return option_unhandled(o, e);
    }
}

const monitor *job_start(const job_options *job, report *r)
{
    signals_install();
    r->level = job->level;
    return report_monitor(r, job->progress);
}

const monitor *job_explains(const job_options *job, const monitor *m)
{
    return job->level == LEVEL_VERBOSE ? m : NULL;
}
