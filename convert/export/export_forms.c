/* The form of every record in the export (spec/export.md section 3). A runtime reads FP8 only where
 * it builds a quantized module, and there it reads nothing else. So codes elsewhere have to become
 * plain values, and all matrices that make up one module must be alike. The steps: by name, then by
 * module (level), then scales, which follow their codes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "format/base/glob.h"

static const char suffix[] = ".weight";

static size_t without_suffix(const char *name)
{
    const size_t bytes = strlen(name);
    const size_t end = sizeof suffix - 1;
    return bytes > end && strcmp(name + bytes - end, suffix) == 0 ? bytes - end : 0;
}

/* Stacks of experts that are not below a component `experts`: Step-3.5, Granite. Their parent has
 * the module of the experts. */
static bool is_other_stack(const pack_record *r)
{
    static const char *const names[] = {"*.moe.*_proj.weight",
                                        "*.block_sparse_moe.*put_linear.weight"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && r->ndim == 3 && !r->stack; i++) {
        found = found || glob_match(names[i], r->name);
    }
    return found;
}

bool export_is_weight(const pack_record *r)
{
    size_t start = 0;
    size_t length = 0;
    const unsigned member_dims = r->stack ? r->ndim - 1U : r->ndim;
    if (member_dims == 2) {
        return without_suffix(r->name) > 0;
    }
    return member_dims == 3 && !r->stack &&
           (is_other_stack(r) || name_expert_slot(r->name, &start, &length));
}

/* How many bytes of the name of an expert are common to all of its layer: up to the component
 * `experts`, or up to the parent of a stack under another name. 0: it is not one. */
static size_t experts_bytes(const pack_record *r)
{
    size_t start = 0;
    size_t length = 0;
    if (name_expert_slot(r->name, &start, &length)) {
        return start - 1;
    }
    size_t parent = is_other_stack(r) ? without_suffix(r->name) : 0;
    while (parent > 0 && r->name[--parent] != '.') {
    }
    return parent;
}

bool export_module(const pack_record *r, char module[NAME_MAX_BYTES + 1])
{
    const size_t experts = experts_bytes(r);
    const size_t plain = without_suffix(r->name);
    const size_t bytes = experts > 0 ? experts : plain > 0 ? plain : strlen(r->name);
    snprintf(module, NAME_MAX_BYTES + 1, "%.*s%s", (int)bytes, r->name,
             experts > 0 && is_other_stack(r) ? ".experts" : "");
    return experts > 0;
}

/* ---- what the runtime does not read in FP8 --------------------- */

static void set_dequantized(export_record *x, const char *why, const char *keep)
{
    if (x->form == FORM_SAME) {
        x->form = FORM_NUMBERS;
        x->why = why;
        x->keep = keep;
    }
}

/* Is this the gate or up of an expert, with rows that end within a tile? Concatenated with the
 * other, the second begins in the middle of a tile of the first, and its scales belong to rows that
 * are not its own. */
static bool ends_within_tile(const pack_record *r)
{
    size_t start = 0;
    size_t length = 0;
    char module[NAME_MAX_BYTES + 1];
    const unsigned member_dims = r->stack ? r->ndim - 1U : r->ndim;
    if (member_dims != 2 || r->shape[r->ndim - 2] % r->block.rows == 0 ||
        !name_expert_slot(r->name, &start, &length)) {
        return false;
    }
    snprintf(module, sizeof module, "%.*s", (int)without_suffix(r->name), r->name);
    return preset_is_gate_or_up(module);
}

/* Is it a stack of experts whose rows are inputs? Then tiles and scales lie the other way round. */
static bool has_inputs_first(const pack_record *r, uint64_t hidden)
{
    const bool down =
        glob_match("*.down_proj*", r->name) || glob_match("*.output_linear.*", r->name);
    const uint64_t rows = r->shape[1], cols = r->shape[2];
    return hidden > 0 &&
           (down ? rows != hidden && cols == hidden : cols != hidden && rows == hidden);
}

static void choose_stack(const pack_record *r, const export_how *how, export_record *x)
{
    const char *const keep = is_other_stack(r) ? r->name : "*.experts.*";
    if (!plain_reads_stack(how->preset, how->architecture, r->name)) {
        set_dequantized(x, "experts in three dimensions", keep);
    } else if (has_inputs_first(r, how->hidden)) {
        set_dequantized(x, "experts in three dimensions with inputs first", keep);
    }
}

static void choose_by_name(const pack_table *t, const pack_record *r, const export_how *how,
                           export_record *x)
{
    const preset *const p = how->preset;
    if (p->config == CONFIG_NONE) {
        set_dequantized(x, "nothing is FP8 there", NULL);
        return;
    }
    if (!export_is_weight(r)) {
        set_dequantized(x, "not the weight of a linear layer", r->name);
    }
    if (r->ndim == 3 && !r->stack) {
        choose_stack(r, how, x);
    }
    if (p->fuses_gate_up && ends_within_tile(r)) {
        set_dequantized(x,
                        "gate and up of an expert are joined, and 128 does not divide their rows",
                        "*.experts.*");
    }
    if (p->never_fp8 && glob_match(p->never_fp8, r->name)) {
        set_dequantized(x, "always in the dtype of the source", p->never_fp8);
    }
    const plain_rule *const rule = export_plain(t, how, r->name);
    if (rule) {
        set_dequantized(x, rule->why, plain_keep(rule, r->name));
    }
}

/* ---- records that are one module for the runtime --------------- */

/* A record as part of a module: merged matrices, or the experts of a layer. Records with equal keys
 * are parts of the same module. */
typedef struct share {
    const char *name;  /* key: its first `bytes` bytes */
    const char *whole; /* key: the name of the merged matrix, "" for experts */
    size_t bytes;
    uint32_t record;
} share;

static int compare_share(const void *a, const void *b)
{
    const share *const x = a;
    const share *const y = b;
    const int by_bytes = (x->bytes > y->bytes) - (x->bytes < y->bytes);
    const int by_name = by_bytes != 0 ? by_bytes : memcmp(x->name, y->name, x->bytes);
    const int by_whole = by_name != 0 ? by_name : strcmp(x->whole, y->whole);
    return by_whole != 0 ? by_whole : (x->record > y->record) - (x->record < y->record);
}

static bool is_together(const share *x, const share *y)
{
    return x->bytes == y->bytes && memcmp(x->name, y->name, x->bytes) == 0 &&
           strcmp(x->whole, y->whole) == 0;
}

/* False: the record is a whole module. */
static bool share_of(const pack_table *t, uint32_t record, const export_how *how, share *out)
{
    const pack_record *const r = &t->records[record];
    char module[NAME_MAX_BYTES + 1];
    if (r->cls == CLASS_SCALES || !export_is_weight(r)) {
        return false;
    }
    const bool experts = export_module(r, module);
    const preset_place place = export_place(t, how, module);
    const char *const whole = experts ? "" : preset_merged(how->preset, &place, module);
    if (!whole) {
        return false;
    }
    const char *const last = strrchr(module, '.');
    *out = (share){.name = r->name,
                   .whole = whole,
                   .bytes = experts ? experts_bytes(r)
                            : last  ? (size_t)(last - module)
                                    : strlen(module),
                   .record = record};
    return true;
}

static bool is_fp8(const pack_table *t, const export_plan *plan, uint32_t record)
{
    return t->records[record].cls == CLASS_CODES && plan->records[record].form == FORM_SAME;
}

/* One module has one precision: if any part of it is not FP8, no part may be. The reason for that
 * part is the reason for all. */
static err_code level(const pack_table *t, const preset *p, const share *shares, size_t count,
                      export_plan *plan, err *e)
{
    size_t fp8 = 0;
    const pack_record *other = NULL;
    const export_record *cause = NULL;
    for (size_t i = 0; i < count; i++) {
        const bool stays = is_fp8(t, plan, shares[i].record);
        fp8 += stays;
        if (!stays && !other) {
            other = &t->records[shares[i].record];
            cause = &plan->records[shares[i].record];
        }
    }
    const bool experts = shares[0].whole[0] == '\0';
    if (other && experts && p->needs_experts) {
        return err_set(e, ERR_INPUT, "tensor %s: is not FP8, but %s reads all experts as FP8",
                       other->name, p->reader);
    }
    for (size_t i = 0; i < count && other && fp8 > 0; i++) {
        const pack_record *const r = &t->records[shares[i].record];
        if (r->cls != CLASS_CODES) {
            continue;
        }
        const char *const why =
            experts ? "other experts of its layer are not FP8" : "merged with a matrix not in FP8";
        set_dequantized(&plan->records[shares[i].record], cause->why ? cause->why : why,
                        cause->keep ? cause->keep : r->name);
    }
    return OK;
}

static err_code level_modules(const pack_table *t, const export_how *how, export_plan *plan, err *e)
{
    size_t count = 0;
    share *const shares = calloc((size_t)t->count + 1, sizeof *shares);
    if (!shares) {
        return err_set(e, ERR_MEMORY, "no memory for the plan of an export");
    }
    for (uint32_t i = 0; i < t->count; i++) {
        count += share_of(t, i, how, &shares[count]);
    }
    qsort(shares, count, sizeof *shares, compare_share);
    err_code code = OK;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && is_together(&shares[i], &shares[end])) {
            end++;
        }
        TRY_OUT(level(t, how->preset, &shares[i], end - i, plan, e));
        i = end;
    }
out:
    free(shares);
    return code;
}

/* ---- scales ---------------------------------------------------- */

/* The form of scales. A runtime that stores scales in the dtype of the weight rounds them to it, so
 * they must be exact there: scales of its own dialect are, powers of two are exact in BF16, and
 * scales that have 16 bits already stay as they are. FORM_NOTHING: the scales would change. */
static export_form form_of_scales(const pack_record *codes, const pack_record *scales,
                                  const preset *p)
{
    if (p->scale_type == DTYPE_F32 || scales->type == DTYPE_BF16 || scales->type == DTYPE_F16) {
        return FORM_SAME;
    }
    if (codes->dialect == DIALECT_COMPRESSED_TENSORS) {
        return codes->src_type == DTYPE_BF16  ? FORM_BF16_SCALES
               : codes->src_type == DTYPE_F16 ? FORM_F16_SCALES
                                              : FORM_SAME;
    }
    return scales->block.scale == SCALES_UE8M0 ? FORM_BF16_SCALES : FORM_NOTHING;
}

/* Choose the form of all scales. `carried`: the format of carried scales according to the config of
 * the source. */
static err_code choose_scales(const pack_table *t, const preset *p, scale_format carried,
                              export_plan *plan, err *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        if (r->cls != CLASS_CODES) {
            continue;
        }
        const pack_record *const scales = &t->records[r->scale_idx];
        export_form *const form = &plan->records[r->scale_idx].form;
        if (plan->records[i].form == FORM_NUMBERS) {
            *form = FORM_NOTHING;
            continue;
        }
        const bool by_flag = scales->block.scale == SCALES_UE8M0;
        const bool by_config = r->origin == ORIGIN_CARRIED && carried == SCALES_UE8M0;
        plan->check_pow2 = plan->check_pow2 || !by_flag;
        plan->block.scale = by_flag || by_config ? plan->block.scale : SCALES_F32;
        *form = form_of_scales(r, scales, p);
        if (*form == FORM_NOTHING) {
            err_set(e, ERR_INPUT, "tensor %s: %s stores scales in BF16, which would change them",
                    scales->name, p->reader);
            err_hint(e, "convert %s makes scales that are exact there",
                     r->origin == ORIGIN_CARRIED
                         ? "--requantize --scales ue8m0"
                         : "--dialect compressed-tensors or --scales ue8m0");
            return ERR_INPUT;
        }
    }
    plan->check_pow2 = plan->check_pow2 && plan->block.scale == SCALES_UE8M0;
    return OK;
}

/* Does a matrix of several tiles end within a tile? (A single tile is as large as the matrix.) */
static bool has_clipped_tiles(const pack_record *r)
{
    const uint64_t rows = pack_record_rows(r);
    const uint64_t cols = pack_record_cols(r);
    return (rows > r->block.rows && rows % r->block.rows != 0) ||
           (cols > r->block.cols && cols % r->block.cols != 0);
}

static void count_odd(const pack_table *t, export_plan *plan)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const pack_record *const r = &t->records[i];
        const bool fp8 = is_fp8(t, plan, i);
        if (fp8 && (has_clipped_tiles(r) || (r->ndim == 3 && !r->stack))) {
            plan->odd_count += r->stack ? r->shape[0] : 1;
        }
    }
}

err_code export_forms_choose(const pack_table *t, const export_how *how, export_plan *plan, err *e)
{
    const preset *const p = how->preset;
    plan->block = block_fp8(SCALES_UE8M0);
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(monitor_step(how->monitor, i, e));
        if (t->records[i].cls == CLASS_CODES) {
            choose_by_name(t, &t->records[i], how, &plan->records[i]);
        }
    }
    if (p->config != CONFIG_NONE) {
        TRY(level_modules(t, how, plan, e));
    }
    if (p->config != CONFIG_NONE && !how->dequantize) {
        TRY(export_numbers_refuse(t, p, plan, e));
    }
    count_odd(t, plan);
    return choose_scales(t, p, how->source_scales, plan, e);
}
