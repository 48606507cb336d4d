/* What the runtime will hold: it decides by the list which modules it builds in FP8, and the file has
 * scales for some. Where these disagree, it would load numbers that mean something else, mostly
 * without an error (spec/export.md section 8.5). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/fit/fit.h"
#include "convert/fit/fit_known.h"
#include "convert/fit/fit_list.h"

enum { SHOWN_KINDS = 4 };

/* Modules with the same fault, by kind: those whose names differ only in numbers. */
typedef struct fault_kinds {
    char names[SHOWN_KINDS][NAME_MAX_BYTES + 1]; /* the first ones */
    uint64_t counts[SHOWN_KINDS];
    size_t shown;
    uint64_t total, others; /* modules; those of kinds that are not shown */
    char last[NAME_MAX_BYTES + 1];
} fault_kinds;

static void add(fault_kinds *k, const char *module)
{
    char kind[NAME_MAX_BYTES + 1];
    size_t i = 0;
    if (strcmp(k->last, module) == 0) { /* matrices of experts come one after the other */
        return;
    }
    snprintf(k->last, sizeof k->last, "%s", module);
    fit_pattern(module, kind);
    while (i < k->shown && strcmp(k->names[i], kind) != 0) {
        i++;
    }
    k->total++;
    if (i == k->shown && i < SHOWN_KINDS) {
        k->shown++;
        snprintf(k->names[i], sizeof k->names[i], "%s", kind);
    }
    if (i < SHOWN_KINDS) {
        k->counts[i]++;
    } else {
        k->others++;
    }
}

/* "a.*.b (12), c (1)" */
static void write_kinds(const fault_kinds *k, char *out, size_t bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < k->shown; i++) {
        used += (size_t)snprintf(out + used, bytes - used, "%s%s (%" PRIu64 ")", i ? ", " : "",
                                 k->names[i], k->counts[i]);
    }
    if (k->others > 0) {
        snprintf(out + used, bytes - used, ", others (%" PRIu64 ")", k->others);
    }
}

static err_code warn(fit *f, fit_warning_id id, const fault_kinds *k, const char *what, err *e)
{
    char kinds[SHOWN_KINDS * (NAME_MAX_BYTES + 32) + 64];
    if (k->total == 0) {
        return OK;
    }
    write_kinds(k, kinds, sizeof kinds);
    return fit_warn(f, id, true, e, "%" PRIu64 " module%s %s: %s", k->total,
                    k->total == 1 ? "" : "s", what, kinds);
}

typedef struct hold {
    const pack_table *table;
    const export_plan *plan;
    export_how how;
    fit_list *list;
    bool own_code; /* transformers runs code of the checkpoint */
    fault_kinds no_scales, not_quantized, own_experts;
} hold;

static void judge(hold *h, const pack_record *r, bool fp8, const char *module)
{
    const preset_place place = export_place(h->table, &h->how, module);
    const bool skipped = fit_list_skips(h->list, &place, module);
    if (fp8 && skipped) {
        add(&h->not_quantized, module);
    }
    if (!fp8 && !skipped && !export_is_unlisted(h->table, h->how.preset, r, module)) {
        add(&h->no_scales, module);
    }
}

typedef struct asked {
    hold *h;
    const pack_record *record;
    bool fp8;
} asked;

static bool judge_expert(void *ctx, const char *module)
{
    const asked *const a = ctx;
    judge(a->h, a->record, a->fp8, module);
    return true;
}

static void check(hold *h, uint32_t record)
{
    const pack_record *const r = &h->table->records[record];
    char module[NAME_MAX_BYTES + 1];
    if (r->cls == CLASS_SCALES || !export_is_weight(r)) {
        return;
    }
    asked a = {h, r, r->cls == CLASS_CODES && h->plan->records[record].form == FORM_SAME};
    const bool expert = export_module(r, module);
    if (expert && a.fp8 && h->own_code) {
        add(&h->own_experts, module);
    }
    if (expert && h->how.preset->match == MATCH_EACH) {
        (void)export_expert(r, 0, judge_expert, &a);
    } else {
        judge(h, r, a.fp8, module);
    }
}

err_code fit_hold(const pack_table *t, const export_plan *plan, const monitor *m, fit *f, err *e)
{
    hold h = {.table = t,
              .plan = plan,
              .own_code = fit_runs_own_code(f->preset, &f->model),
              .how = {.preset = f->preset, .ring_linear = f->model.ring_linear}};
    char what[256];
    err_code code = OK;
    if (!plan || plan->fp8_count == 0 || f->preset->match == MATCH_UNKNOWN) {
        return OK;
    }
    snprintf(h.how.architecture, sizeof h.how.architecture, "%s", f->model.architecture);
    TRY_OUT(fit_list_make(plan, f->preset, &h.list, e));
    for (uint32_t i = 0; i < t->count; i++) {
        TRY_OUT(monitor_step(m, 0, e)); /* a name of many components takes milliseconds */
        check(&h, i);
    }
    snprintf(what, sizeof what, "that %s would build in FP8, without scales in the file",
             f->preset->reader);
    TRY_OUT(warn(f, WARN_NO_SCALES, &h.no_scales, what, e));
    snprintf(what, sizeof what,
             "in FP8, which %s would take for plain numbers, because an entry of the list matches "
             "(--keep avoids that)",
             f->preset->reader);
    TRY_OUT(warn(f, WARN_NOT_QUANTIZED, &h.not_quantized, what, e));
    snprintf(what, sizeof what,
             "in FP8, which %s replaces with experts of its own that the code of the checkpoint "
             "cannot call (--keep '*.experts.*')",
             f->preset->reader);
    TRY_OUT(warn(f, WARN_OWN_EXPERTS, &h.own_experts, what, e));
out:
    fit_list_free(h.list);
    return code;
}
