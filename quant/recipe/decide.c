#include "quant/recipe/decide.h"

/* Scales follow their weight; next to a kept weight they are ordinary tensors. */
static err_code decide_scales(const recipe *r, const checkpoint *cp, const fp8_pairs *pairs,
                              size_t weight, decision *out, err *e)
{
    decision d;
    *out = (decision){ACTION_KEEP, REASON_FP8};
    TRY(decide_tensor(r, cp, pairs, weight, &d, e));
    if (d.action != ACTION_KEEP) {
        *out = (decision){ACTION_SCALES, d.reason};
    }
    return OK;
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
    TRY(recipe_decide(r, &asked, out, e));
    if (pairs->any && out->reason == REASON_LINEAR) {
        /* Whoever quantized the other weights left this one alone on purpose. */
        *out = (decision){ACTION_KEEP, REASON_SPARED};
    }
    if (out->reason == REASON_RULE || (p->kind == FP8_NO_SCALES && !recipe_is_linear(t->name))) {
        return OK;
    }
    return fp8_pairs_check(cp, pairs, i, e);
}
