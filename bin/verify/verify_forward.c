/* The third check of verify: run the model. The pass is run over the tokens that are ready, and
 * what it measured is printed and judged. */
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

/* At the lowest level every fused multiply-add is a call of the C library. */
static err_code say_if_slow(const forward_check *c, err *e)
{
    cpu_level level = CPU_BASELINE;
    const err_code code = cpu_level_choose(&level, e);
    if (code == OK && level == CPU_BASELINE) {
        monitor_note(c->monitor, "without vectors and fused multiply-add of the processor the "
                                 "forward pass is right, but slow");
    }
    return code;
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
    };
    const err_code code = say_if_slow(c, e);
    return code == OK ? ops_cpu_create(c->q->job.threads, &c->ops, e) : code;
}

static void complain_key(void *ctx, const char *key, const char *packed, const char *source)
{
    const verify_request *const q = ctx;
    report *const r = q->report;
    if (!r->json) {
        report_complain(r, "%s: config.json: %s: %s in the packed file, %s in the source", q->path,
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

/* The configurations, if the comparison of weights has not done it already. */
static err_code compare_configurations(forward_check *c, err *e)
{
    verify_request *const q = c->q;
    model_config packed;
    model_config source;
    if (!c->in->against || (q->checks & CHECK_WEIGHTS)) {
        return OK;
    }
    err_code code = model_config_read(c->in->model, model_archs, NULL, &packed, e);
    if (code == OK) {
        code = model_config_read(c->in->against, model_archs, NULL, &source, e);
    }
    if (code == OK && !model_config_same(&packed, &source, complain_key, q)) {
        code = err_set(e, ERR_DIFFERENT, "%s: its configuration is not that of %s", q->path,
                       q->against);
    }
    return code;
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

static err_code tell(forward_check *c, const forward_report *found, double seconds, err *e)
{
    report *const r = c->q->report;
    const forward_subject subject = {
        .path = c->q->path,
        .against = c->q->against,
        .reference = c->q->forward.reference,
        .slopes = c->options.slopes,
        .tokens_left = c->in->tokens_left,
        .seconds = seconds,
    };
    err_code code = OK;
    if (r->json) {
        report_put(r, r->root, "forward", forward_json(r, &subject, found));
    } else if (report_says(r, LEVEL_NORMAL)) {
        code = forward_print(&subject, found, e);
    }
    return code == OK ? forward_judge(r, &subject, found, &c->in->limits, e) : code;
}

err_code verify_forward(verify_request *q, const verify_inputs *in, const monitor *m, err *e)
{
    forward_check c = {.q = q, .in = in, .monitor = m};
    forward_report found = {0};
    double seconds = 0;
    err first = {0}; /* a difference of configurations; the models run all the same */
    err_code code = prepare(&c, e);
    const err_code configurations = code == OK ? compare_configurations(&c, &first) : OK;
    if (configurations != OK && configurations != ERR_DIFFERENT) {
        *e = first;
        code = configurations;
    }
    if (code == OK) {
        code = run(&c, &found, &seconds, e);
    }
    if (code == OK) {
        code = tell(&c, &found, seconds, e);
    }
    if (configurations == ERR_DIFFERENT && err_worse(code, configurations) == configurations) {
        *e = first;
        code = configurations;
    }
    forward_report_free(&found);
    if (c.ops) {
        c.ops->destroy(c.ops);
    }
    return code;
}
