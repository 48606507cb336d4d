/* Recipes: which tensor becomes FP8, and why (spec/quant.md section 6).
 *
 * Built-in rules know the linear layers of released models; rules on top come from a recipe file
 * and from the command line, and the last one that matches decides. */
#ifndef RECIPE_H
#define RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dialect_id.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"

/* code, name in JSON, sentence */
#define RECIPE_REASONS(X)                                                                          \
    X(REASON_LINEAR, "linear", "a linear layer")                                                   \
    X(REASON_RULE, "rule", "a rule of the recipe")                                                 \
    X(REASON_FP8_TILES, "fp8-tiles", "FP8 in tiles of 128 x 128 already")                          \
    X(REASON_REQUANTIZED, "requantized", "FP8 in another form, rounded once more")                 \
    X(REASON_FP8, "fp8", "already FP8")                                                            \
    X(REASON_SPARED, "spared", "others are FP8 already, this one was left as it is")               \
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
    scale_format scales;
    bool requantize;      /* FP8 that cannot be carried may be rounded once more */
    pack_dialect dialect; /* DIALECT_NONE: none was named, which is ieee */
    recipe_rule *rules;
    size_t rule_count;
} recipe;

/* Scales of FP8 that is there already go with it: ACTION_SCALES. */
typedef enum recipe_action {
    ACTION_KEEP,
    ACTION_QUANTIZE,
    ACTION_CARRY,
    ACTION_SCALES
} recipe_action;

typedef struct decision {
    recipe_action action;
    recipe_reason reason;
} decision;

const char *recipe_action_name(recipe_action a); /* "keep", "quantize", "carry", "scales" */

/* A tensor to decide about. */
typedef struct recipe_tensor {
    const char *name;
    dtype type;
    const uint64_t *shape;
    unsigned ndim;
    dtype scale_type;   /* of the scales that an FP8 tensor has; DTYPE_NONE: none */
    block_format block; /* then: its tiles */
} recipe_tensor;

/* The dialect that is to be used. */
static inline pack_dialect recipe_dialect(const recipe *r)
{
    return r->dialect == DIALECT_NONE ? DIALECT_IEEE : r->dialect;
}

/* The blocks that are to be made. */
static inline block_format recipe_block(const recipe *r)
{
    return block_fp8(r->scales);
}

/* A recipe is zero-initialised: built-in rules, f32 scales, ieee. recipe_free takes what it owns.
 * Errors: a broken glob, or one that is not UTF-8: ERR_USAGE from an option, else ERR_INPUT. */
MUST_CHECK err_code recipe_add_rule(recipe *r, const char *glob, bool quantize, bool from_option,
                                    err *e);

/* Put the rules of recipe JSON behind those that are there, and take its "scales", "dialect" and
 * "requantize" if it has them. `what` names the text in messages. Errors: ERR_INPUT not a recipe,
 * unknown key, broken glob. */
MUST_CHECK err_code recipe_parse(recipe *r, const char *what, const char *text, size_t bytes,
                                 err *e);

/* Decide about one tensor. ERR_USAGE when a rule wants to quantize what cannot be; ERR_INPUT: FP8
 * that has to be rounded once more, which the recipe does not allow. */
MUST_CHECK err_code recipe_decide(const recipe *r, const recipe_tensor *t, decision *out, err *e);

/* Would this tensor be a known linear layer within a layer, whatever its dtype? */
bool recipe_is_linear(const char *name);

/* Canonical JSON (RCPE), fresh memory, NULL without memory. */
char *recipe_json(const recipe *r, size_t *bytes);

void recipe_free(recipe *r);

#endif
