/* What an export would have to describe and cannot (spec/export.md section 3): kept tensors that are
 * not plain numbers. Scales of activations are left out where nothing reads them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "convert/export/export_plan.h"
#include "format/store/packed_states.h"

/* The kinds of tensors that no export can have. */
typedef enum fault_kind {
    FAULT_NONE,
    FAULT_FOREIGN,   /* quantized by another method */
    FAULT_KEPT,      /* FP8, next to its scales */
    FAULT_NO_SCALES, /* FP8 without scales */
    FAULT_STRAY,     /* scales without a weight */
    FAULT_COUNT
} fault_kind;

typedef struct fault {
    uint64_t count; /* of tensors */
    uint32_t first; /* record */
} fault;

static bool is_foreign(const pack_record *r, const tensor_state *s)
{
    return s->kind == STATE_FOREIGN || (s->kind == STATE_FP8 && r->type != DTYPE_F8_E4M3);
}

static fault_kind fault_of(const pack_record *r, const tensor_state *s)
{
    if (r->cls != CLASS_KEPT || s->kind == STATE_PLAIN) {
        return FAULT_NONE;
    }
    if (s->kind == STATE_PART) {
        return s->role == ROLE_WEIGHT && s->weight == STATE_NONE ? FAULT_STRAY : FAULT_NONE;
    }
    return is_foreign(r, s)          ? FAULT_FOREIGN
           : s->scales != STATE_NONE ? FAULT_KEPT
                                     : FAULT_NO_SCALES;
}

static void say_more(uint64_t count, char more[48])
{
    more[0] = '\0';
    if (count > 1) {
        snprintf(more, 48, " and %" PRIu64 " more", count - 1);
    }
}

static err_code refuse_foreign(const pack_table *t, const tensor_states *s, const fault *f, err *e)
{
    char more[48];
    say_more(f->count, more);
    err_set(e, ERR_INPUT,
            "tensor %s%s: quantized by %s, which octavo copies but cannot describe to a runtime",
            t->records[f->first].name, more, s->of[f->first].method);
    err_hint(e,
             "use the checkpoint itself; octavo unpack extracts its tensors from the packed file");
    return ERR_INPUT;
}

/* Is it one scale for each block? */
static bool has_blocks(const pack_record *w, const pack_record *s, block_format b)
{
    const unsigned skip = w->stack ? 1 : 0;
    return b.rows > 0 && w->ndim == s->ndim && w->ndim - skip >= 2 &&
           s->shape[s->ndim - 2] == block_down(b, w->shape[w->ndim - 2]) &&
           s->shape[s->ndim - 1] == block_across(b, w->shape[w->ndim - 1]);
}

/* Is it one scale for the whole tensor, or for each row? (Scales without dimensions form no stack even
 * if their weights do.) */
static bool has_rows(const pack_record *w, const pack_record *s)
{
    const unsigned skip = s->stack ? 1 : 0;
    const unsigned ndim = s->ndim - skip;
    const uint64_t *const shape = s->shape + skip;
    const uint64_t rows = w->ndim >= 2 ? w->shape[w->ndim - 2] : 0;
    const bool column = ndim == 1 || (ndim == 2 && shape[1] == 1);
    return ndim == 0 || (column && (shape[0] == 1 || shape[0] == rows));
}

/* What a conversion without the rule that kept it would have done. */
static const char *kept_hint(const tensor_state *state, const pack_record *w, const pack_record *s,
                             block_format described)
{
    if (state->two_scales || !scale_stored_in(s->type)) {
        return "use the checkpoint itself";
    }
    if (has_blocks(w, s, block_fp8(SCALES_F32))) {
        return "convert again without the rule that keeps it: then it is carried over";
    }
    return has_blocks(w, s, described) || has_rows(w, s)
               ? "convert again with --requantize, without the rule that keeps it"
               : "use the checkpoint itself";
}

static err_code refuse_kept(const pack_table *t, const tensor_states *s, const fault *f,
                            block_format described, err *e)
{
    char more[48];
    const pack_record *const r = &t->records[f->first];
    const tensor_state *const state = &s->of[f->first];
    say_more(f->count, more);
    err_set(e, ERR_INPUT,
            "tensor %s%s: FP8 kept apart from its scales; a runtime would read its codes as plain "
            "numbers",
            r->name, more);
    err_hint(e, "%s", kept_hint(state, r, &t->records[state->scales], described));
    return ERR_INPUT;
}

static err_code refuse_no_scales(const pack_table *t, const fault *f, err *e)
{
    char more[48];
    say_more(f->count, more);
    err_set(e, ERR_INPUT,
            "tensor %s%s: FP8 without scales; a runtime would read its codes as plain numbers",
            t->records[f->first].name, more);
    err_hint(e, "use the checkpoint itself");
    return ERR_INPUT;
}

static err_code refuse_stray(const pack_table *t, const fault *f, err *e)
{
    char more[48];
    say_more(f->count, more);
    err_set(e, ERR_INPUT, "tensor %s%s: scales of a weight that is not there or is not quantized",
            t->records[f->first].name, more);
    err_hint(e, "remove them from the checkpoint and convert it again");
    return ERR_INPUT;
}

static err_code refuse(const pack_table *t, const tensor_states *s, const fault *faults,
                       block_format described, err *e)
{
    TRY(faults[FAULT_FOREIGN].count > 0 ? refuse_foreign(t, s, &faults[FAULT_FOREIGN], e) : OK);
    TRY(faults[FAULT_KEPT].count > 0 ? refuse_kept(t, s, &faults[FAULT_KEPT], described, e) : OK);
    TRY(faults[FAULT_NO_SCALES].count > 0 ? refuse_no_scales(t, &faults[FAULT_NO_SCALES], e) : OK);
    return faults[FAULT_STRAY].count > 0 ? refuse_stray(t, &faults[FAULT_STRAY], e) : OK;
}

/* A config that speaks of a quantization although nothing was quantized before: either that is
 * over, or it is of a kind that cannot be seen in the tensors. */
static err_code refuse_description(const pack_table *t, const export_how *how, err *e)
{
    bool was_fp8 = false;
    for (uint32_t i = 0; i < t->count && !was_fp8; i++) {
        was_fp8 = t->records[i].cls == CLASS_CODES && t->records[i].src_type == DTYPE_F8_E4M3;
    }
    if (how->described.rotated) {
        err_set(e, ERR_INPUT,
                "embedded %s: transform_config: weights are transformed, and only this description "
                "makes a runtime transform the activations as well",
                how->described.place);
        err_hint(e, "use the checkpoint itself");
        return ERR_INPUT;
    }
    if (how->described.count == 0 || was_fp8) {
        return OK;
    }
    err_set(e, ERR_INPUT, "embedded %s: says that the model is quantized (%s), but no tensor is",
            how->described.place, how->described.method);
    err_hint(e, "use the checkpoint itself or, if its numbers are plain, remove the "
                "quantization_config from config.json and convert it again");
    return ERR_INPUT;
}

/* The exported config asks for dynamic scales of activations, or for none; scales of the KV cache
 * some runtimes read whatever it asks for. */
static void leave_out_parts(const pack_table *t, const preset *p, const tensor_states *s,
                            export_plan *plan)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const tensor_state *const x = &s->of[i];
        const bool read = x->role == ROLE_KV_CACHE && p->reads_kv_scales;
        if (t->records[i].cls == CLASS_KEPT && x->kind == STATE_PART && !read) {
            plan->records[i].form = FORM_NOTHING;
            plan->unread_first = plan->unread_count == 0 ? i : plan->unread_first;
            plan->unread_count += pack_record_sources(&t->records[i]);
        }
    }
}

static void count_faults(const pack_table *t, const tensor_states *s, fault faults[FAULT_COUNT])
{
    for (uint32_t i = 0; i < t->count; i++) {
        fault *const f = &faults[fault_of(&t->records[i], &s->of[i])];
        f->first = f->count == 0 ? i : f->first;
        f->count += pack_record_sources(&t->records[i]);
    }
}

err_code export_states_judge(const pack_table *t, const export_how *how, export_plan *plan, err *e)
{
    tensor_states states = {0};
    fault faults[FAULT_COUNT] = {0};
    err_code code = OK;
    TRY_OUT(packed_states_find(t, how->described.method, how->monitor, &states, e));
    count_faults(t, &states, faults);
    if (!how->refused) {
        TRY_OUT(refuse(t, &states, faults, how->described.block, e));
        TRY_OUT(refuse_description(t, how, e));
    }
    leave_out_parts(t, how->preset, &states, plan);
out:
    tensor_states_free(&states);
    return code;
}
