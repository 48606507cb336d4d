#include "verify/diff/diff.h"

#include <stdlib.h>

#include "verify/diff/diff_job.h"

static void count(diff_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        const unsigned what = r->results[i].what;
        uint64_t *const to = what == 0             ? &r->alike
                             : what == DIFF_ONLY_A ? &r->only_a
                             : what == DIFF_ONLY_B ? &r->only_b
                                                   : &r->different;
        ++*to;
    }
}

static err_code read_evidence(diff_job *j, err *e)
{
    err_code code = OK;
    for (int i = 0; i < 2 && code == OK; i++) {
        if (j->stores[i]->packed) {
            code = pack_read_evidence(j->stores[i]->packed, &j->evidence[i], e);
        }
    }
    return code;
}

static err_code check_unchanged(const diff_job *j, err *e)
{
    err_code code = OK;
    for (int i = 0; i < 2 && code == OK; i++) {
        if (j->stores[i]->source) {
            code = checkpoint_unchanged(j->stores[i]->source, e);
        }
    }
    return code;
}

static err_code take_steps(diff_job *j, err *e)
{
    err_code code = code_rules_create(&j->rules, e);
    if (code == OK) {
        code = read_evidence(j, e);
    }
    if (code == OK) {
        code = diff_pairs(j, e);
    }
    if (code == OK && !j->options->tensor_glob) {
        code = diff_files(j, e);
    }
    if (code == OK) {
        code = diff_units(j, e);
    }
    return code == OK ? check_unchanged(j, e) : code;
}

err_code diff_run(const store *a, const store *b, const diff_options *options, const monitor *m,
                  diff_report *out, err *e)
{
    diff_job j = {.stores = {a, b}, .options = options, .monitor = m, .report = out};
    *out = (diff_report){0};
    const err_code code = take_steps(&j, e);
    if (code == OK) {
        count(out);
    }
    code_rules_free(&j.rules);
    pack_evidence_free(&j.evidence[0]);
    pack_evidence_free(&j.evidence[1]);
    free(j.pairs);
    return code;
}

void diff_report_free(diff_report *r)
{
    difference_list_free(&r->files);
    free(r->results);
    *r = (diff_report){0};
}
