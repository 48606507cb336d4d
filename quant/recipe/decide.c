#include "quant/recipe/decide.h"

#include "format/base/glob.h"

/* Scales follow their weight; next to a kept weight they are ordinary tensors. */
static err_code decide_scales(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs,
                              size_t weight, const monitor *m, decision *out, err *e)
{
    decision d;
    *out = (decision){ACTION_KEEP, REASON_FP8};
    TRY(decide_tensor(r, cp, pairs, weight, m, &d, e));
    if (d.action != ACTION_KEEP) {
        *out = (decision){ACTION_SCALES, d.reason};
    }
    return OK;
}

/* Files made by the first set of rules did not know of other methods. */
static bool knows_methods(const recipe *r)
{
    return recipe_rule_set(r) > 1;
}

err_code decide_pairs(const recipe *r, const checkpoint *cp, const monitor *m, fp8_pairs *out,
                      err *e)
{
    return knows_methods(r) ? fp8_pairs_find(cp, m, out, e) : fp8_pairs_find1(cp, out, e);
}

/* What others quantized is copied, whatever its dtype makes of it. */
static err_code decide_state(const tensor *t, const tensor_state *s, decision *out, err *e)
{
    const bool foreign =
        s->kind == STATE_FOREIGN || (s->kind == STATE_FP8 && t->type != DTYPE_F8_E4M3);
    if (out->reason != REASON_RULE && (foreign || s->kind == STATE_PART)) {
        *out = (decision){ACTION_KEEP, foreign ? REASON_FOREIGN : REASON_PART};
    } else if (s->kind == STATE_PART && out->action == ACTION_QUANTIZE) {
        err_set(e, ERR_USAGE, "tensor %s: cannot be quantized as a rule asks: %s", t->name,
                recipe_reason_text(REASON_PART));
        char glob[GLOB_NAME_BYTES];
        err_hint(e, "narrow the glob, or add --keep '%s' after it", glob_of_name(t->name, glob));
        return ERR_USAGE;
    }
    return OK;
}

/* Is the checkpoint quantized, by any method? One that nobody has heard of may not show. */
static bool is_quantized(const recipe *r, const fp8_pairs *pairs)
{
    const bool foreign = pairs->states.foreign > 0 || pairs->described.unknown;
    return pairs->any || (knows_methods(r) && foreign);
}

/* Whoever quantized other weights left this one alone on purpose. */
static bool is_spared(const recipe *r, const fp8_pairs *pairs, const decision *d)
{
    return d->action == ACTION_QUANTIZE && d->reason != REASON_RULE &&
           d->reason != REASON_REQUANTIZED && is_quantized(r, pairs);
}

/* FP8 that would have to be quantized again, if another method quantized other tensors: no export can
 * describe the model as a whole, so it is only copied. */
static bool is_copied(const recipe *r, const fp8_pairs *pairs, size_t i)
{
    return knows_methods(r) && !r->requantize && pairs->states.foreign > 0 &&
           pairs->states.of[i].kind == STATE_FP8;
}

static bool has_tensor(const void *cp, const char *name)
{
    return checkpoint_find(cp, name) != NULL;
}

err_code decide_tensor(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs, size_t i,
                       const monitor *m, decision *out, err *e)
{
    const tensor *const t = &cp->tensors[i];
    const fp8_pair *const p = &pairs->of[i];
    if (p->kind == FP8_SCALES) {
        return decide_scales(r, cp, pairs, (size_t)(p->other - cp->tensors), m, out, e);
    }
    const bool copied = is_copied(r, pairs, i);
    const tensor_names names = {.has = has_tensor, .model = cp};
    const recipe_tensor asked = {
        .name = t->name,
        .names = &names,
        .type = t->type,
        .shape = t->shape,
        .ndim = t->ndim,
        .scale_type = p->kind == FP8_WEIGHT && !copied ? p->other->type : DTYPE_NONE,
        .block = p->block,
    };
    TRY(recipe_decide(r, &asked, m, out, e));
    if (is_spared(r, pairs, out)) {
        *out = (decision){ACTION_KEEP, REASON_SPARED};
    }
    if (copied) {
        out->reason = out->reason == REASON_RULE ? REASON_RULE : REASON_FOREIGN;
        return OK;
    }
    if (knows_methods(r)) {
        TRY(decide_state(t, &pairs->states.of[i], out, e));
    }
    if (out->reason == REASON_RULE || (p->kind == FP8_NO_SCALES && !recipe_is_linear(r, t->name))) {
        return OK;
    }
    return fp8_pairs_check(cp, pairs, i, e);
}
