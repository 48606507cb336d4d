/* Recipes: which tensors are quantized to FP8, and why (spec/quant.md section 6).
 *
 *     recipe r = {0};
 *     recipe_parse(&r, "my.json", text, bytes, e);
 *     recipe_add_rule(&r, "*.mlp.*", true, true, e);
 *     recipe_decide(&r, &t, monitor, &d, e);            d.action, d.reason
 *     recipe_free(&r);
 *
 * The built-in rules know the linear layers of released models; further rules come from a recipe
 * file and from the command line, and the last rule that matches decides. Several threads may use a
 * recipe that is no longer changed. */
#ifndef RECIPE_H
#define RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/tensor/block.h"
#include "format/tensor/dialect_id.h"
#include "format/tensor/dtype.h"
#include "format/base/err.h"
#include "format/base/monitor.h"

enum { RECIPE_NEWEST_RULES = 2 }; /* the sets of built-in rules are 1 to this */

/* Every rule is tried on every tensor, and a glob of up to GLOB_MAX_BYTES on a name takes at most the
 * product of their lengths. */
enum { RECIPE_MAX_RULES = 10000 };

/* code, name in JSON, sentence */
#define RECIPE_REASONS(X)                                                                          \
    X(REASON_LINEAR, "linear", "a linear layer")                                                   \
    X(REASON_RULE, "rule", "a rule of the recipe")                                                 \
    X(REASON_FP8_TILES, "fp8-tiles", "already FP8 in tiles of 128 x 128")                          \
    X(REASON_REQUANTIZED, "requantized", "FP8 in another form, quantized again")                   \
    X(REASON_FP8, "fp8", "already FP8")                                                            \
    X(REASON_FOREIGN, "quantized", "quantized by another method")                                  \
    X(REASON_PART, "part", "scales or indices of a quantized model")                               \
    X(REASON_SPARED, "spared", "left unquantized by the makers of this quantized checkpoint")      \
    X(REASON_DTYPE, "dtype", "not BF16, F16 or F32")                                               \
    X(REASON_SHAPE, "shape", "neither a matrix nor a stack of experts")                            \
    X(REASON_EMPTY, "empty", "no elements")                                                        \
    X(REASON_OUTSIDE_LAYERS, "outside-layers", "not inside a layer")                               \
    X(REASON_TOWER, "tower", "in a vision, audio or projector tower, kept as a whole")             \
    X(REASON_EMBEDDING, "embedding", "an embedding")                                               \
    X(REASON_HEAD, "head", "an output head")                                                       \
    X(REASON_MTP, "mtp", "part of an MTP module, kept on purpose")                                 \
    X(REASON_VECTOR, "vector", "a norm, bias or other vector")                                     \
    X(REASON_ROUTER, "router", "a router, kept on purpose")                                        \
    X(REASON_GATE, "gate", "a small gate, kept on purpose")                                        \
    X(REASON_LOW_RANK, "low-rank", "a low-rank projection, kept on purpose")                       \
    X(REASON_INDEXER, "indexer", "a small part of an indexer, kept on purpose")                    \
    X(REASON_CONVOLUTION, "convolution", "a convolution")                                          \
    X(REASON_RECURRENCE, "recurrence", "decay or state of a recurrence, kept on purpose")          \
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
    bool from_option; /* from the command line: it must match something */
} recipe_rule;

typedef struct recipe {
    scale_format scales;
    bool requantize;      /* FP8 that cannot be carried over may be quantized again */
    pack_dialect dialect; /* DIALECT_NONE: none was named, which means ieee */
    unsigned built_in;    /* set of built-in rules; 0: none was named, which means the newest */
    recipe_rule *rules;
    size_t rule_count, rule_capacity;
} recipe;

typedef enum recipe_action {
    ACTION_KEEP,     /* copy, as an ordinary tensor */
    ACTION_QUANTIZE, /* compute codes and scales */
    ACTION_CARRY,    /* already block FP8: copy it as quantized */
    ACTION_SCALES    /* the scales of a tensor that is carried or quantized again */
} recipe_action;

typedef struct decision {
    recipe_action action;
    recipe_reason reason;
} decision;

const char *recipe_action_name(recipe_action a); /* "keep", "quantize", "carry", "scales" */

/* The names of all tensors of a model: the rules look at what lies beside a module. */
typedef struct tensor_names {
    bool (*has)(const void *model, const char *name);
    const void *model;
} tensor_names;

/* A tensor to decide about. */
typedef struct recipe_tensor {
    const char *name;
    const tensor_names *names; /* of its model; NULL: not known, then nothing lies beside it */
    dtype type;
    const uint64_t *shape;
    unsigned ndim;
    dtype scale_type;   /* of the scales of an FP8 tensor; DTYPE_NONE: it has none */
    block_format block; /* with scales: its tiles */
} recipe_tensor;

/* The dialect to use. */
static inline pack_dialect recipe_dialect(const recipe *r)
{
    return r->dialect == DIALECT_NONE ? DIALECT_IEEE : r->dialect;
}

/* The set of built-in rules to use. */
static inline unsigned recipe_rule_set(const recipe *r)
{
    return r->built_in == 0 ? RECIPE_NEWEST_RULES : r->built_in;
}

/* The blocks to write. */
static inline block_format recipe_block(const recipe *r)
{
    return block_fp8(r->scales);
}

/* Append a rule. A recipe that is all zero has the newest built-in rules, f32 scales and ieee;
 * recipe_free releases what it owns. Errors: an invalid glob, or one that is not UTF-8:
 * ERR_USAGE from an option, else ERR_INPUT; ERR_MEMORY. */
MUST_CHECK err_code recipe_add_rule(recipe *r, const char *glob, bool quantize, bool from_option,
                                    err *e);

/* Append the rules of a recipe in JSON, and set "scales", "dialect", "requantize" and "built_in"
 * if it has them. `what` names the text in messages. Errors: ERR_INPUT: not a recipe, an unknown
 * key, an invalid glob; ERR_MEMORY. */
MUST_CHECK err_code recipe_parse(recipe *r, const char *what, const char *text, size_t bytes,
                                 err *e);

/* The same for section RCPE of a packed file, where a recipe without "built_in" has set 1: it was
 * made when there was no other. */
MUST_CHECK err_code recipe_parse_packed(recipe *r, const char *what, const char *text, size_t bytes,
                                        err *e);

/* Decide about one tensor. ERR_USAGE: a rule asks to quantize a tensor that cannot be quantized;
 * ERR_INPUT: FP8 that would have to be quantized again, which the recipe does not allow. */
MUST_CHECK err_code recipe_decide(const recipe *r, const recipe_tensor *t, const monitor *m,
                                  decision *out, err *e);

/* Is this the name of a linear layer inside a layer, in some kind of module, for the recipe's set of
 * built-in rules? */
bool recipe_is_linear(const recipe *r, const char *name);

/* The recipe as canonical JSON, as section RCPE has it (set 1 is not named there), or with its
 * set in any case, so that recipe_parse gives the same recipe again. The caller's to free();
 * NULL if memory is short. */
char *recipe_json_packed(const recipe *r, size_t *bytes);
char *recipe_json(const recipe *r, size_t *bytes);

void recipe_free(recipe *r);

#endif
