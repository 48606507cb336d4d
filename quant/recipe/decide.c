#include "quant/recipe/decide.h"

/* Scales are theirs whose weight needs them; beside one that is kept they are a tensor as any. */
static err_code decide_scales(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs,
                              size_t weight, decision *out, err *e)
{
    decision d;
    const err_code code = decide_tensor(r, cp, pairs, weight, &d, e);
    if (code == OK && d.action != ACTION_KEEP) {
        *out = (decision){ACTION_SCALES, d.reason};
        return OK;
    }
    *out = (decision){ACTION_KEEP, REASON_FP8};
    return code;
}

err_code decide_tensor(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs, size_t i,
                       decision *out, err *e)
{
    const tensor *const t = &cp->tensors[i];
    const fp8_pair *const p = &pairs->of[i];
    if (p->kind == FP8_SCALES) {
        return decide_scales(r, cp, pairs, (size_t)(p->other - cp->tensors), out, e);
    }
    const recipe_tensor asked = {
        .name = t->name,
        .type = t->type,
        .shape = t->shape,
        .ndim = t->ndim,
        .scale_type = p->kind == FP8_WEIGHT ? p->other->type : DTYPE_NONE,
        .block = p->block,
    };
    const err_code code = recipe_decide(r, &asked, out, e);
    if (code == OK && pairs->any && out->reason == REASON_LINEAR) {
        *out = (decision){ACTION_KEEP, REASON_SPARED}; /* who made the others FP8 had a reason */
    }
    if (code != OK || out->reason == REASON_RULE ||
        (p->kind == FP8_NO_SCALES && !recipe_is_linear(t->name))) {
        return code;
    }
    return fp8_pairs_check(cp, pairs, i, e);
}
