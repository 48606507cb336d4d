#include "quant/recipe/built_in.h"

static bool is_fp8(dtype t)
{
    return t == DTYPE_F8_E4M3 || t == DTYPE_F8_E5M2 || t == DTYPE_F8_E8M0 ||
           t == DTYPE_F8_E4M3FNUZ || t == DTYPE_F8_E5M2FNUZ;
}

static bool has_zero(const uint64_t *shape, unsigned ndim)
{
    for (unsigned i = 0; i < ndim; i++) {
        if (shape[i] == 0) {
            return true;
        }
    }
    return false;
}

recipe_reason built_in_obstacle(const recipe_tensor *t)
{
    if (is_fp8(t->type)) {
        return REASON_FP8;
    }
    if (t->type != DTYPE_BF16 && t->type != DTYPE_F16 && t->type != DTYPE_F32) {
        return REASON_DTYPE;
    }
    if (t->ndim != 2 && t->ndim != 3) {
        return REASON_SHAPE;
    }
    return has_zero(t->shape, t->ndim) ? REASON_EMPTY : REASON_RULE;
}

recipe_reason built_in_reason(unsigned set, const recipe_tensor *t)
{
    const recipe_reason basic = built_in_obstacle(t);
    return set == 1 ? rules1_reason(t, basic) : rules2_reason(t, basic);
}

bool recipe_is_linear(const recipe *r, const char *name)
{
    return recipe_rule_set(r) == 1 ? rules1_is_linear(name) : rules2_is_linear(name);
}
