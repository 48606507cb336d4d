/* octavo export: from the options a plan, from the plan a directory. */
#include <string.h>

#include "bin/cmd.h"
#include "bin/show/export_report.h"
#include "bin/show/fit_report.h"
#include "bin/cli/job_options.h"
#include "bin/cli/value.h"
#include "bin/sandbox/sandbox.h"

typedef struct export_request {
    job_options job;
    export_options options;
    fit_request fit;
    bool dry_run;
    bool allow_unloadable; /* write what the runtime would not load */
    report *report;
} export_request;

/* 5 GB, the default of transformers as well. */
#define SHARD_BYTES 5000000000

static err_code on_option(void *ctx, const option_spec *o, const char *value, err *e)
{
    export_request *const q = ctx;
    switch (o->id) {
    case OPTION_OUTPUT:
        q->options.output = value;
        return OK;
    case OPTION_FOR:
        q->fit.runtime = true;
        return value_word("--for", value, o->words, &q->fit.preset, e);
    case OPTION_TP:
    case OPTION_EP:
        return fit_on_option(&q->fit, o, value, e);
    case OPTION_SHARD_SIZE:
        return value_size("--shard-size", value, &q->options.shard_bytes, e);
    case OPTION_DEQUANTIZE:
        q->options.dequantize = true;
        return OK;
    case OPTION_ALLOW_UNLOADABLE:
        q->allow_unloadable = true;
        return OK;
    case OPTION_DRY_RUN:
        q->dry_run = true;
        return OK;
    case OPTION_FORCE:
        q->options.force = true;
        return OK;
    default:
        return job_on_option(&q->job, o, value, e);
    }
}

static void note_rounding(const export_job *job, const monitor *m)
{
    if (job->options.preset->config != CONFIG_NONE && job->plan.number_count > 0) {
        monitor_note(m, "%llu tensor%s dequantized and rounded, because %s does not read FP8 there",
                     (unsigned long long)job->plan.number_count,
                     job->plan.number_count == 1 ? "" : "s", job->options.preset->reader);
    }
}

static void note_misread(const export_job *job, const monitor *m)
{
    const uint64_t count = job->plan.odd_count;
    if (job->options.preset->dequantizes_wrongly && count > 0) {
        monitor_note(m,
                     "%s reads %llu weight%s correctly only on a GPU: where it dequantizes, it "
                     "misreads clipped tiles and experts in three dimensions",
                     job->options.preset->reader, (unsigned long long)count, count == 1 ? "" : "s");
    }
}

static void note_scales(const export_job *job, const monitor *m)
{
    if (job->plan.not_pow2) {
        monitor_note(m,
                     "%s: not all scales are powers of two, although the config of the source says "
                     "so; the config of the export does not",
                     job->plan.not_pow2);
    }
}

/* Tensors and files that belong to a quantization which is not that of the export. */
static void note_left_out(const export_job *job, const monitor *m)
{
    const export_plan *const p = &job->plan;
    if (p->unread_count > 0) {
        monitor_note(m,
                     "%llu static scale%s or mark%s of the source's quantization, such as %s, not "
                     "exported: with the exported config nothing reads %s",
                     (unsigned long long)p->unread_count, p->unread_count == 1 ? "" : "s",
                     p->unread_count == 1 ? "" : "s",
                     job->file->table.records[p->unread_first].name,
                     p->unread_count == 1 ? "it" : "them");
    }
    if (job->left_out > 0) {
        monitor_note(m, "%zu embedded file%s not exported: %s the quantization of the source",
                     job->left_out, job->left_out == 1 ? "" : "s",
                     job->left_out == 1 ? "it describes" : "they describe");
    }
}

static err_code show(report *r, const export_job *job, const export_report *done, err *e)
{
    if (r->json) {
        export_put(r, job, done);
    } else if (report_says(r, LEVEL_NORMAL) && done) {
        export_print_result(job, done);
    } else if (report_says(r, LEVEL_NORMAL)) {
        return export_print_plan(job, e);
    }
    return OK;
}

/* Would the runtime load it? Uses config.json as exported: the additions of export do not affect
 * whether the model fits. */
static err_code find_fit(const export_request *q, const export_job *job, const monitor *m, fit *out,
                         err *e)
{
    fit_about about = {.path = job->options.path,
                       .table = &job->file->table,
                       .exported = &job->plan,
                       .monitor = m};
    for (size_t i = 0; i < job->file_count; i++) {
        if (strcmp(job->files[i].name, "config.json") == 0) {
            about.config = job->files[i].data;
            about.config_bytes = job->files[i].bytes;
        }
    }
    return fit_find(&q->fit, &about, out, e);
}

/* What the runtime would not load is written only on request. */
static err_code judge(const export_request *q, const fit *f, const monitor *m, err *e)
{
    err no = {0};
    const err_code code = fit_judge(f, q->options.path, &no);
    if (code != ERR_DIFFERENT || !q->allow_unloadable) {
        *e = no;
        err_hint(code == OK ? NULL : e, "--allow-unloadable writes it all the same");
        return code;
    }
    monitor_note(m, "%s; --allow-unloadable accepts that", no.text);
    return OK;
}

/* A plan shows everything and then gives the verdict. An export has the verdict first, and shows
 * what it is about if it is no. */
static err_code plan_only(const export_request *q, const export_job *job, const fit *f,
                          const monitor *m, err *e)
{
    TRY(show(q->report, job, NULL, e));
    TRY(fit_show(&q->fit, f, q->report, e));
    return judge(q, f, m, e);
}

static err_code write_out(const export_request *q, export_job *job, const fit *f, const monitor *m,
                          err *e)
{
    export_report done = {0};
    const bool yes = fit_says_yes(f);
    if (q->report->json || !yes) {
        TRY(fit_show(&q->fit, f, q->report, e));
    }
    TRY(judge(q, f, m, e));
    TRY(export_run(job, m, &done, e));
    if (yes) {
        fit_note(f, m);
    }
    return show(q->report, job, &done, e);
}

static err_code export(export_request *q, const command_line *line, err *e)
{
    export_job job = {0};
    fit f = {0};
    const monitor *const m = job_start(&q->job, q->report);
    TRY(sandbox_enter(COMMAND_EXPORT, line, job_explains(&q->job, m), e));
    q->options.preset = &preset_table[q->fit.preset];
    err_code code = OK;
    TRY(fit_request_check(&q->fit, q->dry_run, e));
    TRY(export_prepare(&q->options, m, &job, e));
    note_rounding(&job, m);
    note_misread(&job, m);
    note_scales(&job, m);
    note_left_out(&job, m);
    TRY_OUT(find_fit(q, &job, m, &f, e));
    TRY_OUT(q->dry_run ? plan_only(q, &job, &f, m, e) : write_out(q, &job, &f, m, e));
out:
    fit_free(&f);
    export_close(&job);
    return code;
}

static err_code run(int argc, char **argv, report *r, err *e)
{
    export_request q = {
        .report = r, .job = job_defaults(), .options = {.shard_bytes = SHARD_BYTES}};
    command_line line;
    TRY(options_parse(COMMAND_EXPORT, argc, argv, on_option, &q, &line, e));
    if (line.action != ACTION_RUN) {
        return cmd_answer(line.action, COMMAND_EXPORT, r, e);
    }
    q.options.path = line.operands[0];
    q.options.threads = q.job.threads;
    q.options.memory = q.job.memory;
    return export(&q, &line, e);
}

const command cmd_export = {
    .run = run, .on_option = on_option, .request_bytes = sizeof(export_request)};
