/* What an architecture is: one constant in one file of verify/arch/, which reads like its paper.
 *
 *     const model_arch llama = {
 *         .names = {{"LlamaForCausalLM", "llama"}},
 *         .fields = fields, .fixed = fixed, .ignored = ignored,    its config.json
 *         .complete = complete,                                    what follows from it
 *         .tensors = tensors, .tensor_count = SLOTS,               names, shapes, conditions
 *         .layer = layer,                                          what a layer computes
 *     };
 *
 * Everything else in verify/ asks the constant: nobody there knows a tensor's name, or which layers
 * have experts. Slots are indices into an architecture's own table of tensors. */
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

/* A key and the member of model_config that it fills in. What all architectures have is read
 * anyway: hidden_size, num_hidden_layers, num_attention_heads, vocab_size,
 * max_position_embeddings, rms_norm_eps, and rope. */
typedef struct config_field {
    const char *key;
    size_t at;
    field_kind kind;
    double low, high; /* counts: first and last; numbers: must be above and below */
    bool optional;    /* 0 or false if it is not given; else missing is an error */
    bool (*when)(const model_config *c); /* else the key is not known; NULL: always */
} config_field;

/* The columns after the key: sizes, sizes that may be 0, flags, numbers between 0 and a limit. */
#define FIELD(member, a, b, c)                                                                     \
    .at = offsetof(model_config, member), .kind = (a), .low = (b), .high = (c)
#define SIZE(member)        FIELD(member, FIELD_COUNT, 1, MODEL_MAX_SIZE)
#define SIZE_OR_0(member)   FIELD(member, FIELD_COUNT, 0, MODEL_MAX_SIZE)
#define FLAG(member)        FIELD(member, FIELD_FLAG, 0, 0)
#define REAL(member, below) FIELD(member, FIELD_FLOAT, 0, below)

/* A key that has just one value here, as JSON; that of a list is the value of every element. */
typedef struct fixed_key {
    const char *key, *value;
    bool required;
} fixed_key;

typedef struct rope_rule {
    double theta; /* where none is given; 0: it has to be */
    bool whole;   /* all channels of a head rotate; else partial_rotary_factor has to be given */
} rope_rule;

/* ---- tensors --------------------------------------------------- */

typedef uint64_t tensor_dim(const model_config *c, unsigned layer);

typedef struct arch_tensor {
    const char *name;     /* components L and E stand for the numbers of layer and expert */
    tensor_dim *shape[2]; /* a vector has only the first */
    bool (*when)(const model_config *c, unsigned layer); /* NULL: always */
    bool unread; /* may be there and is never read; no shape */
} arch_tensor;

#define SHAPE(...) .shape = {__VA_ARGS__}

/* Every table begins with these, in this order; the model is embedded and ends by them. */
enum { SLOT_EMBEDDING, SLOT_FINAL_NORM, SLOT_HEAD, SLOTS_OF_LAYERS, MODEL_SLOTS_MAX = 40 };

/* Common dimensions. */
tensor_dim dim_vocab, dim_hidden, dim_mlp;
tensor_dim dim_expert, dim_shared;            /* widths of one, of all shared ones */
tensor_dim dim_experts;                       /* how many */
tensor_dim dim_head, dim_heads, dim_kv_heads; /* channels of one, of all heads */

bool tensor_untied(const model_config *c, unsigned layer); /* a condition: of a head */

/* ---- the whole ------------------------------------------------- */

enum { ARCH_NAMES = 4 };

struct model_arch {
    struct {
        const char *architecture, *model_type; /* the two go together */
    } names[ARCH_NAMES];
    const config_field *fields; /* ended by one without key, like the next */
    const fixed_key *fixed;
    const char *const *ignored; /* keys that change nothing here, besides the usual; NULL ends */
    rope_rule rope;
    /* Fill in what follows from the fields, check them; NULL: nothing. ERR_INPUT. */
    err_code (*complete)(const char *what, model_config *c, err *e);

    const arch_tensor *tensors;
    unsigned tensor_count;
    bool predicts_further; /* layers after the last one predict further tokens, and are ignored */

    layer_kind (*kind)(const model_config *c, unsigned layer);  /* NULL: all LAYER_SOFTMAX */
    bool (*has_experts)(const model_config *c, unsigned layer); /* NULL: none has */
    /* Send every track through a layer: verify/model/layer.h has the words for it. */
    err_code (*layer)(model_run *run, unsigned layer, err *e);
};

/* Do heads fit each other? Asked of every architecture after `complete`. ERR_INPUT. */
MUST_CHECK err_code model_config_check_attention(const char *what, const model_config *c, err *e);

/* For `complete`: as many key and value heads as heads, and heads that divide the hidden channels
 * among them, where the file says nothing else. ERR_INPUT. */
MUST_CHECK err_code model_config_complete_heads(const char *what, model_config *c, err *e);

/* For `complete`: experts in groups, after some layers without. Shared experts are one MLP, as wide
 * as all of them; each is as wide as a routed one unless shared_intermediate says otherwise.
 * ERR_INPUT. */
MUST_CHECK err_code model_config_complete_experts(const char *what, model_config *c, err *e);

#endif
