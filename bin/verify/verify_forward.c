/* The third check of verify: run the model over the tokens that verify_prepare made, then print and
 * judge the measurements. */
#include <signal.h>
#include <string.h>

#include "bin/cli/signals.h"
#include "bin/verify/forward_report.h"
#include "bin/verify/verify_prepare.h"
#include "format/base/cpu_level.h"
#include "verify/arch/archs.h"
#include "verify/forward/forward.h"
#include "verify/ops/ops_cpu.h"

typedef struct forward_check {
    verify_request *q;
    const verify_inputs *in;
    const monitor *monitor;
    ops *ops;
    forward_options options;
} forward_check;

/* ---- running --------------------------------------------------- */

/* At the lowest level, every fused multiply-add is a call of the C library. */
static err_code note_if_slow(const forward_check *c, err *e)
{
    cpu_level level = CPU_BASELINE;
    TRY(cpu_level_choose(&level, e));
    if (level == CPU_BASELINE) {
        monitor_note(c->monitor, "without the processor's vectors and fused multiply-add the "
                                 "forward pass is correct, but slow");
    }
    return OK;
}

/* The model was opened before the check of its digests. */
static err_code check_same_file(const verify_inputs *in, err *e)
{
    const pack_file *const run = in->model->packed;
    const bool same = !in->packed || (run && memcmp(in->packed->trailer.root, run->trailer.root,
                                                    sizeof run->trailer.root) == 0);
    return same ? OK : file_stamp_refuse(in->q->path, e);
}

/* A checkpoint without FP8 is not by any recipe: whatever differs from the source may be meant. */
static bool has_a_recipe(const store *model)
{
    bool quantized = model->packed != NULL;
    for (size_t i = 0; i < model->count && !quantized; i++) {
        quantized = model->tensors[i].quantized;
    }
    return quantized;
}

/* If every tensor is its definition, the packed file is the ideal one; but the ideal file has the
 * slopes of the source. */
static ideal_origin ideal_origin_of(const forward_check *c)
{
    const forward_request *const f = &c->q->forward;
    if (f->no_ideal || !c->in->against || !has_a_recipe(c->in->model)) {
        return IDEAL_NONE;
    }
    return c->in->weights_proved && f->slopes[0] == f->slopes[1] ? IDEAL_PACKED : IDEAL_COMPUTED;
}

/* Ctrl-C; every other signal ends the run at once. */
static bool is_interrupted(void *ctx)
{
    (void)ctx;
    return signals_pending() == SIGINT;
}

static err_code prepare(forward_check *c, err *e)
{
    const forward_request *const f = &c->q->forward;
    c->options = (forward_options){
        .ids = c->in->tokens.ids,
        .sequences = c->in->sequences,
        .length = c->in->length,
        .f32 = f->activations & ACTIVATIONS_F32,
        .fp8 = f->activations & ACTIVATIONS_FP8,
        .slopes = {f->slopes[0], f->slopes[1]},
        .prefill = f->modes & MODE_PREFILL,
        .decode = f->modes & MODE_DECODE,
        .threads = c->q->job.threads,
        .memory = c->q->job.memory,
        .dump = f->dump,
        .force = f->force,
        .reference = c->in->reference,
        .ideal = ideal_origin_of(c),
        .versus = c->in->versus,
        .finish = is_interrupted,
    };
    TRY(check_same_file(c->in, e));
    TRY(note_if_slow(c, e));
    return ops_cpu_create(c->q->job.threads, &c->ops, e);
}

static void report_key(void *ctx, const char *key, const char *packed, const char *source)
{
    const verify_request *const q = ctx;
    report *const r = q->report;
    if (!r->json) {
        report_error(r, "%s: config.json: %s: %s in the packed file, %s in the source", q->path,
                     key, packed, source);
        return;
    }
    json_t *list = json_object_get(r->root, "config_differences");
    if (!list) {
        list = json_array();
        report_put(r, r->root, "config_differences", list);
    }
    json_t *const o = json_object();
    report_put(r, o, "key", report_text(key));
    report_put(r, o, "packed", report_text(packed));
    report_put(r, o, "source", report_text(source));
    report_append(r, list, o);
}

/* Compare the configuration of a model with that of the source. `each`: what to do with a key. */
static err_code compare_with_source(forward_check *c, const store *model, model_difference *each,
                                    err *e)
{
    model_config packed;
    model_config source;
    TRY(model_config_read(model, model_archs, NULL, &packed, e));
    TRY(model_config_read(c->in->against, model_archs, NULL, &source, e));
    return model_config_same(&packed, &source, each, c->q)
               ? OK
               : err_set(e, ERR_DIFFERENT, "%s: its configuration differs from that of %s",
                         model->path, c->q->against);
}

/* The comparison of weights, if it is about all of them, has reported the keys already. */
static err_code compare_configurations(forward_check *c, err *e)
{
    const verify_request *const q = c->q;
    const bool known = (q->checks & CHECK_WEIGHTS) && !q->tensor;
    if (!c->in->against) {
        return OK;
    }
    TRY(compare_with_source(c, c->in->model, known ? NULL : report_key, e));
    return c->in->versus ? compare_with_source(c, c->in->versus, NULL, e) : OK;
}

static err_code run(forward_check *c, forward_report *found, double *seconds, err *e)
{
    const double start = progress_clock();
    const err_code code =
        c->in->against ? forward_compare(c->in->against, c->in->model, &c->options, c->ops,
                                         c->monitor, found, e)
                       : forward_single(c->in->model, &c->options, c->ops, c->monitor, found, e);
    *seconds = progress_clock() - start;
    return code;
}

/* ---- the check ------------------------------------------------- */

static err_code report_findings(forward_check *c, const forward_report *found, double seconds,
                                err *e)
{
    report *const r = c->q->report;
    const forward_subject subject = {
        .path = c->q->path,
        .against = c->q->against,
        .reference = c->q->forward.reference,
        .versus = c->q->forward.versus,
        .slopes = c->options.slopes,
        .limited = c->q->forward.limits,
        .no_ideal = c->q->forward.no_ideal,
        .proved = c->in->weights_proved,
        .sequences = c->options.sequences,
        .tokens_dropped =
            c->in->tokens_dropped + (c->options.sequences - found->sequences) * found->length,
        .text = c->q->forward.text != NULL,
        .text_ended = c->in->text_ended,
        .seconds = seconds,
    };
    if (r->json) {
        report_put(r, r->root, "forward", forward_json(r, &subject, found));
    } else if (report_says(r, LEVEL_NORMAL)) {
        TRY(forward_print(&subject, found, e));
    }
    return forward_judge(r, &subject, found, &c->in->limits, e);
}

/* Ctrl-C ended the run early: what was measured is reported, but that is not what was asked for. */
static err_code check_complete(const forward_check *c, const forward_report *found, err *e)
{
    return found->sequences == c->options.sequences
               ? OK
               : err_set(e, ERR_CANCELLED, "interrupted: the report is about %zu of %zu sequences",
                         found->sequences, c->options.sequences);
}

static err_code run_and_report(forward_check *c, err *e)
{
    forward_report found = {0};
    double seconds = 0;
    err_code code = OK;
    TRY_OUT(run(c, &found, &seconds, e));
    TRY_OUT(report_findings(c, &found, seconds, e));
    TRY_OUT(check_complete(c, &found, e));
out:
    forward_report_free(&found);
    return code;
}

err_code verify_forward(verify_request *q, const verify_inputs *in, const monitor *m, err *e)
{
    forward_check c = {.q = q, .in = in, .monitor = m};
    err_code code = OK;
    TRY_OUT(prepare(&c, e));
    TRY_OUT(compare_configurations(&c, e)); /* other models need no comparison */
    TRY_OUT(run_and_report(&c, e));
out:
    if (c.ops) {
        c.ops->destroy(c.ops);
    }
    return code;
}
