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
    for (int i = 0; i < 2; i++) {
        if (j->stores[i]->packed) {
            TRY(pack_read_evidence(j->stores[i]->packed, &j->evidence[i], e));
        }
    }
    return OK;
}

static err_code take_steps(diff_job *j, err *e)
{
    TRY(code_rules_create(&j->rules, e));
    TRY(read_evidence(j, e));
    TRY(diff_pairs(j, e));
    if (!j->options->tensor_glob) {
        TRY(diff_files(j, e));
    }
    return diff_units(j, e);
}

err_code diff_run(const store *a, const store *b, const diff_options *options, const monitor *m,
                  diff_report *out, err *e)
{
    diff_job j = {.stores = {a, b}, .options = options, .monitor = m, .report = out};
    *out = (diff_report){0};
    err_code code = take_steps(&j, e);
    code = store_end(a, m, code, e);
    code = store_end(b, m, code, e);
    count(out);
    free(j.pairs);
    pack_evidence_free(&j.evidence[1]);
    pack_evidence_free(&j.evidence[0]);
    code_rules_free(&j.rules);
    return code;
}

void diff_report_free(diff_report *r)
{
    difference_list_free(&r->files);
    free(r->results);
    *r = (diff_report){0};
}
