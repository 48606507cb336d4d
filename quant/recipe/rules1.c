/* Set 1 of the built-in rules: one list of names, the same for all models. Files that were made
 * under it are verified under it forever, so nothing here changes. */
#include "quant/recipe/built_in.h"

#include <string.h>

#include "format/tensor/tensor_name.h"

static const char *const linear_modules[] = {
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "qkv_proj",
    "out_proj",
    "g_proj",
    "query_key_value",
    "dense",
    "output_gate",
    "q_a_proj",
    "q_b_proj",
    "kv_a_proj_with_mqa",
    "kv_b_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "gate_up_proj",
    "w1",
    "w2",
    "w3",
};

/* Is the last component of the name, without a final "weight", that of a known linear layer? */
static bool module_is_linear(const char *name)
{
    const char *end = name + strlen(name);
    if (end - name > 7 && strcmp(end - 7, ".weight") == 0) {
        end -= 7;
    }
    const char *start = end;
    while (start > name && start[-1] != '.') {
        start--;
    }
    const size_t length = (size_t)(end - start);
    for (size_t i = 0; i < sizeof linear_modules / sizeof linear_modules[0]; i++) {
        if (strlen(linear_modules[i]) == length && memcmp(linear_modules[i], start, length) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_component(const char *name, const char *component)
{
    const size_t length = strlen(component);
    for (const char *p = name; p; p = strchr(p, '.')) {
        p += *p == '.';
        if (strncmp(p, component, length) == 0 && (p[length] == '.' || p[length] == '\0')) {
            return true;
        }
    }
    return false;
}

recipe_reason rules1_reason(const recipe_tensor *t, recipe_reason basic)
{
    if (basic == REASON_FP8 || basic == REASON_DTYPE || basic == REASON_SHAPE) {
        return basic;
    }
    if (t->ndim == 3 && !has_component(t->name, "experts")) {
        return REASON_SHAPE;
    }
    if (basic == REASON_EMPTY) {
        return basic;
    }
    if (name_layer(t->name) < 0) {
        return REASON_OUTSIDE_LAYERS;
    }
    return module_is_linear(t->name) ? REASON_LINEAR : REASON_NOT_LINEAR;
}

bool rules1_is_linear(const char *name)
{
    return name_layer(name) >= 0 && module_is_linear(name);
}
