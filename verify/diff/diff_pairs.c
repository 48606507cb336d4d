/* Pairs the tensors of both sides by name, and compares what is known before data is read. */
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/tensor/tensor_name.h"
#include "format/base/num.h"
#include "verify/diff/diff_job.h"

static bool is_float(dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F32;
}

/* ---- one pair -------------------------------------------------- */

/* The same number and arrangement of elements, of whatever dtype. */
static bool same_shape(const store_tensor *a, const store_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape) == 0;
}

/* Slices are cut into units as a packed file cuts them into chunks (spec/format.md section 6). */
static void cut(diff_pair *p)
{
    const store_tensor *const t = p->side[0];
    p->slices = 1;
    if (p->way == DIFF_PLAIN) {
        p->slice_size = t->of_record ? t->of_record->len / pack_record_sources(t->of_record)
                                     : t->of_source->bytes;
        p->unit_size = PACK_CHUNK;
    } else if (p->way != DIFF_NOT) {
        const uint64_t band = diff_block(p).rows * t->cols;
        p->slices = t->ndim == 3 ? t->shape[0] : 1;
        p->slice_size = t->rows / p->slices * t->cols;
        p->unit_size = band * num_max(1, PACK_CHUNK / band);
    }
}

/* Codes against plain numbers, which should have the dtype from which the codes were made. */
static void choose_rounded(diff_pair *p, diff_result *r)
{
    p->coded = p->side[0]->quantized ? 0 : 1;
    const store_tensor *const codes = p->side[p->coded];
    const store_tensor *const plain = p->side[1 - p->coded];
    if (!is_float(plain->type)) {
        r->what |= DIFF_DTYPE;
        return;
    }
    p->way = DIFF_ROUNDED;
    if (plain->of_record || !codes->of_record || codes->of_record->src_type != plain->type) {
        /* Two packed files, or two checkpoints, of which one is quantized; or another source. */
        r->what |= DIFF_DTYPE;
    }
}

static void choose_way(diff_pair *p, diff_result *r)
{
    const bool coded[2] = {p->side[0]->quantized, p->side[1]->quantized};
    if (!same_shape(p->side[0], p->side[1])) {
        r->what |= DIFF_SHAPE;
        r->what |= p->side[0]->type != p->side[1]->type ? (unsigned)DIFF_DTYPE : 0;
    } else if (coded[0] != coded[1]) {
        choose_rounded(p, r);
    } else if (p->side[0]->type != p->side[1]->type) {
        r->what |= DIFF_DTYPE;
    } else {
        p->way = coded[0] ? DIFF_CODED : DIFF_PLAIN;
    }
    cut(p);
}

/* ---- all ------------------------------------------------------- */

static bool is_selected(const diff_job *j, const char *name)
{
    const char *const glob = j->options->tensor_glob;
    return !glob || glob_match(glob, name);
}

/* Either may be NULL, but not both. */
static void add_pair(diff_job *j, const char *name, const store_tensor *a, const store_tensor *b)
{
    if (!is_selected(j, name)) {
        return;
    }
    diff_pair *const p = &j->pairs[j->report->count];
    diff_result *const r = &j->report->results[j->report->count++];
    *p = (diff_pair){.side = {a, b}};
    *r = (diff_result){.name = name, .a = a, .b = b};
    if (a && b) {
        choose_way(p, r);
    } else {
        r->what = a ? DIFF_ONLY_A : DIFF_ONLY_B;
    }
}

/* Both lists are sorted by the bytes of names, so one merge pairs them. */
static err_code merge(diff_job *j, err *e)
{
    const store *const a = j->stores[0];
    const store *const b = j->stores[1];
    for (size_t i = 0, k = 0; i < a->count || k < b->count;) {
        TRY(monitor_step(j->monitor, i + k, e));
        int order = i < a->count ? -1 : 1;
        if (i < a->count && k < b->count) {
            order = strcmp(a->tensors[i].name, b->tensors[k].name);
        }
        const store_tensor *const left = order <= 0 ? &a->tensors[i] : NULL;
        const store_tensor *const right = order >= 0 ? &b->tensors[k] : NULL;
        add_pair(j, (order <= 0 ? a->tensors[i] : b->tensors[k]).name, left, right);
        i += order <= 0;
        k += order >= 0;
    }
    return OK;
}

err_code diff_pairs(diff_job *j, err *e)
{
    const size_t most = j->stores[0]->count + j->stores[1]->count + 1;
    j->pairs = calloc(most, sizeof *j->pairs);
    j->report->results = calloc(most, sizeof *j->report->results);
    if (!j->pairs || !j->report->results) {
        return err_set(e, ERR_MEMORY, "no memory to compare %zu tensors", most);
    }
    TRY(merge(j, e));
    if (j->options->tensor_glob && j->report->count == 0) {
        err_set(e, ERR_USAGE, "no tensor matches '%s'", j->options->tensor_glob);
        err_hint(e, "the whole name has to match; * stands for any bytes");
        return ERR_USAGE;
    }
    return OK;
}
