/* Recipes as JSON: the form in which people write them, and that of section RCPE. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "format/json/json.h"
#include "quant/recipe/recipe.h"

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

static err_code parse_built_in(recipe *r, const char *what, const json_t *value, err *e)
{
    const json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 1 || number > RECIPE_NEWEST_RULES) {
        return err_set(e, ERR_INPUT,
                       "%s: \"built_in\" is the number of a set of built-in rules, from 1 to %d",
                       what, RECIPE_NEWEST_RULES);
    }
    r->built_in = (unsigned)number;
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
        {"scales", parse_scales},         {"dialect", parse_dialect},   {"rules", parse_rules},
        {"requantize", parse_requantize}, {"built_in", parse_built_in},
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
    TRY(json_parse(what, text, bytes, JSON_EXACT, &root, e));
    const err_code code = parse_object(r, what, root, e);
    json_decref(root);
    return code;
}

err_code recipe_parse_packed(recipe *r, const char *what, const char *text, size_t bytes, err *e)
{
    r->built_in = 1;
    return recipe_parse(r, what, text, bytes, e);
}

static char *write_json(const recipe *r, bool name_set, size_t *bytes)
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
    if (name_set) {
        failed |= json_object_set_new(root, "built_in", json_integer(recipe_rule_set(r)));
    }
    if (root && recipe_dialect(r) != DIALECT_IEEE) { /* as in files from before other dialects */
        failed |= json_object_set_new(root, "dialect", json_string(dialect_name(r->dialect)));
    }
    char *const text = root && !failed ? json_canonical(root, bytes) : NULL;
    json_decref(root);
    return text;
}

char *recipe_json_packed(const recipe *r, size_t *bytes)
{
    return write_json(r, recipe_rule_set(r) != 1, bytes);
}

char *recipe_json(const recipe *r, size_t *bytes)
{
    return write_json(r, true, bytes);
}
