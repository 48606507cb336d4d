/* The verdict on a forward pass: parts and predictions against those of the ideal file, and
 * measurements against limits. */
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

/* There is a KL with the source's choice of experts only if there are experts. */
static bool applies_to_all(const forward_report *found, metric m)
{
    return m != METRIC_KL_CHOICE || model_count_experts(&found->config, found->config.layers) > 0;
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
        if (metrics[m].scope == SCOPE_SUMMARY && applies_to_all(found, m)) {
            const double value = metric_of_summary(m, &f->logits[SIDE_PACKED].summary);
            TRY(limits_judge(l, f->fp8 ? LIMITS_FP8 : LIMITS_F32, m, &value, -1, 1, out, e));
        } else if (metrics[m].scope != SCOPE_SUMMARY && metrics[m].scope != SCOPE_REFERENCE) {
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
                 l->measured, l->limit, forward_activations(f));
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

/* ---- against the ideal file ------------------------------------ */

typedef struct verdict {
    size_t faults; /* parts at fault, in all variants */
    size_t worse;  /* variants that predict worse than the ideal file */
    size_t limits; /* exceeded */
} verdict;

static const char *part_title(model_part part)
{
    static const char *const titles[MODEL_PARTS] = {
        [PART_EMBEDDING] = "embedding",
        [PART_ATTENTION] = "attention",
        [PART_ROUTER] = "router",
        [PART_MLP] = "MLP",
        [PART_HEAD] = "final norm and head",
    };
    return titles[part];
}

static void complain_part(report *r, const char *path, const forward_variant *f,
                          const part_measure *p)
{
    char where[64];
    if (p->layer < 0) {
        snprintf(where, sizeof where, "%s", part_title(p->part));
    } else {
        snprintf(where, sizeof where, "layer %" PRId64 ": %s", p->layer, part_title(p->part));
    }
    if (p->defined) {
        report_error(r, "%s: %s: differs from the ideal file (distance %.3g, %s activations)", path,
                     where, p->distance, forward_activations(f));
    } else {
        report_error(r,
                     "%s: %s: error %.4g, more than %.2f times the %.4g of the ideal file (%s "
                     "activations)",
                     path, where, p->error, PART_TOLERANCE, p->ideal_error, forward_activations(f));
    }
}

static json_t *fault_json(report *r, const forward_variant *f, const part_measure *p)
{
    json_t *const o = forward_part_json(r, p);
    report_put(r, o, "activations", report_text(f->fp8 ? "fp8" : "f32"));
    return o;
}

static size_t report_faults(report *r, const char *path, const forward_variant *f, json_t *list)
{
    size_t count = 0;
    for (size_t i = 0; i < f->part_count; i++) {
        if (!part_at_fault(&f->parts[i])) {
            continue;
        }
        if (r->json) {
            report_append(r, list, fault_json(r, f, &f->parts[i]));
        } else if (count < FAILURE_LINES_MAX) {
            complain_part(r, path, f, &f->parts[i]);
        }
        count++;
    }
    return count;
}

static bool all_defined(const forward_variant *f)
{
    bool all = true;
    for (size_t i = 0; i < f->part_count; i++) {
        all = all && f->parts[i].defined;
    }
    return all;
}

/* What differs only on the packed model's own states is in no part: an expert that the source did not
 * choose, or a weight that its states did not show. */
static size_t report_own(report *r, const char *path, const forward_variant *f, json_t *list)
{
    if (f->unequal_layer < 0 || !all_defined(f)) {
        return 0;
    }
    if (r->json) {
        const part_measure none = {.layer = f->unequal_layer,
                                   .defined = true,
                                   .error = NAN,
                                   .ideal_error = NAN,
                                   .distance = NAN,
                                   .versus_error = NAN};
        json_t *const o = fault_json(r, f, &none);
        report_put(r, o, "part", json_null());
        report_append(r, list, o);
    } else {
        report_error(r,
                     "%s: layer %" PRId64
                     ": its own states are not those of the ideal file, although "
                     "no part differs on the states of the source (%s activations)",
                     path, f->unequal_layer, forward_activations(f));
    }
    return 1;
}

static void complain_worse(report *r, const char *path, const forward_variant *f)
{
    const paired *const p = &f->with_ideal;
    report_error(r,
                 "%s: predicts worse than the ideal file, by more than chance explains (KL %.3g "
                 "+- %.2g, top-1 %.3g +- %.2g, log perplexity %.3g +- %.2g; %s activations)",
                 path, p->kl.mean, p->kl.standard_error, p->top1.mean, p->top1.standard_error,
                 p->nll.mean, p->nll.standard_error, forward_activations(f));
}

static void judge_against_ideal(report *r, const forward_subject *s, const forward_variant *f,
                                json_t *list, verdict *v)
{
    const paired *const p = &f->with_ideal;
    const size_t parts = report_faults(r, s->path, f, list);
    v->faults += parts > 0 ? parts : report_own(r, s->path, f, list);
    if (paired_is_judged(p) && paired_is_worse(p)) {
        v->worse++;
        if (!r->json) {
            complain_worse(r, s->path, f);
        }
    }
}

/* ---- the verdict ----------------------------------------------- */

/* What the text did not reach is not known to be right, unless the check of weights says so. */
static void print_not_reached(const forward_subject *s, const forward_report *found)
{
    const coverage *const c = &found->coverage;
    const uint64_t experts = c->experts - c->chosen;
    if (s->proved || (experts == 0 && c->unread == 0)) {
        return;
    }
    printf("gate: the text did not reach ");
    if (experts > 0) {
        printf("%" PRIu64 " of %" PRIu64 " experts", experts, c->experts);
    }
    if (c->unread > 0) {
        printf("%s%" PRIu64 " other tensor%s", experts > 0 ? " and " : "", c->unread,
               text_s(c->unread));
    }
    printf(": nothing is known of them\n");
}

static void print_passed_parts(const forward_report *found, const forward_variant *f)
{
    double largest = 0;
    size_t others = 0;
    for (size_t i = 0; i < f->part_count; i++) {
        const part_measure *const p = &f->parts[i];
        const double ratio = p->error == 0 ? 0 : p->error / p->ideal_error;
        largest = !p->defined && ratio > largest ? ratio : largest;
        others += !p->defined;
    }
    printf("gate: passed (%s activations): ", forward_activations(f));
    if (others == 0) {
        printf("every %s exactly its definition, as good as this format can be\n",
               found->ideal == IDEAL_PACKED ? "tensor is" : "part, as far as the text reaches, is");
    } else {
        printf(
            "%zu of %zu parts have numbers of another tool or source; largest error %.3f times that "
            "of the ideal file, limit %.2f\n",
            others, f->part_count, largest, PART_TOLERANCE);
    }
}

static void print_passed(const forward_subject *s, const forward_report *found)
{
    putchar('\n');
    for (unsigned i = 0; i < found->variant_count && found->ideal != IDEAL_NONE; i++) {
        print_passed_parts(found, &found->variants[i]);
    }
    if (found->ideal == IDEAL_NONE) {
        printf("gate: not judged: %s\n", s->no_ideal
                                             ? "--no-ideal leaves the ideal file out"
                                             : "a checkpoint without FP8 follows no recipe");
    }
    print_not_reached(s, found);
    if (s->limited) {
        printf("limits: all met\n");
    }
}

static void refuse(const forward_subject *s, const verdict *v, err *e)
{
    const char *const before = v->faults ? "; " : "";
    char faults[64] = "";
    char worse[64] = "";
    char exceeded[64] = "";
    if (v->faults) {
        snprintf(faults, sizeof faults, "%zu part%s at fault", v->faults, text_s(v->faults));
    }
    if (v->worse) {
        snprintf(worse, sizeof worse, "%spredicts worse than the ideal file", before);
    }
    if (v->limits) {
        snprintf(exceeded, sizeof exceeded, "%s%zu limit%s exceeded", v->worse ? "; " : before,
                 v->limits, text_s(v->limits));
    }
    err_set(e, s->against ? ERR_NUMERIC : ERR_DIFFERENT, "%s: %s%s%s", s->path, faults, worse,
            exceeded);
}

static err_code judge_all(report *r, const forward_subject *s, const forward_report *found,
                          const limits *l, verdict *v, err *e)
{
    json_t *const failed = r->json ? json_array() : NULL;
    json_t *const faults = r->json ? json_array() : NULL;
    for (unsigned i = 0; i < found->variant_count; i++) {
        judge_against_ideal(r, s, &found->variants[i], faults, v);
    }
    const err_code code = judge_forms(r, s, found, l, failed, &v->limits, e);
    if (r->json) {
        report_put(r, r->root, "faults", faults);
        report_put(r, r->root, "failed_limits", failed);
    }
    return code;
}

err_code forward_judge(report *r, const forward_subject *s, const forward_report *found,
                       const limits *l, err *e)
{
    verdict v = {0};
    TRY(judge_all(r, s, found, l, &v, e));
    if (found->sequences < s->sequences) {
        return OK; /* what is at fault is reported; the verdict is that the run was interrupted */
    }
    if (found->modes_compared && found->unequal_layer >= 0) {
        return err_set(e, ERR_INTERNAL, "%s: layer %" PRId64 ": prefill and decode differ", s->path,
                       found->unequal_layer);
    }
    if (v.faults || v.worse || v.limits) {
        refuse(s, &v, e);
        return s->against ? ERR_NUMERIC : ERR_DIFFERENT;
    }
    if (s->against && !r->json && report_says(r, LEVEL_NORMAL)) {
        print_passed(s, found);
    }
    return OK;
}
