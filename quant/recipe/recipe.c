#include "quant/recipe/recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/base/glob.h"
#include "format/base/utf8.h"
#include "quant/recipe/built_in.h"

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

static err_code reserve_rule(recipe *r, err *e)
{
    if (r->rule_count < r->rule_capacity) {
        return OK;
    }
    const size_t capacity = r->rule_capacity ? 2 * r->rule_capacity : 16;
    recipe_rule *const rules = reallocarray(r->rules, capacity, sizeof *rules);
    if (!rules) {
        return err_set(e, ERR_MEMORY, "no memory for a recipe");
    }
    r->rules = rules;
    r->rule_capacity = capacity;
    return OK;
}

err_code recipe_add_rule(recipe *r, const char *glob, bool quantize, bool from_option, err *e)
{
    if (!glob_valid(glob)) {
        return err_set(e, from_option ? ERR_USAGE : ERR_INPUT, "invalid glob '%s'", glob);
    }
    if (!utf8_valid(glob)) { /* names are UTF-8, and the packed file stores the recipe as JSON */
        return err_set(e, from_option ? ERR_USAGE : ERR_INPUT, "'%s' is not UTF-8", glob);
    }
    if (strlen(glob) > GLOB_MAX_BYTES) {
        return err_set(e, from_option ? ERR_USAGE : ERR_INPUT,
                       "a glob of %zu bytes, at most %d are allowed", strlen(glob), GLOB_MAX_BYTES);
    }
    if (r->rule_count == RECIPE_MAX_RULES) {
        return err_set(e, from_option ? ERR_USAGE : ERR_INPUT, "more than %d rules",
                       RECIPE_MAX_RULES);
    }
    TRY(reserve_rule(r, e));
    char *const copy = strdup(glob);
    if (!copy) {
        return err_set(e, ERR_MEMORY, "no memory for a recipe");
    }
    r->rules[r->rule_count++] = (recipe_rule){copy, quantize, from_option};
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
    const recipe_reason why = built_in_obstacle(t);
    if (rule->quantize && why != REASON_RULE) {
        err_set(e, ERR_USAGE, "tensor %s: cannot be quantized as the rule '%s' asks: %s", t->name,
                rule->glob, recipe_reason_text(why));
        char glob[GLOB_NAME_BYTES];
        err_hint(e, "narrow the glob, or add --keep '%s' after it", glob_of_name(t->name, glob));
        return ERR_USAGE;
    }
    return OK;
}

enum { FORM_TEXT_BYTES = BLOCK_TEXT_BYTES + 32 };

/* How FP8 is scaled, in words: "in tiles of 64 x 64", "with one scale for each row". */
static const char *fp8_form_text(const recipe_tensor *t, char text[FORM_TEXT_BYTES])
{
    const uint64_t rows = t->shape[t->ndim - 2];
    const uint64_t cols = t->shape[t->ndim - 1];
    const bool wide = block_across(t->block, cols) == 1;
    char tiles[BLOCK_TEXT_BYTES];
    if (wide && block_down(t->block, rows) == 1) {
        snprintf(text, FORM_TEXT_BYTES, "with one scale for the whole tensor");
    } else if (wide && block_height(t->block, rows) == 1) {
        snprintf(text, FORM_TEXT_BYTES, "with one scale for each row");
    } else {
        snprintf(text, FORM_TEXT_BYTES, "in tiles of %s", block_text(t->block, tiles));
    }
    return text;
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
        char found[FORM_TEXT_BYTES];
        char text[BLOCK_TEXT_BYTES];
        char glob[GLOB_NAME_BYTES];
        err_set(e, ERR_INPUT,
                "tensor %s: FP8 %s, which would have to be quantized again for tiles of %s",
                t->name, fp8_form_text(t, found), block_text(wanted, text));
        err_hint(e,
                 "--requantize allows that; --keep '%s' leaves the tensor as it is, which octavo "
                 "export refuses",
                 glob_of_name(t->name, glob));
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

err_code recipe_decide(const recipe *r, const recipe_tensor *t, const monitor *m, decision *out,
                       err *e)
{
    for (size_t i = r->rule_count; i > 0; i--) {
        TRY(monitor_step(m, i * GLOB_STEPS, e));
        if (glob_match(r->rules[i - 1].glob, t->name)) {
            return decide_by_rule(&r->rules[i - 1], t, out, e);
        }
    }
    if (t->scale_type != DTYPE_NONE) {
        return decide_fp8(r, t, out, e);
    }
    out->reason = built_in_reason(recipe_rule_set(r), t);
    out->action = out->reason == REASON_LINEAR ? ACTION_QUANTIZE : ACTION_KEEP;
    return OK;
}
