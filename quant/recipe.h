/* Recipes: which tensor becomes FP8, and why (spec/quant.md section 6).
 *
 * Built-in rules know the linear layers of released models; rules on top come from a recipe file
 * and from the command line, and the last one that matches decides. */
#ifndef RECIPE_H
#define RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/dtype.h"
#include "format/err.h"
#include "quant/tile.h"

/* code, name in JSON, sentence */
#define RECIPE_REASONS(X)                                                                          \
    X(REASON_LINEAR, "linear", "a linear layer")                                                   \
    X(REASON_RULE, "rule", "a rule of the recipe")                                                 \
    X(REASON_FP8, "fp8", "already FP8")                                                            \
    X(REASON_DTYPE, "dtype", "not BF16, F16 or F32")                                               \
    X(REASON_SHAPE, "shape", "not a matrix, nor a stack of experts")                               \
    X(REASON_EMPTY, "empty", "no elements")                                                        \
    X(REASON_OUTSIDE_LAYERS, "outside-layers", "not inside a layer")                               \
    X(REASON_NOT_LINEAR, "not-linear", "not a known linear layer; use --quantize")

typedef enum recipe_reason {
#define X(code, name, text) code,
    RECIPE_REASONS(X)
#undef X
        REASON_COUNT
} recipe_reason;

const char *recipe_reason_name(recipe_reason r);
const char *recipe_reason_text(recipe_reason r);

typedef struct recipe_rule {
    char *glob;
    bool quantize;
    bool from_option; /* command line: must match something */
} recipe_rule;

typedef struct recipe {
    scale_kind scales;
    recipe_rule *rules;
    size_t rule_count;
} recipe;

typedef struct decision {
    bool quantize;
    recipe_reason reason;
} decision;

/* A recipe is zero-initialised: built-in rules, f32 scales. recipe_free takes what it owns. Errors:
 * a broken glob, or one that is not UTF-8: ERR_USAGE from an option, else ERR_INPUT. */
MUST_CHECK err_code recipe_add_rule(recipe *r, const char *glob, bool quantize, bool from_option,
                                    err *e);

/* Put the rules of recipe JSON behind those that are there, and take its "scales" if it has them.
 * `what` names the text in messages. Errors: ERR_INPUT not a recipe, unknown key, broken glob. */
MUST_CHECK err_code recipe_parse(recipe *r, const char *what, const char *text, size_t bytes,
                                 err *e);

/* Decide about one tensor. ERR_USAGE when a rule wants to quantize what cannot be. */
MUST_CHECK err_code recipe_decide(const recipe *r, const char *name, dtype type,
                                  const uint64_t *shape, unsigned ndim, decision *out, err *e);

/* Canonical JSON (RCPE), fresh memory, NULL without memory. */
char *recipe_json(const recipe *r, size_t *bytes);

void recipe_free(recipe *r);

#endif
