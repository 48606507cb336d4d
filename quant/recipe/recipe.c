#include "quant/recipe/recipe.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/json/json.h"
#include "format/tensor/tensor_name.h"
#include "format/base/utf8.h"

/* Modules that are linear layers in the models released so far (spec/quant.md section 6). */
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

const char *recipe_reason_name(recipe_reason r)
{
    static const char *const names[] = {
#define X(code, name, text) name,
        RECIPE_REASONS(X)
#undef X
    };
    return names[r];
}

const char *recipe_reason_text(recipe_reason r)
{
    static const char *const texts[] = {
#define X(code, name, text) text,
        RECIPE_REASONS(X)
#undef X
    };
    return texts[r];
}

err_code recipe_add_rule(recipe *r, const char *glob, bool quantize, bool from_option, err *e)
{
    if (!glob_valid(glob)) {
        return err_set(e, from_option ? ERR_USAGE : ERR_INPUT, "invalid glob '%s'", glob);
    }
    if (!utf8_valid(glob)) { /* names are UTF-8, and the packed file stores the recipe as JSON */
        return err_set(e, from_option ? ERR_USAGE : ERR_INPUT, "'%s' is not UTF-8", glob);
    }
    recipe_rule *const rules = realloc(r->rules, (r->rule_count + 1) * sizeof *rules);
    if (!rules) {
        return err_set(e, ERR_MEMORY, "no memory for a recipe");
    }
    r->rules = rules;
    char *const copy = strdup(glob);
    if (!copy) {
        return err_set(e, ERR_MEMORY, "no memory for a recipe");
    }
    rules[r->rule_count++] = (recipe_rule){copy, quantize, from_option};
    return OK;
}

void recipe_free(recipe *r)
{
    for (size_t i = 0; i < r->rule_count; i++) {
        free(r->rules[i].glob);
    }
    free(r->rules);
    *r = (recipe){0};
}

/* ---- decisions ------------------------------------------------- */

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

/* Why the tensor can never be quantized, whatever the rules say; REASON_RULE if it can. */
static recipe_reason obstacle(dtype type, const uint64_t *shape, unsigned ndim)
{
    if (is_fp8(type)) {
        return REASON_FP8;
    }
    if (type != DTYPE_BF16 && type != DTYPE_F16 && type != DTYPE_F32) {
        return REASON_DTYPE;
    }
    if (ndim != 2 && ndim != 3) {
        return REASON_SHAPE;
    }
    return has_zero(shape, ndim) ? REASON_EMPTY : REASON_RULE;
}

static recipe_reason built_in_reason(const char *name, dtype type, const uint64_t *shape,
                                     unsigned ndim)
{
    const recipe_reason basic = obstacle(type, shape, ndim);
    if (basic == REASON_FP8 || basic == REASON_DTYPE || basic == REASON_SHAPE) {
        return basic;
    }
    if (ndim == 3 && !has_component(name, "experts")) {
        return REASON_SHAPE;
    }
    if (basic == REASON_EMPTY) {
        return basic;
    }
    if (name_layer(name) < 0) {
        return REASON_OUTSIDE_LAYERS;
    }
    return module_is_linear(name) ? REASON_LINEAR : REASON_NOT_LINEAR;
}

bool recipe_is_linear(const char *name)
{
    return name_layer(name) >= 0 && module_is_linear(name);
}

const char *recipe_action_name(recipe_action a)
{
    static const char *const names[] = {
        [ACTION_KEEP] = "keep",
        [ACTION_QUANTIZE] = "quantize",
        [ACTION_CARRY] = "carry",
        [ACTION_SCALES] = "scales",
    };
    return names[a];
}

static err_code decide_by_rule(const recipe_rule *rule, const recipe_tensor *t, decision *out,
                               err *e)
{
    *out = (decision){rule->quantize ? ACTION_QUANTIZE : ACTION_KEEP, REASON_RULE};
    const recipe_reason why = obstacle(t->type, t->shape, t->ndim);
    if (rule->quantize && why != REASON_RULE) {
        err_set(e, ERR_USAGE, "tensor %s: cannot be quantized as the rule '%s' asks: %s", t->name,
                rule->glob, recipe_reason_text(why));
        err_hint(e, "narrow the glob, or add --keep '%s' after it", t->name);
        return ERR_USAGE;
    }
    return OK;
}

/* FP8 with scales (spec/quant.md section 8): it is carried over unchanged if its tiles and scales are
 * those of the output, else quantized again if the recipe allows that. */
static err_code decide_fp8(const recipe *r, const recipe_tensor *t, decision *out, err *e)
{
    const block_format wanted = recipe_block(r);
    const bool tiles = block_same_size(t->block, wanted);
    const bool scales = wanted.scale == SCALES_F32 || t->block.scale == wanted.scale;
    if (tiles && scales) {
        *out = (decision){ACTION_CARRY, REASON_FP8_TILES};
        return OK;
    }
    *out = (decision){ACTION_QUANTIZE, REASON_REQUANTIZED};
    if (r->requantize) {
        return OK;
    }
    if (!tiles) {
        char found[BLOCK_TEXT_BYTES];
        char text[BLOCK_TEXT_BYTES];
        err_set(
            e, ERR_INPUT,
            "tensor %s: FP8 in tiles of %s, which would have to be quantized again for tiles of %s",
            t->name, block_text(t->block, found), block_text(wanted, text));
        err_hint(e, "--requantize allows that, --keep '%s' leaves the tensor as it is", t->name);
    } else {
        err_set(e, ERR_INPUT,
                "tensor %s: FP8 with scales in %s, which would have to be quantized again for "
                "scales that are powers of two",
                t->name, dtype_name(t->scale_type));
        err_hint(e, "without --scales ue8m0 it is copied unchanged; --requantize allows the second "
                    "rounding, which costs about 3 dB");
    }
    return ERR_INPUT;
}

err_code recipe_decide(const recipe *r, const recipe_tensor *t, decision *out, err *e)
{
    for (size_t i = r->rule_count; i > 0; i--) {
        if (glob_match(r->rules[i - 1].glob, t->name)) {
            return decide_by_rule(&r->rules[i - 1], t, out, e);
        }
    }
    if (t->scale_type != DTYPE_NONE) {
        return decide_fp8(r, t, out, e);
    }
    out->reason = built_in_reason(t->name, t->type, t->shape, t->ndim);
    out->action = out->reason == REASON_LINEAR ? ACTION_QUANTIZE : ACTION_KEEP;
    return OK;
}

/* ---- JSON ------------------------------------------------------ */

static err_code parse_rule(recipe *r, const char *what, const json_t *rule, err *e)
{
    const char *const glob = json_string_value(json_object_get(rule, "match"));
    const char *const action = json_string_value(json_object_get(rule, "action"));
    const bool quantize = action && strcmp(action, "quantize") == 0;
    if (!glob || !action || json_object_size(rule) != 2 ||
        (!quantize && strcmp(action, "keep") != 0)) {
        return err_set(e, ERR_INPUT,
                       "%s: a rule is {\"match\": GLOB, \"action\": \"quantize\" or \"keep\"}",
                       what);
    }
    const err_code code = recipe_add_rule(r, glob, quantize, false, e);
    if (code != OK) {
        err_prefix(e, "%s", what);
    }
    return code;
}

static err_code parse_scales(recipe *r, const char *what, const json_t *scales, err *e)
{
    const char *const text = json_string_value(scales);
    return text && scale_format_parse(text, &r->scales)
               ? OK
               : err_set(e, ERR_INPUT, "%s: \"scales\" is \"f32\" or \"ue8m0\"", what);
}

/* 1 or 0: canonical JSON has no booleans. */
static err_code parse_requantize(recipe *r, const char *what, const json_t *value, err *e)
{
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || (number != 0 && number != 1)) {
        return err_set(e, ERR_INPUT, "%s: \"requantize\" is 1 or 0", what);
    }
    r->requantize = number == 1;
    return OK;
}

#define AFTER_COMMA(name, word) ", " word

static err_code parse_dialect(recipe *r, const char *what, const json_t *dialect, err *e)
{
    static const char words[] = DIALECT_LIST(AFTER_COMMA);
    const char *const text = json_string_value(dialect);
    r->dialect = text ? dialect_parse(text) : DIALECT_NONE;
    return r->dialect != DIALECT_NONE
               ? OK
               : err_set(e, ERR_INPUT, "%s: \"dialect\" is one of %s", what, words + 2);
}

static err_code parse_rules(recipe *r, const char *what, const json_t *rules, err *e)
{
    if (!json_is_array(rules)) {
        return err_set(e, ERR_INPUT, "%s: \"rules\" is not a list", what);
    }
    size_t i = 0;
    const json_t *rule = NULL;
    json_array_foreach(rules, i, rule)
    {
        TRY(parse_rule(r, what, rule, e));
    }
    return OK;
}

static err_code parse_key(recipe *r, const char *what, const char *key, json_t *value, err *e)
{
    static const struct {
        const char *key;
        err_code (*parse)(recipe *r, const char *what, const json_t *value, err *e);
    } keys[] = {
        {"scales", parse_scales},
        {"dialect", parse_dialect},
        {"rules", parse_rules},
        {"requantize", parse_requantize},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(key, keys[i].key) == 0) {
            return keys[i].parse(r, what, value, e);
        }
    }
    return strcmp(key, "octavo_recipe") == 0
               ? OK
               : err_set(e, ERR_INPUT, "%s: unknown key \"%s\" in a recipe", what, key);
}

static err_code parse_object(recipe *r, const char *what, json_t *root, err *e)
{
    const json_t *const version = json_object_get(root, "octavo_recipe");
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        return err_set(e, ERR_INPUT, "%s: not a recipe: \"octavo_recipe\" must be 1", what);
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(root, key, value)
    {
        TRY(parse_key(r, what, key, value, e));
    }
    return OK;
}

err_code recipe_parse(recipe *r, const char *what, const char *text, size_t bytes, err *e)
{
    json_t *root = NULL;
    TRY(json_parse(what, text, bytes, false, &root, e));
    const err_code code = parse_object(r, what, root, e);
    json_decref(root);
    return code;
}

char *recipe_json(const recipe *r, size_t *bytes)
{
    json_t *const rules = json_array();
    int failed = 0; /* jansson returns -1 if memory is short */
    for (size_t i = 0; i < r->rule_count; i++) {
        const char *const action = r->rules[i].quantize ? "quantize" : "keep";
        failed |= json_array_append_new(
            rules, json_pack("{s:s, s:s}", "match", r->rules[i].glob, "action", action));
    }
    json_t *const root = json_pack("{s:i, s:s, s:o}", "octavo_recipe", 1, "scales",
                                   scale_format_name(r->scales), "rules", rules);
    if (r->requantize) {
        failed |= json_object_set_new(root, "requantize", json_integer(1));
    }
    if (root && recipe_dialect(r) != DIALECT_IEEE) { /* as in files from before other dialects */
        failed |= json_object_set_new(root, "dialect", json_string(dialect_name(r->dialect)));
    }
    char *const text = root && !failed ? json_canonical(root, bytes) : NULL;
    json_decref(root);
    return text;
}
