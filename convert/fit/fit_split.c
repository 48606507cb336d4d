#include "convert/fit/fit_split.h"

#include <string.h>

/* How the rows of a matrix are made up. */
typedef enum form {
    FORM_ONE,
    FORM_KV,     /* heads of k or v, of which there may be fewer than devices */
    FORM_QKV,    /* all rows of q, then k, then v */
    FORM_HALVES, /* gate, then up */
    FORM_DELTA,  /* q, k and v of Gated DeltaNet */
    FORM_MAMBA   /* gate, x, B, C and the steps of Mamba-2 */
} form;

typedef struct rule {
    const char *module; /* the last components */
    fit_cut cut;
    form form;
    const char *joined_with[2];
    bool last, spread;
} rule;

static const rule rules[] = {
    {"q_proj", CUT_ROWS, FORM_ONE, {"k_proj", "v_proj"}, false, false},
    {"k_proj", CUT_ROWS, FORM_KV, {"q_proj", "v_proj"}, false, false},
    {"v_proj", CUT_ROWS, FORM_KV, {"q_proj", "k_proj"}, false, false},
    {"query_key_value", CUT_ROWS, FORM_QKV, {NULL}, false, false},
    {"qkv_proj", CUT_ROWS, FORM_QKV, {NULL}, false, false},
    {"q_b_proj", CUT_ROWS, FORM_ONE, {NULL}, false, false},
    {"kv_b_proj", CUT_ROWS, FORM_ONE, {NULL}, false, false},
    {"g_proj", CUT_ROWS, FORM_ONE, {NULL}, false, false},
    {"f_proj", CUT_ROWS, FORM_ONE, {NULL}, false, false},
    {"in_proj_qkvz", CUT_ROWS, FORM_ONE, {NULL}, false, false},
    {"in_proj_qkv", CUT_ROWS, FORM_DELTA, {"in_proj_z"}, false, false},
    {"in_proj_z", CUT_ROWS, FORM_ONE, {"in_proj_qkv"}, false, false},
    {"in_proj", CUT_ROWS, FORM_MAMBA, {NULL}, false, false},
    {"output_gate", CUT_ROWS, FORM_ONE, {NULL}, false, false},
    {"gate_proj", CUT_ROWS, FORM_ONE, {"up_proj"}, false, false},
    {"up_proj", CUT_ROWS, FORM_ONE, {"gate_proj"}, false, false},
    {"gate_up_proj", CUT_ROWS, FORM_HALVES, {NULL}, false, false},
    {"w1", CUT_ROWS, FORM_ONE, {"w3"}, false, false},
    {"w3", CUT_ROWS, FORM_ONE, {"w1"}, false, false},
    {"o_proj", CUT_COLUMNS, FORM_ONE, {NULL}, false, false},
    {"dense", CUT_COLUMNS, FORM_ONE, {NULL}, false, false},
    {"out_proj", CUT_COLUMNS, FORM_ONE, {NULL}, false, false},
    {"down_proj", CUT_COLUMNS, FORM_ONE, {NULL}, false, false},
    {"w2", CUT_COLUMNS, FORM_ONE, {NULL}, false, false},
    {"indexer.wq_b", CUT_NONE, FORM_ONE, {NULL}, false, false},
    {"indexer.wk", CUT_NONE, FORM_ONE, {"weights_proj"}, false, true},
    {"q_a_proj", CUT_NONE, FORM_ONE, {"kv_a_proj_with_mqa"}, false, false},
    {"kv_a_proj_with_mqa", CUT_NONE, FORM_ONE, {"q_a_proj"}, true, false},
};

static const rule *find_rule(const char *module)
{
    const size_t have = strlen(module);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const size_t need = strlen(rules[i].module);
        if (have >= need && strcmp(module + have - need, rules[i].module) == 0 &&
            (have == need || module[have - need - 1] == '.')) {
            return &rules[i];
        }
    }
    return NULL;
}

static void add_part(fit_layout *l, const char *name, uint64_t rows, uint64_t pieces)
{
    l->parts[l->part_count++] = (fit_part){name, rows, pieces};
}

/* Linear attention has as many heads of k and v as of q, whatever the configuration says about
 * softmax attention. The number of rows shows which attention this is. */
static void split_qkv(fit_layout *l, uint64_t rows, const fit_model *m)
{
    const uint64_t q = m->heads * m->head_dim;
    const uint64_t kv = m->kv_heads * m->head_dim;
    const bool grouped = q > 0 && rows == q + 2 * kv;
    if (!grouped && (q == 0 || rows != 3 * q)) {
        l->cut = CUT_UNKNOWN;
        return;
    }
    add_part(l, "q", q, 0);
    add_part(l, "k", grouped ? kv : q, grouped ? m->kv_heads : 0);
    add_part(l, "v", grouped ? kv : q, grouped ? m->kv_heads : 0);
}

static void split_halves(fit_layout *l, uint64_t rows)
{
    if (rows % 2 != 0) {
        l->cut = CUT_UNKNOWN;
        return;
    }
    add_part(l, "gate", rows / 2, 0);
    add_part(l, "up", rows / 2, 0);
}

static void split_delta(fit_layout *l, uint64_t rows, const fit_model *m)
{
    if (m->delta_k == 0 || m->delta_v == 0 || rows != 2 * m->delta_k + m->delta_v) {
        l->cut = CUT_UNKNOWN;
        return;
    }
    add_part(l, "q", m->delta_k, 0);
    add_part(l, "k", m->delta_k, 0);
    add_part(l, "v", m->delta_v, 0);
}

static void split_mamba(fit_layout *l, uint64_t rows, const fit_model *m)
{
    if (m->mamba_inner == 0 || m->mamba_state == 0 ||
        rows != 2 * m->mamba_inner + 2 * m->mamba_state + m->mamba_heads) {
        l->cut = CUT_UNKNOWN;
        return;
    }
    add_part(l, "gate", m->mamba_inner, 0);
    add_part(l, "x", m->mamba_inner, 0);
    add_part(l, "B", m->mamba_state, 0);
    add_part(l, "C", m->mamba_state, 0);
    add_part(l, "dt", m->mamba_heads, 0);
}

fit_layout fit_layout_of(const char *module, uint64_t rows, uint64_t cols, block_format block,
                         const fit_model *m)
{
    const rule *const r = find_rule(module);
    fit_layout l = {
        .cut = r ? r->cut : CUT_UNKNOWN, .cols = cols, .block = block, .last = r && r->last};
    if (!r) {
        return l;
    }
    memcpy(l.joined_with, r->joined_with, sizeof l.joined_with);
    l.spread = r->spread;
    switch (r->form) {
    case FORM_QKV:
        split_qkv(&l, rows, m);
        break;
    case FORM_HALVES:
        split_halves(&l, rows);
        break;
    case FORM_DELTA:
        split_delta(&l, rows, m);
        break;
    case FORM_MAMBA:
        split_mamba(&l, rows, m);
        break;
    default:
        add_part(&l, NULL, rows, r->form == FORM_KV ? m->kv_heads : 0);
    }
    return l;
}

static bool is_whole(uint64_t size, uint64_t split, uint64_t side)
{
    return size % split == 0 && size / split % side == 0;
}

static bool rows_whole(const fit_layout *l, uint64_t devices, fit_fault *out)
{
    const unsigned count = l->loose && devices == 1 ? l->part_count - 1 : l->part_count;
    for (unsigned i = 0; i < count; i++) {
        const fit_part *const p = &l->parts[i];
        const uint64_t split = p->pieces > 0 && devices > p->pieces ? p->pieces : devices;
        if (!is_whole(p->rows, split, l->block.rows)) {
            *out = (fit_fault){p->name, p->rows, split, false};
            return false;
        }
    }
    return true;
}

/* If every tile but one is 128 wide, the width cannot be found from the number of tiles. */
static bool spread_whole(const fit_layout *l, fit_fault *out)
{
    const uint64_t side = l->block.cols;
    *out = (fit_fault){NULL, l->cols, 1, true};
    return (l->cols <= side || l->cols % side == 0) &&
           (l->parts[0].rows <= l->block.rows || rows_whole(l, 1, out));
}

bool fit_whole(const fit_layout *l, uint64_t devices, fit_fault *out)
{
    switch (l->cut) {
    case CUT_ROWS:
        return (devices == 1 && !l->joined) || rows_whole(l, devices, out);
    case CUT_COLUMNS:
        *out = (fit_fault){NULL, l->cols, devices, true};
        return devices == 1 || is_whole(l->cols, devices, l->block.cols);
    case CUT_NONE:
        return !l->joined || l->last || (l->spread ? spread_whole(l, out) : rows_whole(l, 1, out));
    default:
        return true;
    }
}
