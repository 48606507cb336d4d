#include "convert/fit/fit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_config.h"
#include "format/base/num.h"

const char *fit_reason_name(fit_reason r)
{
    static const char *const names[] = {
#define X(code, name) name,
        FIT_REASONS(X)
#undef X
    };
    return names[r];
}

const char *fit_warning_name(fit_warning_id w)
{
    static const char *const names[] = {
#define X(code, name) name,
        FIT_WARNINGS(X)
#undef X
    };
    return names[w];
}

err_code fit_warn(fit *f, fit_warning_id id, bool blocks, err *e, const char *format, ...)
{
    char text[2048]; /* an error and its hint */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *const copy = strdup(text);
    if (!copy) {
        return err_set(e, ERR_MEMORY, "no memory for a warning");
    }
    f->warnings[f->warning_count++] = (fit_warning){id, blocks, copy};
    return OK;
}

/* ---- would it be exported at all ------------------------------- */

static err_code warn_refused(fit *f, const err *why, err *e)
{
    return fit_warn(f, WARN_EXPORT_REFUSED, true, e, "%s%s%s", why->text, why->hint[0] ? "; " : "",
                    why->hint);
}

static err_code plan_export(const fit_question *q, export_how *how, export_plan *plan, err *e)
{
    TRY(export_config_check(q->config, q->config_bytes, how, e));
    return export_plan_make(q->table, how, plan, e);
}

/* Plan the export. If that is refused, warn, and make a plan that dequantizes where FP8 is not read,
 * so that the FP8 that would remain can be checked; *made: there is a plan. Running out of memory is
 * an error, not a refusal. */
static err_code try_export(const fit_question *q, fit *f, export_plan *plan, bool *made, err *e)
{
    err why = {0};
    export_how how = {.preset = q->preset, .shard_bytes = UINT64_MAX, .monitor = q->monitor};
    err_code code = plan_export(q, &how, plan, &why);
    *made = code == OK;
    if (code != ERR_INPUT) {
        return code == OK ? OK : err_set(e, code, "%s", why.text);
    }
    TRY(warn_refused(f, &why, e));
    err again = {0};
    export_plan_free(plan);
    how.dequantize = true;
    how.refused = true;
    code = export_plan_make(q->table, &how, plan, &again);
    *made = code == OK;
    return code == ERR_MEMORY || code == ERR_CANCELLED ? err_set(e, code, "%s", again.text) : OK;
}

static err_code gather(const fit_question *q, fit *f, err *e)
{
    export_plan tried = {0};
    bool made = false;
    err_code code = OK;
    if (!q->exported && q->config) {
        TRY_OUT(try_export(q, f, &tried, &made, e));
    }
    const export_plan *const plan = made ? &tried : q->exported;
    TRY_OUT(fit_kinds_gather(q->table, plan, q->monitor, f, e));
    TRY_OUT(fit_hold(q->table, plan, q->monitor, f, e));
out:
    export_plan_free(&tried);
    return code;
}

/* ---- runs ------------------------------------------------------ */

static err_code add_fault(fit *f, size_t *capacity, fit_fault_of_run fault, err *e)
{
    if (f->fault_count == FIT_MAX_FAULTS) {
        err_set(e, ERR_INPUT, "more than %d reasons why runs on these devices do not fit",
                FIT_MAX_FAULTS);
        err_hint(e, "ask for fewer sizes with --tp and --ep");
        return ERR_INPUT;
    }
    if (f->fault_count == *capacity) {
        const size_t more = num_max(64, 2 * *capacity);
        fit_fault_of_run *const larger = realloc(f->faults, more * sizeof *larger);
        if (!larger) {
            return err_set(e, ERR_MEMORY, "no memory for what does not fit");
        }
        f->faults = larger;
        *capacity = more;
    }
    f->faults[f->fault_count++] = fault;
    return OK;
}

/* In SGLang the devices of experts are some of those of tp; in other runtimes ep is tp times the
 * number of copies of the rest of the model. */
static bool knows_sizes(const preset *p, const fit_run *run)
{
    return run->ep == 1 || run->ep % run->tp == 0 || (p->experts_in_tp && run->tp % run->ep == 0);
}

static uint64_t expert_devices(const fit_run *run)
{
    return run->tp > run->ep ? run->tp / run->ep : 1;
}

static bool shares_kv(const fit *f, const fit_run *run)
{
    const uint64_t kv = f->model.kv_heads;
    return f->preset->copies_kv && run->tp > kv ? run->tp % kv == 0 : kv % run->tp == 0;
}

/* Write the faults that concern no single matrix, at most one for each reason, to `out`; returns
 * their number. */
static size_t judge_model(const fit *f, uint64_t experts, const fit_run *run, fit_fault_of_run *out)
{
    const fit_model *const m = &f->model;
    size_t n = 0;
    if (m->heads % run->tp != 0) {
        out[n++] = (fit_fault_of_run){FIT_HEADS, 0, {NULL, m->heads, run->tp, false}};
    }
    if (m->kv_heads > 0 && !shares_kv(f, run)) {
        out[n++] = (fit_fault_of_run){FIT_KV_HEADS, 0, {NULL, m->kv_heads, run->tp, false}};
    }
    if (m->norm_groups % run->tp != 0) {
        out[n++] = (fit_fault_of_run){FIT_NORM_GROUPS, 0, {NULL, m->norm_groups, run->tp, false}};
    }
    if (!knows_sizes(f->preset, run)) {
        out[n++] = (fit_fault_of_run){FIT_SIZES, 0, {NULL, run->tp, run->ep, false}};
    }
    if (run->ep > 1 && experts == 0) {
        out[n++] = (fit_fault_of_run){FIT_NO_EXPERTS, 0, {NULL, 0, run->ep, false}};
    } else if (run->ep > 1 && experts % run->ep != 0) {
        out[n++] = (fit_fault_of_run){FIT_EXPERTS, 0, {NULL, experts, run->ep, false}};
    }
    return n;
}

static err_code judge_run(fit *f, uint64_t experts, const monitor *m, fit_run *run,
                          size_t *capacity, err *e)
{
    fit_fault_of_run of_model[FIT_REASON_COUNT];
    const size_t count = judge_model(f, experts, run, of_model);
    run->first = f->fault_count;
    for (size_t i = 0; i < count; i++) {
        TRY(add_fault(f, capacity, of_model[i], e));
    }
    for (size_t i = 0; i < f->kind_count; i++) {
        TRY(monitor_step(m, i, e));
        const fit_kind *const k = &f->kinds[i];
        fit_fault_of_run fault = {.kind = i};
        if (!fit_whole(&k->layout, k->expert ? expert_devices(run) : run->tp, &fault.fault)) {
            fault.reason = fault.fault.columns ? FIT_COLUMNS : FIT_ROWS;
            run->matrices += k->matrices;
            TRY(add_fault(f, capacity, fault, e));
        }
    }
    run->count = f->fault_count - run->first;
    return OK;
}

static err_code judge_runs(const fit_question *q, fit *f, err *e)
{
    const uint64_t experts = fit_experts(q->table, &f->model);
    const size_t tps = num_max(1, q->tp.count);
    const size_t eps = num_max(1, q->ep.count);
    size_t capacity = 0; /* of f->faults */
    f->runs = calloc(tps * eps, sizeof *f->runs);
    if (!f->runs) {
        return err_set(e, ERR_MEMORY, "no memory for %zu runs", tps * eps);
    }
    for (size_t i = 0; i < tps * eps; i++) {
        fit_run *const run = &f->runs[f->run_count++];
        run->tp = q->tp.count > 0 ? q->tp.sizes[i / eps] : 1;
        run->ep = q->ep.count > 0 ? q->ep.sizes[i % eps] : 1;
        TRY(judge_run(f, experts, q->monitor, run, &capacity, e));
    }
    return OK;
}

/* ---- the whole fit --------------------------------------------- */

err_code fit_make(const fit_question *q, fit *out, err *e)
{
    *out = (fit){.preset = q->preset};
    if (q->config) {
        TRY(fit_model_parse(q->config, q->config_bytes, &out->model, e));
    }
    TRY(gather(q, out, e));
    TRY(judge_runs(q, out, e));
    return fit_warn_all(q, out, e);
}

bool fit_says_yes(const fit *f)
{
    bool yes = f->fault_count == 0;
    for (size_t i = 0; i < f->warning_count; i++) {
        yes = yes && !f->warnings[i].blocks;
    }
    return yes;
}

void fit_free(fit *f)
{
    for (size_t i = 0; i < f->warning_count; i++) {
        free(f->warnings[i].text);
    }
    free(f->kinds);
    free(f->runs);
    free(f->faults);
    *f = (fit){0};
}
