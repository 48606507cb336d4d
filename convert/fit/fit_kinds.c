/* Kinds of matrices: thousands of experts in dozens of layers make a handful of kinds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/fit/fit.h"
#include "format/base/num.h"

static const char suffix[] = ".weight";

void fit_pattern(const char *name, char out[NAME_MAX_BYTES + 1])
{
    name_pattern(name, out);
    const size_t bytes = strlen(out);
    const size_t end = sizeof suffix - 1;
    if (bytes > end && strcmp(out + bytes - end, suffix) == 0) {
        out[bytes - end] = '\0';
    }
}

/* Is there another matrix, called `other`, in the same parent module? */
static bool has_beside(const pack_table *t, const char *name, const char *other)
{
    char beside[2 * NAME_MAX_BYTES];
    const size_t bytes = strlen(name);
    const size_t end = sizeof suffix - 1;
    const bool weight = bytes > end && strcmp(name + bytes - end, suffix) == 0;
    size_t parent = weight ? bytes - end : bytes;
    while (parent > 0 && name[parent - 1] != '.') {
        parent--;
    }
    snprintf(beside, sizeof beside, "%.*s%s%s", (int)parent, name, other, weight ? suffix : "");
    return pack_table_find(t, beside) != NULL;
}

static bool is_joined(const pack_table *t, const pack_record *r, const preset *p,
                      const fit_layout *l)
{
    bool joined = l->part_count > 1;
    for (size_t i = 0; i < 2 && !joined; i++) {
        joined = l->joined_with[i] && has_beside(t, r->name, l->joined_with[i]);
    }
    return joined && p->merges;
}

static void fill(const pack_table *t, const pack_record *r, const fit *f, fit_kind *out)
{
    char module[NAME_MAX_BYTES + 1];
    fit_pattern(r->name, out->module);
    out->rows = pack_record_rows(r);
    out->cols = pack_record_cols(r);
    out->matrices = pack_record_slices(r);
    out->expert = export_module(r, module);
    out->layout = fit_layout_of(out->module, out->rows, out->cols, r->block, &f->model);
    out->layout.joined = is_joined(t, r, f->preset, &out->layout) &&
                         (!out->layout.spread || f->preset->guesses_tiles);
    out->layout.loose = out->layout.part_count > 1 && f->preset->loose_last && !out->expert;
}

static int compare_kind(const void *a, const void *b)
{
    const fit_kind *const x = a;
    const fit_kind *const y = b;
    const int by_name = strcmp(x->module, y->module);
    const int by_rows = by_name != 0 ? by_name : (x->rows > y->rows) - (x->rows < y->rows);
    return by_rows != 0 ? by_rows : (x->cols > y->cols) - (x->cols < y->cols);
}

static void fold(fit *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->kind_count; i++) {
        if (kept > 0 && compare_kind(&f->kinds[kept - 1], &f->kinds[i]) == 0) {
            f->kinds[kept - 1].matrices += f->kinds[i].matrices;
            f->kinds[kept - 1].layout.joined |= f->kinds[i].layout.joined;
        } else {
            f->kinds[kept++] = f->kinds[i];
        }
    }
    f->kind_count = kept;
}

static bool is_fp8(const pack_table *t, const export_plan *plan, uint32_t record)
{
    return t->records[record].cls == CLASS_CODES &&
           (!plan || plan->records[record].form == FORM_SAME);
}

static void sort_and_fold(fit *f)
{
    if (f->kind_count > 0) {
        qsort(f->kinds, f->kind_count, sizeof *f->kinds, compare_kind);
        fold(f);
    }
}

/* Equal kinds are folded whenever the list is full, because a model of a thousand layers has as many
 * kinds as one of ten. The list grows only if folding leaves it half full or more: then each fold
 * gains at least half the list, and sorting costs little per matrix. */
static err_code put(fit *f, size_t *capacity, const fit_kind *kind, err *e)
{
    if (f->kind_count == *capacity) {
        sort_and_fold(f);
    }
    if (2 * f->kind_count >= *capacity) {
        const size_t more = num_max(256, 2 * *capacity);
        fit_kind *const larger = realloc(f->kinds, more * sizeof *larger);
        if (!larger) {
            return err_set(e, ERR_MEMORY, "no memory for kinds of matrices");
        }
        f->kinds = larger;
        *capacity = more;
    }
    f->kinds[f->kind_count++] = *kind;
    return OK;
}

err_code fit_kinds_gather(const pack_table *t, const export_plan *plan, const monitor *m, fit *out,
                          err *e)
{
    size_t capacity = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(monitor_step(m, i, e));
        if (is_fp8(t, plan, i)) {
            fit_kind kind;
            fill(t, &t->records[i], out, &kind);
            TRY(put(out, &capacity, &kind, e));
        }
    }
    sort_and_fold(out);
    return OK;
}

uint64_t fit_experts(const pack_table *t, const fit_model *m)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        size_t start = 0;
        size_t length = 0;
        const pack_record *const r = &t->records[i];
        if (r->cls != CLASS_SCALES && r->ndim == 3 && name_expert_slot(r->name, &start, &length)) {
            most = num_max(most, r->shape[0]);
        }
    }
    return most > 0 ? most : m->experts;
}
