/* The names of both sides, put together, and what can be said before any data is read. */
#include <stdlib.h>
#include <string.h>

#include "format/glob.h"
#include "format/name.h"
#include "format/num.h"
#include "verify/diff_job.h"

#define SCALES "_scale_inv"

/* ---- codes of a checkpoint ---- */

static bool is_float(dtype t)
{
    return t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_F32;
}

/* Is this what the scales of `t` look like, one for each tile? */
static bool fits_as_scales(const store_tensor *t, const store_tensor *s)
{
    if (s->type != DTYPE_F32 || s->quantized || t->ndim < 2 || s->ndim != t->ndim) {
        return false;
    }
    for (unsigned i = 0; i < t->ndim; i++) {
        const bool tiled = i + 2 >= t->ndim;
        if (s->shape[i] != (tiled ? num_ceil_div(t->shape[i], PACK_TILE) : t->shape[i])) {
            return false;
        }
    }
    return true;
}

/* The scales that stand beside codes in a store that does not know them as such; NULL: there are
 * none. */
static const store_tensor *scales_beside(const store *s, const store_tensor *t)
{
    char name[NAME_MAX_BYTES + sizeof SCALES];
    const size_t length = strlen(t->name);
    if (t->type != DTYPE_F8_E4M3 || t->quantized || t->ndim > 3 || length > NAME_MAX_BYTES) {
        return NULL;
    }
    memcpy(name, t->name, length);
    memcpy(name + length, SCALES, sizeof SCALES);
    const store_tensor *const scales = store_find(s, name);
    return scales && fits_as_scales(t, scales) ? scales : NULL;
}

/* Is `t`, which only `here` has, the scales of codes that `there` keeps with their tensor? */
static bool belongs_to_codes(const store *here, const store *there, const store_tensor *t)
{
    char base[NAME_MAX_BYTES + 1];
    const size_t length = strlen(t->name);
    const size_t suffix = strlen(SCALES);
    if (length <= suffix || length > NAME_MAX_BYTES ||
        strcmp(t->name + length - suffix, SCALES) != 0) {
        return false;
    }
    memcpy(base, t->name, length - suffix);
    base[length - suffix] = '\0';
    const store_tensor *const codes = store_find(here, base);
    const store_tensor *const other = store_find(there, base);
    return codes && other && other->quantized && scales_beside(here, codes) == t;
}

/* ---- one pair ---- */

/* The same elements, whatever they are made of. */
static bool same_shape(const store_tensor *a, const store_tensor *b)
{
    return a->ndim == b->ndim && memcmp(a->shape, b->shape, a->ndim * sizeof *a->shape) == 0;
}

static bool has_codes(const diff_tensor *d)
{
    return d->t->quantized || d->scales;
}

/* A slice is cut as a packed file cuts it (spec/format.md section 6). */
static void cut(diff_pair *p)
{
    const store_tensor *const t = p->side[0].t;
    p->slices = 1;
    if (p->way == DIFF_PLAIN) {
        p->slice_size = t->of_record ? t->of_record->len / pack_record_sources(t->of_record)
                                     : t->of_source->bytes;
        p->unit_size = PACK_CHUNK;
    } else if (p->way != DIFF_NOT) {
        const uint64_t band = PACK_TILE * t->cols;
        p->slices = t->ndim == 3 ? t->shape[0] : 1;
        p->slice_size = t->rows / p->slices * t->cols;
        p->unit_size = band * num_max(1, PACK_CHUNK / band);
    }
}

/* Codes against a number: the number has to be of the dtype that the codes were made of. */
static void choose_rounded(diff_pair *p, diff_result *r)
{
    p->coded = has_codes(&p->side[0]) ? 0 : 1;
    const store_tensor *const codes = p->side[p->coded].t;
    const store_tensor *const plain = p->side[1 - p->coded].t;
    if (!is_float(plain->type)) {
        r->what |= DIFF_DTYPE;
        return;
    }
    p->way = DIFF_ROUNDED;
    if (plain->of_record || !codes->of_record || codes->of_record->src_type != plain->type) {
        r->what |= DIFF_DTYPE; /* two artifacts, one with codes; or made of something else */
    }
}

static void choose_way(const diff_job *j, diff_pair *p, diff_result *r)
{
    for (int i = 0; i < 2; i++) {
        diff_tensor *const other = &p->side[1 - i];
        if (p->side[i].t->quantized) {
            other->scales = scales_beside(j->stores[1 - i], other->t);
        }
    }
    const bool coded[2] = {has_codes(&p->side[0]), has_codes(&p->side[1])};
    if (!same_shape(p->side[0].t, p->side[1].t)) {
        r->what |= DIFF_SHAPE;
        r->what |= p->side[0].t->type != p->side[1].t->type ? (unsigned)DIFF_DTYPE : 0;
    } else if (coded[0] != coded[1]) {
        choose_rounded(p, r);
    } else if (p->side[0].t->type != p->side[1].t->type) {
        r->what |= DIFF_DTYPE;
    } else {
        p->way = coded[0] ? DIFF_CODED : DIFF_PLAIN;
    }
    cut(p);
}

/* ---- all ---- */

static bool is_chosen(const diff_job *j, const char *name)
{
    const char *const glob = j->options->tensor_glob;
    return !glob || glob_match(glob, name);
}

/* Either may be NULL, but not both. */
static void add_pair(diff_job *j, const char *name, const store_tensor *a, const store_tensor *b)
{
    if (!is_chosen(j, name) || (!a && belongs_to_codes(j->stores[1], j->stores[0], b)) ||
        (!b && belongs_to_codes(j->stores[0], j->stores[1], a))) {
        return;
    }
    diff_pair *const p = &j->pairs[j->report->count];
    diff_result *const r = &j->report->results[j->report->count++];
    *p = (diff_pair){.side = {{.t = a}, {.t = b}}};
    *r = (diff_result){.name = name, .a = a, .b = b};
    if (a && b) {
        choose_way(j, p, r);
    } else {
        r->what = a ? DIFF_ONLY_A : DIFF_ONLY_B;
    }
}

/* Both lists are sorted by the bytes of names. */
static void merge(diff_job *j)
{
    const store *const a = j->stores[0];
    const store *const b = j->stores[1];
    for (size_t i = 0, k = 0; i < a->count || k < b->count;) {
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
}

err_code diff_pairs(diff_job *j, err *e)
{
    const size_t most = j->stores[0]->count + j->stores[1]->count + 1;
    j->pairs = calloc(most, sizeof *j->pairs);
    j->report->results = calloc(most, sizeof *j->report->results);
    if (!j->pairs || !j->report->results) {
        return err_set(e, ERR_MEMORY, "no memory to compare %zu tensors", most);
    }
    merge(j);
    if (j->options->tensor_glob && j->report->count == 0) {
        err_set(e, ERR_USAGE, "no tensor matches '%s'", j->options->tensor_glob);
        err_hint(e, "the whole name has to match; * stands for any bytes");
        return ERR_USAGE;
    }
    return OK;
}
