/* Recipes: the JSON of a recipe, a NUL, and lines that name tensors (fuzz_aid.h). An accepted recipe
 * that is written and parsed again is the same and decides the same; and nothing is quantized that
 * cannot be. */
#include "quant/recipe/recipe.h"
#include "tests/fuzz/fuzz_aid.h"

static void check_same(const recipe *a, const recipe *b)
{
    require(a->scales == b->scales && a->requantize == b->requantize);
    require(recipe_dialect(a) == recipe_dialect(b) && recipe_rule_set(a) == recipe_rule_set(b));
    require(a->rule_count == b->rule_count);
    for (size_t i = 0; i < a->rule_count; i++) {
        require(strcmp(a->rules[i].glob, b->rules[i].glob) == 0);
        require(a->rules[i].quantize == b->rules[i].quantize);
    }
}

static err_code decide(const recipe *r, const fuzz_tensors *list, size_t i, decision *d)
{
    const tensor_names names = {.has = has_fuzz_tensor, .model = list};
    const fuzz_tensor *const t = &list->all[i];
    const bool scaled = t->type == DTYPE_F8_E4M3 && (t->ndim == 2 || t->ndim == 3);
    const recipe_tensor asked = {
        .name = t->name,
        .names = &names,
        .type = t->type,
        .shape = t->shape,
        .ndim = t->ndim,
        .scale_type = scaled && t->bytes ? DTYPE_F32 : DTYPE_NONE,
        .block = block_fp8(SCALES_F32),
    };
    err e = {0};
    const err_code code = recipe_decide(r, &asked, NULL, d, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_USAGE || code == ERR_INPUT);
    return code;
}

static void check_decisions(const recipe *a, const recipe *b, const fuzz_tensors *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const fuzz_tensor *const t = &list->all[i];
        decision x = {0};
        decision y = {0};
        const err_code code = decide(a, list, i, &x);
        require(code == decide(b, list, i, &y));
        if (code != OK) {
            continue;
        }
        require(x.action == y.action && x.reason == y.reason && x.reason < REASON_COUNT);
        require(recipe_reason_text(x.reason)[0] && recipe_action_name(x.action)[0]);
        require(x.action != ACTION_QUANTIZE || (t->bytes > 0 && t->ndim >= 2 && t->ndim <= 3));
        require((x.action == ACTION_KEEP) ==
                (x.reason != REASON_LINEAR && x.reason != REASON_FP8_TILES &&
                 x.reason != REASON_REQUANTIZED &&
                 !(x.reason == REASON_RULE && x.action == ACTION_QUANTIZE)));
    }
}

/* As section RCPE of a packed file, which has no name for set 1. */
static void check_packed(const recipe *r)
{
    recipe again = {0};
    size_t bytes = 0;
    char *const text = recipe_json_packed(r, &bytes);
    require(text && recipe_parse_packed(&again, "p", text, bytes, NULL) == OK);
    check_same(r, &again);
    recipe_free(&again);
    free(text);
}

static void check_recipe(const recipe *r, const fuzz_tensors *list)
{
    recipe again = {0};
    size_t bytes = 0;
    size_t same_bytes = 0;
    char *const text = recipe_json(r, &bytes);
    require(text && recipe_parse(&again, "j", text, bytes, NULL) == OK);
    char *const same = recipe_json(&again, &same_bytes);
    require(same && bytes == same_bytes && memcmp(text, same, bytes) == 0);
    check_same(r, &again);
    check_decisions(r, &again, list);
    check_packed(r);
    recipe_free(&again);
    free(same);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input in = {(const char *)data, (const char *)data + size};
    size_t bytes = 0;
    size_t lines_bytes = 0;
    char *const text = take_text(&in, &bytes);
    char *const lines = take_text(&in, &lines_bytes);
    fuzz_tensors list;
    recipe r = {0};
    err e = {0};
    const err_code code = recipe_parse(&r, "r", text, bytes, &e);
    check_code(code, &e);
    require(code == OK || code == ERR_INPUT);
    read_tensors(lines, &list);
    if (code == OK) {
        check_recipe(&r, &list);
    }
    recipe_free(&r);
    free(lines);
    free(text);
    return 0;
}
