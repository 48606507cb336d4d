/* The verdict on a forward pass: measurements against limits. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bin/verify/forward_report.h"
#include "bin/cli/text.h"

enum { FAILURE_LINES_MAX = 100 };

/* Metrics of routers apply only to layers with experts. */
static bool applies(const forward_report *found, metric m, unsigned layer)
{
    return metrics[m].scope != SCOPE_ROUTER || model_has_experts(&found->config, layer);
}

static err_code judge_layers(const forward_report *found, const forward_variant *f, metric m,
                             const limits *l, limit_failures *out, err *e)
{
    for (unsigned i = 0; i < found->config.layers; i++) {
        if (applies(found, m, i)) {
            const double value = metric_of_layer(m, &f->layers[i]);
            TRY(limits_judge(l, f->fp8 ? LIMITS_FP8 : LIMITS_F32, m, &value, i, 1, out, e));
        }
    }
    return OK;
}

/* Judge every metric of a comparison of two models. */
static err_code judge_form(const forward_report *found, const forward_variant *f, const limits *l,
                           limit_failures *out, err *e)
{
    for (metric m = 0; m < METRIC_COUNT; m++) {
        if (metrics[m].scope == SCOPE_SUMMARY) {
            const double value = metric_of_summary(m, &f->summary);
            TRY(limits_judge(l, f->fp8 ? LIMITS_FP8 : LIMITS_F32, m, &value, -1, 1, out, e));
        } else if (metrics[m].scope != SCOPE_REFERENCE) {
            TRY(judge_layers(found, f, m, l, out, e));
        }
    }
    return OK;
}

static void complain(report *r, const char *path, const forward_variant *f, const limit_failure *l)
{
    char layer[32] = "";
    if (l->layer >= 0) {
        snprintf(layer, sizeof layer, "layer %" PRId64 ": ", l->layer);
    }
    report_error(r, "%s: %s%s %.9g, limit %.9g (%s activations)", path, layer, metrics[l->of].name,
                 l->measured, l->limit, f->fp8 ? "fp8" : "float32");
}

static json_t *failure_json(report *r, const forward_variant *f, const limit_failure *l)
{
    json_t *const o = json_object();
    report_put(r, o, "metric", report_text(metrics[l->of].name));
    report_put(r, o, "activations", report_text(f->fp8 ? "fp8" : "f32"));
    report_put(r, o, "layer", l->layer < 0 ? json_null() : json_integer(l->layer));
    report_put(r, o, "value", report_real(l->measured));
    report_put(r, o, "limit", report_real(l->limit));
    return o;
}

/* Report the exceeded limits of one form; *total counts those of all forms. */
static void report_failures(report *r, const char *path, const forward_variant *f,
                            const limit_failures *failed, json_t *list, size_t *total)
{
    for (size_t i = 0; i < failed->count; i++) {
        if (r->json) {
            report_append(r, list, failure_json(r, f, &failed->items[i]));
        } else if (*total < FAILURE_LINES_MAX) {
            complain(r, path, f, &failed->items[i]);
        }
        (*total)++;
    }
}

/* All limits are met: print how near the worst layer came to its own. */
static void print_met(const forward_report *found, const limits *l)
{
    for (unsigned i = 0; i < found->variant_count; i++) {
        const forward_variant *const f = &found->variants[i];
        const double bound = l->bounds[f->fp8 ? LIMITS_FP8 : LIMITS_F32][METRIC_LOCAL_ERROR];
        unsigned worst = 0;
        for (unsigned k = 1; k < found->config.layers; k++) {
            worst = f->layers[k].local_error > f->layers[worst].local_error ? k : worst;
        }
        printf("%slimits: all met (%s activations): largest local error %.3g, in layer %u",
               i ? "" : "\n", f->fp8 ? "fp8" : "float32", f->layers[worst].local_error, worst);
        if (!isnan(bound)) {
            printf(", limit %.3g", bound);
        }
        printf("\n");
    }
}

/* Judge one form and report what it exceeds. Only the first form is compared with a reference. */
static err_code judge_and_report(report *r, const forward_subject *s, const forward_report *found,
                                 unsigned form, const limits *l, json_t *list, size_t *total,
                                 err *e)
{
    const forward_variant *const f = &found->variants[form];
    limit_failures failed = {0};
    err_code code = OK;
    if (s->against) {
        code = judge_form(found, f, l, &failed, e);
    } else if (found->has_states && form == 0) {
        code = judge_layers(found, f, METRIC_REFERENCE_ERROR, l, &failed, e);
    }
    report_failures(r, s->path, f, &failed, list, total);
    limit_failures_free(&failed);
    return code;
}

static err_code judge_forms(report *r, const forward_subject *s, const forward_report *found,
                            const limits *l, json_t *list, size_t *total, err *e)
{
    for (unsigned i = 0; i < found->variant_count; i++) {
        TRY(judge_and_report(r, s, found, i, l, list, total, e));
    }
    return OK;
}

err_code forward_judge(report *r, const forward_subject *s, const forward_report *found,
                       const limits *l, err *e)
{
    json_t *const list = r->json ? json_array() : NULL;
    size_t total = 0;
    const err_code code = judge_forms(r, s, found, l, list, &total, e);
    if (r->json) {
        report_put(r, r->root, "failed_limits", list);
    }
    TRY(code);
    if (found->modes_compared && found->unequal_layer >= 0) {
        return err_set(e, ERR_INTERNAL, "%s: layer %" PRId64 ": prefill and decode differ", s->path,
                       found->unequal_layer);
    }
    if (total > 0) {
        return err_set(e, s->against ? ERR_NUMERIC : ERR_DIFFERENT, "%s: %zu limit%s exceeded",
                       s->path, total, text_s(total));
    }
    if (s->against && !r->json && report_says(r, LEVEL_NORMAL)) {
        print_met(found, l);
    }
    return OK;
}
