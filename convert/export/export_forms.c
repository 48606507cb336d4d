/* What becomes of every record (spec/export.md section 3): the runtime reads FP8 where it builds a
 * quantized module, and nothing else there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "format/checkpoint/fp8_pairs.h"
#include "format/base/glob.h"

static const char suffix[] = ".weight";

static size_t without_suffix(const char *name)
{
    const size_t bytes = strlen(name);
    const size_t end = sizeof suffix - 1;
    return bytes > end && strcmp(name + bytes - end, suffix) == 0 ? bytes - end : 0;
}

bool export_is_weight(const pack_record *r)
{
    size_t start = 0;
    size_t length = 0;
    const unsigned member_dims = r->stack ? r->ndim - 1U : r->ndim;
    if (member_dims == 2) {
        return without_suffix(r->name) > 0;
    }
    return member_dims == 3 && !r->stack && name_expert_slot(r->name, &start, &length);
}

size_t export_module_bytes(const pack_record *r, bool *experts)
{
    size_t start = 0;
    size_t length = 0;
    const bool any = name_expert_slot(r->name, &start, &length);
    if (experts) {
        *experts = any;
    }
    const size_t plain = without_suffix(r->name);
    return any ? start - 1 : plain > 0 ? plain : strlen(r->name);
}

/* ---- what the runtime does not read in FP8 --------------------- */

static void make_wide(export_record *x, const char *why, const char *keep)
{
    if (x->form == FORM_SAME) {
        x->form = FORM_NUMBERS;
        x->why = why;
        x->keep = keep;
    }
}

/* Joined halves have joined scales: the second half begins in the middle of a tile of the first. */
static bool is_ragged_half(const pack_record *r)
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
    return preset_is_half(module);
}

static void choose_by_name(const pack_record *r, const preset *p, export_record *x)
{
    if (p->config == CONFIG_NONE) {
        make_wide(x, "nothing is FP8 there", NULL);
        return;
    }
    if (!export_is_weight(r)) {
        make_wide(x, "not the weight of a linear layer", r->name);
    }
    if (r->ndim == 3 && !r->stack && !p->loads_stacked) {
        make_wide(x, "experts in three dimensions", r->name);
    }
    if (p->joins_halves && is_ragged_half(r)) {
        make_wide(x, "gate and up of an expert are joined, and 128 does not divide their rows",
                  "*.experts.*");
    }
    if (p->wide && glob_match(p->wide, r->name)) {
        make_wide(x, "it takes the dtype of the source", p->wide);
    }
    for (const char *const *glob = preset_wide; *glob; glob++) {
        if (glob_match(*glob, r->name)) {
            make_wide(x, "it takes the dtype of the source", r->name);
        }
    }
}

/* ---- modules that are one for the runtime ---------------------- */

/* Tensors of one key are parts of one module: merged matrices, or the experts of a layer. */
typedef struct share {
    const char *name;  /* `bytes` of it are the same */
    const char *whole; /* and this */
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

/* False: a module by itself. */
static bool share_of(const pack_table *t, uint32_t record, const preset *p, share *out)
{
    const pack_record *const r = &t->records[record];
    bool experts = false;
    char module[NAME_MAX_BYTES + 1];
    if (r->cls == CLASS_SCALES || !export_is_weight(r)) {
        return false;
    }
    const size_t bytes = export_module_bytes(r, &experts);
    snprintf(module, sizeof module, "%.*s", (int)bytes, r->name);
    const char *const whole = experts ? "" : p->merges ? preset_merged(module) : NULL;
    if (!whole) {
        return false;
    }
    const char *const last = strrchr(module, '.');
    *out = (share){.name = r->name,
                   .whole = whole,
                   .bytes = experts || !last ? bytes : (size_t)(last - module),
                   .record = record};
    return true;
}

static bool is_fp8(const pack_table *t, const export_plan *plan, uint32_t record)
{
    return t->records[record].cls == CLASS_CODES && plan->records[record].form == FORM_SAME;
}

/* One module has one precision: where a part of it is not FP8, none is. */
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
        return err_set(e, ERR_INPUT, "tensor %s: is not FP8 here, but %s takes experts for FP8",
                       other->name, p->reader);
    }
    for (size_t i = 0; i < count && other && fp8 > 0; i++) {
        const pack_record *const r = &t->records[shares[i].record];
        if (r->cls != CLASS_CODES) {
            continue;
        }
        const char *const why =
            experts ? "other experts of its layer are not FP8" : "merged with one that is not FP8";
        make_wide(&plan->records[shares[i].record], cause->why ? cause->why : why,
                  cause->keep ? cause->keep : r->name);
    }
    return OK;
}

static err_code level_modules(const pack_table *t, const preset *p, export_plan *plan, err *e)
{
    size_t count = 0;
    share *const shares = calloc((size_t)t->count + 1, sizeof *shares);
    if (!shares) {
        return err_set(e, ERR_MEMORY, "no memory for the plan of an export");
    }
    for (uint32_t i = 0; i < t->count; i++) {
        count += share_of(t, i, p, &shares[count]);
    }
    qsort(shares, count, sizeof *shares, compare_share);
    err_code code = OK;
    for (size_t i = 0; i < count && code == OK;) {
        size_t end = i + 1;
        while (end < count && is_together(&shares[i], &shares[end])) {
            end++;
        }
        code = level(t, p, &shares[i], end - i, plan, e);
        i = end;
    }
    free(shares);
    return code;
}

/* ---- the answer ------------------------------------------------ */

/* FP8 that a rule kept is codes without scales to whoever reads it: numbers to nobody. */
static err_code refuse_kept_fp8(const pack_table *t, err *e)
{
    for (uint32_t i = 0; i < FP8_SUFFIXES * t->count; i++) {
        const pack_record *const r = &t->records[i / FP8_SUFFIXES];
        char scales[NAME_MAX_BYTES + 16];
        if (r->cls != CLASS_KEPT || r->type != DTYPE_F8_E4M3) {
            continue;
        }
        snprintf(scales, sizeof scales, "%s%s", r->name, fp8_suffixes[i % FP8_SUFFIXES]);
        if (pack_table_find(t, scales)) {
            err_set(e, ERR_INPUT,
                    "tensor %s: FP8 that was kept apart from its scales: codes, which a "
                    "runtime would take for numbers",
                    r->name);
            err_hint(e, "convert without --keep '%s' carries it over", r->name);
            return ERR_INPUT;
        }
    }
    return OK;
}

static err_code refuse_numbers(const pack_table *t, const preset *p, const export_plan *plan,
                               err *e)
{
    uint64_t count = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->records[i].cls == CLASS_CODES && plan->records[i].form == FORM_NUMBERS) {
            first = count++ == 0 ? i : first;
        }
    }
    if (count == 0) {
        return OK;
    }
    char more[48] = "";
    if (count > 1) {
        snprintf(more, sizeof more, " and %" PRIu64 " more", count - 1);
    }
    err_set(e, ERR_INPUT, "tensor %s%s: FP8, which %s does not read there: %s",
            t->records[first].name, more, p->reader, plan->records[first].why);
    if (t->records[first].src_type == DTYPE_F8_E4M3) {
        err_hint(e, "--dequantize writes the numbers that it stands for");
    } else {
        err_hint(e, "convert --keep '%s' keeps it as it was; --dequantize accepts its rounding",
                 plan->records[first].keep);
    }
    return ERR_INPUT;
}

/* Where the runtime keeps scales in the dtype of the weight: those of its own dialect are exact in
 * it, powers of two in BF16, and what has 16 bits already stays. FORM_NOTHING: others would change.
 */
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

/* Scales follow their codes. `carried`: what the config says of those that were taken over. */
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
            err_hint(e, "convert --dialect compressed-tensors makes its own, --scales ue8m0 powers "
                        "of two, which are the same in BF16");
            return ERR_INPUT;
        }
    }
    plan->check_pow2 = plan->check_pow2 && plan->block.scale == SCALES_UE8M0;
    return OK;
}

/* Tiles at an edge are smaller; where there is one tile only, it is as large as the matrix. */
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
        if (t->records[i].cls == CLASS_CODES) {
            choose_by_name(&t->records[i], p, &plan->records[i]);
        }
    }
    err_code code = refuse_kept_fp8(t, e);
    if (code == OK && p->config != CONFIG_NONE) {
        code = level_modules(t, p, plan, e);
    }
    if (code == OK && p->config != CONFIG_NONE && !how->dequantize) {
        code = refuse_numbers(t, p, plan, e);
    }
    count_odd(t, plan);
    return code == OK ? choose_scales(t, p, how->source_scales, plan, e) : code;
}
