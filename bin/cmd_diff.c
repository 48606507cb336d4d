/* octavo diff: the differences between two models. */
#include <stdio.h>

#include "bin/cmd.h"
#include "bin/show/diff_report.h"
#include "bin/cli/job_options.h"
#include "bin/cli/value.h"
#include "bin/sandbox/sandbox.h"

typedef struct diff_request {
    const char *paths[2];
    job_options job;
    diff_options options;
    report *report;
} diff_request;

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    diff_request *const q = ctx;
    switch (o->id) {
    case OPTION_TENSOR:
        q->options.tensor_glob = value;
        return value_glob("--tensor", value, e);
    case OPTION_FULL:
        q->options.full = true;
        return OK;
    default:
        return job_on_option(&q->job, o, value, e);
    }
}

/* The differences are the result, so they go to standard output; the error only says that there are
 * some. */
static err_code print_findings(diff_request *q, const diff_report *found, double seconds, err *e)
{
    report *const r = q->report;
    if (r->json) {
        diff_put(r, found, seconds);
    } else if (report_says(r, LEVEL_NORMAL)) {
        diff_print(q->paths, found);
    }
    return diff_is_alike(found)
               ? OK
               : err_set(e, ERR_DIFFERENT, "%s and %s differ", q->paths[0], q->paths[1]);
}

static err_code diff(diff_request *q, const command_line *line, err *e)
{
    report *const r = q->report;
    const monitor *const m = job_start(&q->job, r);
    TRY(sandbox_enter(COMMAND_DIFF, line, job_explains(&q->job, m), e));
    store *a = NULL;
    store *b = NULL;
    diff_report found = {0};
    err_code code = OK;
    if (r->json) {
        report_put(r, r->root, "kind", report_text("difference"));
        report_put(r, r->root, "a", report_text(q->paths[0]));
        report_put(r, r->root, "b", report_text(q->paths[1]));
    }
    TRY_OUT(store_open(q->paths[0], m, &a, e));
    TRY_OUT(store_open(q->paths[1], m, &b, e));
    const double start = progress_clock();
    TRY_OUT(diff_run(a, b, &q->options, m, &found, e));
    TRY_OUT(print_findings(q, &found, progress_clock() - start, e));
out:
    if (code == ERR_DAMAGED) {
        err_hint(e, "octavo verify lists every corrupted place");
    }
    diff_report_free(&found);
    store_close(a);
    store_close(b);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    diff_request q = {.report = r, .job = job_defaults()};
    command_line line;
    TRY(options_parse(COMMAND_DIFF, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_DIFF, r, e);
    }
    q.paths[0] = line.operands[0];
    q.paths[1] = line.operands[1];
    q.options.threads = q.job.threads;
    q.options.memory = q.job.memory;
    return diff(&q, &line, e);
}

const command cmd_diff = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(diff_request)};
