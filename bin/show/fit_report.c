#include "bin/show/fit_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "bin/cli/table.h"
#include "bin/cli/text.h"
#include "bin/cli/value.h"
#include "format/base/printable.h"

/* ---- the question ---------------------------------------------- */

static err_code take_sizes(const char *option, const char *value, fit_sizes *s, err *e)
{
    return value_counts(option, value, 1, FIT_MAX_NUMBER, s->sizes, FIT_MAX_SIZES, &s->count, e);
}

err_code fit_on_option(fit_request *q, const option_spec *o, const char *value, err *e)
{
    q->asked = true;
    switch (o->id) {
    case OPTION_FOR:
        q->runtime = true;
        return value_word("--for", value, o->words, &q->preset, e);
    case OPTION_TP:
        return take_sizes("--tp", value, &q->tp, e);
    case OPTION_EP:
        return take_sizes("--ep", value, &q->ep, e);
    default:
        return option_unhandled(o, e);
    }
}

err_code fit_request_check(const fit_request *q, bool dry_run, err *e)
{
    const char *const option = q->tp.count ? "--tp" : q->ep.count ? "--ep" : "--for";
    if (q->asked && !q->runtime) {
        return err_set(e, ERR_USAGE, "%s depends on the runtime: name one with --for", option);
    }
    if (q->asked && !dry_run) {
        return err_set(e, ERR_USAGE, "%s needs --dry-run", option);
    }
    return OK;
}

/* ---- text ------------------------------------------------------ */

/* "k: 512 rows / 8 = 64, not whole tiles of 128" */
static void put_sentence(table *t, const fit *f, const fit_fault_of_run *x)
{
    const bool columns = x->reason == FIT_COLUMNS;
    const block_format block = f->kinds[x->kind].layout.block;
    const unsigned side = columns ? block.cols : block.rows;
    const char *const what = columns ? "columns" : "rows";
    const char *const part = x->fault.part ? x->fault.part : "";
    const char *const colon = x->fault.part ? ": " : "";
    const uint64_t size = x->fault.size, split = x->fault.split;
    if (split == 1) {
        table_cell(t, "%s%s%" PRIu64 " %s in a joined matrix, not whole tiles of %u", part, colon,
                   size, what, side);
    } else if (size % split != 0) {
        table_cell(t, "%s%s%" PRIu64 " %s / %" PRIu64 " is not an integer", part, colon, size, what,
                   split);
    } else {
        table_cell(t, "%s%s%" PRIu64 " %s / %" PRIu64 " = %" PRIu64 ", not whole tiles of %u", part,
                   colon, size, what, split, size / split, side);
    }
}

static bool is_of_matrix(const fit_fault_of_run *x)
{
    return x->reason == FIT_ROWS || x->reason == FIT_COLUMNS;
}

static bool is_same_finding(const fit_fault_of_run *x, const fit_fault_of_run *y)
{
    return is_of_matrix(x) && x->reason == y->reason && x->fault.part == y->fault.part &&
           x->fault.size == y->fault.size && x->fault.split == y->fault.split;
}

/* One row for all kinds of matrices with the finding `at`; none if an earlier row has them. */
static void put_matrices(table *t, const fit *f, const fit_run *run, size_t at)
{
    const fit_fault_of_run *const all = &f->faults[run->first];
    uint64_t matrices = 0;
    size_t more = 0;
    for (size_t i = 0; i < run->count; i++) {
        if (is_same_finding(&all[i], &all[at])) {
            if (i < at) {
                return; /* the row of finding i has it */
            }
            more += i > at;
            matrices += f->kinds[all[i].kind].matrices;
        }
    }
    if (more > 0) {
        table_cell(t, "    %s and %zu more", f->kinds[all[at].kind].module, more);
    } else {
        table_cell(t, "    %s", f->kinds[all[at].kind].module);
    }
    put_sentence(t, f, &all[at]);
    table_cell(t, "%" PRIu64, matrices);
}

/* What would be divided among devices: the key in config.json, if there is one. */
static const char *const divided[FIT_REASON_COUNT] = {
    [FIT_HEADS] = "num_attention_heads",   [FIT_KV_HEADS] = "num_key_value_heads",
    [FIT_NORM_GROUPS] = "group_norm_size", [FIT_EXPERTS] = "experts",
    [FIT_NO_EXPERTS] = "experts",
};

static void put_fault(table *t, const fit_fault_of_run *x)
{
    if (x->reason == FIT_SIZES) {
        table_cell(t, "    ep");
        table_cell(t, "ep %" PRIu64 " cannot be combined with tp %" PRIu64, x->fault.split,
                   x->fault.size);
    } else {
        table_cell(t, "    %s", divided[x->reason]);
        table_cell(t, "%" PRIu64 " among %" PRIu64 " devices", x->fault.size, x->fault.split);
    }
    table_cell(t, "%s", "");
}

/* Is there a reason for "no" that concerns no single run? */
static bool is_blocked(const fit *f)
{
    bool blocked = false;
    for (size_t i = 0; i < f->warning_count; i++) {
        blocked = blocked || f->warnings[i].blocks;
    }
    return blocked;
}

static void put_run(table *t, const fit *f, const fit_run *run, bool with_ep)
{
    char sizes[64];
    const uint64_t n = run->matrices;
    snprintf(sizes, sizeof sizes, with_ep ? "tp %" PRIu64 " ep %" PRIu64 : "tp %" PRIu64, run->tp,
             run->ep);
    if (run->count == 0) {
        table_heading(t, "  %s: %s", sizes, is_blocked(f) ? "the shapes fit" : "yes");
    } else if (n == 0) {
        table_heading(t, "  %s: no", sizes);
    } else {
        table_heading(t, "  %s: no, %" PRIu64 " matri%s", sizes, n, n == 1 ? "x" : "ces");
    }
    for (size_t i = 0; i < run->count; i++) {
        const fit_fault_of_run *const x = &f->faults[run->first + i];
        if (is_of_matrix(x)) {
            put_matrices(t, f, run, i);
        } else {
            put_fault(t, x);
        }
    }
}

static void print_warnings(const fit *f)
{
    for (size_t i = 0; i < f->warning_count; i++) {
        const fit_warning *const w = &f->warnings[i];
        char line[2048];
        printable(line, sizeof line, w->text);
        printf("  %s %s: %s\n", w->blocks ? "no:" : "warning:", fit_warning_name(w->id), line);
    }
}

static err_code print(const fit_request *q, const fit *f, err *e)
{
    table t;
    if (f->preset->release) {
        printf("\nFor %s (%s):\n", preset_name(f->preset), f->preset->release);
    } else {
        printf("\nFor %s:\n", preset_name(f->preset));
    }
    table_start(&t, "llr");
    for (size_t i = 0; i < f->run_count; i++) {
        put_run(&t, f, &f->runs[i], q->ep.count > 0);
    }
    const err_code code = table_finish(&t, e);
    print_warnings(f);
    return code;
}

/* ---- JSON ------------------------------------------------------ */

static json_t *fault_json(report *r, const fit *f, const fit_fault_of_run *x)
{
    const fit_kind *const k = is_of_matrix(x) ? &f->kinds[x->kind] : NULL;
    json_t *const o = json_object();
    report_put(r, o, "reason", report_text(fit_reason_name(x->reason)));
    report_put(r, o, "size", report_number(x->fault.size));
    report_put(r, o, "divisor", report_number(x->fault.split));
    if (k) {
        json_t *const shape = json_array();
        report_append(r, shape, report_number(k->rows));
        report_append(r, shape, report_number(k->cols));
        report_put(r, o, "module", report_text(k->module));
        report_put(r, o, "shape", shape);
        report_put(r, o, "matrices", report_number(k->matrices));
        report_put(r, o, "part", report_text(x->fault.part));
    }
    return o;
}

static json_t *run_json(report *r, const fit *f, const fit_run *run)
{
    json_t *const o = json_object();
    json_t *const reasons = json_array();
    for (size_t i = 0; i < run->count; i++) {
        report_append(r, reasons, fault_json(r, f, &f->faults[run->first + i]));
    }
    report_put(r, o, "tp", report_number(run->tp));
    report_put(r, o, "ep", report_number(run->ep));
    report_put(r, o, "fits", json_boolean(run->count == 0));
    report_put(r, o, "failing_matrices", report_number(run->matrices));
    report_put(r, o, "reasons", reasons);
    return o;
}

static json_t *warning_json(report *r, const fit_warning *w)
{
    json_t *const o = json_object();
    report_put(r, o, "id", report_text(fit_warning_name(w->id)));
    report_put(r, o, "blocking", json_boolean(w->blocks));
    report_put(r, o, "message", report_text(w->text));
    return o;
}

static json_t *fit_json(report *r, const fit *f)
{
    json_t *const o = json_object();
    json_t *const runs = json_array();
    json_t *const warnings = json_array();
    for (size_t i = 0; i < f->run_count; i++) {
        report_append(r, runs, run_json(r, f, &f->runs[i]));
    }
    for (size_t i = 0; i < f->warning_count; i++) {
        report_append(r, warnings, warning_json(r, &f->warnings[i]));
    }
    report_put(r, o, "runtime", report_text(preset_name(f->preset)));
    report_put(r, o, "release", report_text(f->preset->release));
    report_put(r, o, "fits", json_boolean(fit_says_yes(f)));
    report_put(r, o, "runs", runs);
    report_put(r, o, "warnings", warnings);
    return o;
}

/* ---- the answer ------------------------------------------------ */

err_code fit_judge(const fit *f, const char *path, err *e)
{
    size_t bad = 0;
    for (size_t i = 0; i < f->run_count; i++) {
        bad += f->runs[i].count > 0;
    }
    if (fit_says_yes(f)) {
        return OK;
    }
    return bad == 0 || f->run_count == 1
               ? err_set(e, ERR_DIFFERENT, "%s: %s would not load this model", path,
                         preset_name(f->preset))
               : err_set(e, ERR_DIFFERENT, "%s: does not fit %s in %zu of %zu cases", path,
                         preset_name(f->preset), bad, f->run_count);
}

void fit_note(const fit *f, const monitor *m)
{
    for (size_t i = 0; i < f->warning_count; i++) {
        if (!f->warnings[i].blocks) {
            monitor_note(m, "%s: %s", fit_warning_name(f->warnings[i].id), f->warnings[i].text);
        }
    }
}

err_code fit_find(const fit_request *q, const fit_about *about, fit *out, err *e)
{
    const fit_question question = {
        .table = about->table,
        .config = about->config,
        .config_bytes = about->config_bytes,
        .preset = &preset_table[q->preset],
        .exported = about->exported,
        .tp = q->tp,
        .ep = q->ep,
        .monitor = about->monitor,
    };
    const err_code code = fit_make(&question, out, e);
    err_prefix(code == OK ? NULL : e, "%s", about->path);
    return code;
}

err_code fit_show(const fit_request *q, const fit *f, report *r, err *e)
{
    if (r->json) {
        report_put(r, r->root, "fit", fit_json(r, f));
    } else if (report_says(r, LEVEL_NORMAL)) {
        return print(q, f, e);
    }
    return OK;
}
