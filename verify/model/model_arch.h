/* An architecture: one constant in one file of verify/arch/, which reads like its paper.
 *
 *     const model_arch llama = {
 *         .names = {{"LlamaForCausalLM", "llama"}},
 *         .fields = fields, .fixed = fixed, .ignored = ignored,    its config.json
 *         .complete = complete,                                    what follows from it
 *         .tensors = tensors, .tensor_count = SLOTS,               names, shapes, conditions
 *         .layer = layer,                                          what a layer computes
 *     };
 *
 * Everything else in verify/ asks this constant, and knows neither names of tensors nor which
 * layers have experts. Slots are indices into the architecture's table of tensors. */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#include <stddef.h>
#include <stdint.h>

#include "verify/model/model_config.h"

typedef struct model_run model_run; /* verify/model/model_run.h */

/* ---- config.json ----------------------------------------------- */

typedef enum field_kind {
    FIELD_TEXT,
    FIELD_COUNT,
    FIELD_FLAG,
    FIELD_FLOAT,
    FIELD_DOUBLE
} field_kind;

/* A key and the member of model_config that it fills in. Keys that all architectures have are read
 * in any case: hidden_size, num_hidden_layers, num_attention_heads, vocab_size,
 * max_position_embeddings, rms_norm_eps, and those of rope. */
typedef struct config_field {
    const char *key;
    size_t at;
    field_kind kind;
    double low, high; /* counts: least and largest; numbers: exclusive bounds */
    bool optional;    /* 0 or false if the key is missing; else that is an error */
    bool (*when)(const model_config *c); /* false: the key is unknown; NULL: always known */
} config_field;

/* The columns after the key: sizes, sizes that may be 0, flags, numbers from 0 to a limit. */
#define FIELD(member, a, b, c)                                                                     \
    .at = offsetof(model_config, member), .kind = (a), .low = (b), .high = (c)
#define SIZE(member)        FIELD(member, FIELD_COUNT, 1, MODEL_MAX_SIZE)
#define SIZE_OR_0(member)   FIELD(member, FIELD_COUNT, 0, MODEL_MAX_SIZE)
#define FLAG(member)        FIELD(member, FIELD_FLAG, 0, 0)
#define REAL(member, below) FIELD(member, FIELD_FLOAT, 0, below)

/* A key for which only one value is supported, written as JSON. In a list, every element has to
 * have this value. */
typedef struct fixed_key {
    const char *key, *value;
    bool required;
} fixed_key;

typedef struct rope_rule {
    double theta; /* default of rope_theta; 0: the key is required */
    bool whole;   /* all channels of a head rotate; else partial_rotary_factor is required */
} rope_rule;

/* ---- tensors --------------------------------------------------- */

typedef uint64_t tensor_dim(const model_config *c, unsigned layer);

typedef struct arch_tensor {
    const char *name;     /* components L and E are replaced by the numbers of layer and expert */
    tensor_dim *shape[2]; /* a vector has only the first */
    bool (*when)(const model_config *c, unsigned layer); /* which layers have it; NULL: all */
    bool unread; /* may exist and is never read; needs no shape */
} arch_tensor;

#define SHAPE(...) .shape = {__VA_ARGS__}

/* Every table of tensors begins with these, in this order: what is outside the layers. */
enum { SLOT_EMBEDDING, SLOT_FINAL_NORM, SLOT_HEAD, SLOTS_OF_LAYERS, MODEL_SLOTS_MAX = 40 };

/* Common dimensions. */
tensor_dim dim_vocab, dim_hidden, dim_mlp;
tensor_dim dim_expert, dim_shared;            /* width of one expert; of all shared experts */
tensor_dim dim_experts;                       /* number of experts */
tensor_dim dim_head, dim_heads, dim_kv_heads; /* channels of one, of all heads */

/* Common conditions: of a head; of layers with one MLP, with experts, with a bias of the router. */
bool tensor_untied(const model_config *c, unsigned layer);
bool tensor_of_dense(const model_config *c, unsigned layer);
bool tensor_of_sparse(const model_config *c, unsigned layer);
bool tensor_of_biased_router(const model_config *c, unsigned layer);

/* Define a condition or a dimension of one architecture, as an expression of `c` and `layer`. */
#define CONDITION(name, value) ARCH_FUNCTION(static bool, name, value)
#define DIMENSION(name, value) ARCH_FUNCTION(static uint64_t, name, value)
#define ARCH_FUNCTION(type, name, value)                                                           \
    type name(const model_config *c, unsigned layer)                                               \
    {                                                                                              \
        (void)layer;                                                                               \
        return value;                                                                              \
    }

/* The three matrices of a gated MLP, in the slots `first`, `first` + 1 and `first` + 2. */
#define GATED_MLP(first, prefix, width, condition)                                                 \
    [first] = {prefix "gate_proj.weight", SHAPE(width, dim_hidden), .when = (condition)},          \
    [(first) + 1] = {prefix "up_proj.weight", SHAPE(width, dim_hidden), .when = (condition)},      \
    [(first) + 2] = {prefix "down_proj.weight", SHAPE(dim_hidden, width), .when = (condition)}

/* ---- the whole ------------------------------------------------- */

enum { ARCH_NAMES = 4 };

struct model_arch {
    struct {
        const char *architecture, *model_type; /* a configuration has to have both */
    } names[ARCH_NAMES];
    const config_field *fields; /* ends with one without a key */
    const fixed_key *fixed;     /* likewise */
    const char *const *ignored; /* keys that do not matter, except those in model_config.c; ends
                                   with NULL */
    rope_rule rope;
    /* Check the fields and fill in what follows from them; NULL: nothing to do. ERR_INPUT. */
    err_code (*complete)(const char *what, model_config *c, err *e);

    const arch_tensor *tensors;
    unsigned tensor_count;
    bool predicts_further; /* layers after the last one (multi-token prediction) are ignored */

    layer_kind (*kind)(const model_config *c, unsigned layer);  /* NULL: all LAYER_SOFTMAX */
    bool (*has_experts)(const model_config *c, unsigned layer); /* NULL: no layer has */
    /* Compute one layer for every track, with the functions of verify/model/layer.h. */
    err_code (*layer)(model_run *run, unsigned layer, err *e);
};

/* Check numbers and sizes of heads; called for every architecture after `complete`. ERR_INPUT. */
MUST_CHECK err_code model_config_check_attention(const char *what, const model_config *c, err *e);

/* For `complete`: where the file does not say otherwise, there are as many key and value heads as
 * heads, and the hidden channels are divided among the heads. ERR_INPUT. */
MUST_CHECK err_code model_config_complete_heads(const char *what, model_config *c, err *e);

/* For `complete`: check experts in groups, after some layers without experts. All shared experts
 * together are one MLP of their total width; each is as wide as a routed expert unless
 * shared_intermediate says otherwise. ERR_INPUT. */
MUST_CHECK err_code model_config_complete_experts(const char *what, model_config *c, err *e);

#endif
