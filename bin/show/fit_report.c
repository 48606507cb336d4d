#include "bin/show/fit_report.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Faults that differ only in the kind of matrix are one finding, and one row. */
static int compare_finding(const fit_fault_of_run *x, const fit_fault_of_run *y)
{
    const uint64_t of_x[] = {x->reason, (uintptr_t)x->fault.part, x->fault.size, x->fault.split};
    const uint64_t of_y[] = {y->reason, (uintptr_t)y->fault.part, y->fault.size, y->fault.split};
    int order = 0;
    for (size_t i = 0; i < sizeof of_x / sizeof of_x[0] && order == 0; i++) {
        order = (of_x[i] > of_y[i]) - (of_x[i] < of_y[i]);
    }
    return order;
}

typedef struct finding {
    const fit_fault_of_run *first; /* the first of the faults */
    uint64_t matrices;
    size_t more; /* faults after the first one */
} finding;

static int compare_place(const void *a, const void *b)
{
    const finding *const x = a;
    const finding *const y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static int compare_all(const void *a, const void *b)
{
    const finding *const x = a;
    const int order = compare_finding(x->first, ((const finding *)b)->first);
    return order != 0 ? order : compare_place(a, b);
}

/* Fold the faults into findings, in the order of their first faults; returns the number of them. */
static size_t fold_findings(finding *all, size_t count)
{
    size_t kept = 0;
    qsort(all, count, sizeof *all, compare_all);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && compare_finding(all[kept - 1].first, all[i].first) == 0) {
            all[kept - 1].matrices += all[i].matrices;
            all[kept - 1].more++;
        } else {
            all[kept++] = all[i];
        }
    }
    qsort(all, kept, sizeof *all, compare_place);
    return kept;
}

static void put_finding(table *t, const fit *f, const finding *x)
{
    const char *const module = f->kinds[x->first->kind].module;
    if (x->more > 0) {
        table_cell(t, "    %s and %zu more", module, x->more);
    } else {
        table_cell(t, "    %s", module);
    }
    put_sentence(t, f, x->first);
    table_cell(t, "%" PRIu64, x->matrices);
}

static err_code put_matrices(table *t, const fit *f, const fit_fault_of_run *faults, size_t count,
                             err *e)
{
    finding *const all = calloc(count + 1, sizeof *all);
    if (!all) {
        return err_set(e, ERR_MEMORY, "no memory for what does not fit");
    }
    for (size_t i = 0; i < count; i++) {
        all[i] = (finding){&faults[i], f->kinds[faults[i].kind].matrices, 0};
    }
    const size_t kept = fold_findings(all, count);
    for (size_t i = 0; i < kept; i++) {
        put_finding(t, f, &all[i]);
    }
    free(all);
    return OK;
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

/* First the faults of the model, then those of its matrices, as fit_make lists them. */
static err_code put_run(table *t, const fit *f, const fit_run *run, bool with_ep, err *e)
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
    const fit_fault_of_run *const faults = &f->faults[run->first];
    size_t of_model = 0;
    for (; of_model < run->count && !is_of_matrix(&faults[of_model]); of_model++) {
        put_fault(t, &faults[of_model]);
    }
    return put_matrices(t, f, faults + of_model, run->count - of_model, e);
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
    err_code code = OK;
    if (f->preset->release) {
        printf("\nFor %s (%s):\n", preset_name(f->preset), f->preset->release);
    } else {
        printf("\nFor %s:\n", preset_name(f->preset));
    }
    table_start(&t, "llr");
    for (size_t i = 0; i < f->run_count && code == OK; i++) {
        code = put_run(&t, f, &f->runs[i], q->ep.count > 0, e);
    }
    const err_code finished = table_finish(&t, code == OK ? e : NULL);
    code = code == OK ? finished : code;
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
