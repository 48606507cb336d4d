/* What the forward pass has to know of a model, from its config.json alone.
 *
 *     model_config c;
 *     model_config_read(s, m, &c, e);
 *     if (model_layer_kind(&c, 4) == LAYER_LINEAR) ...
 *
 * Nothing is assumed silently: a key that matters and is missing, a value that would make it
 * another model, two spellings of a key that contradict each other are errors (ERR_INPUT), and keys
 * that are not known are named in one note. A model_config needs no release. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/monitor.h"
#include "format/store/model_store.h"

typedef enum layer_kind { LAYER_SOFTMAX, LAYER_LINEAR } layer_kind;

/* All sizes are at least 1 unless said otherwise and at most MODEL_MAX_SIZE, so that products of
 * two fit 64 bits; so are heads * head_dim, shared_intermediate and layers * experts. */
enum { MODEL_MAX_SIZE = 1 << 20, MODEL_MAX_POSITIONS = 1 << 30 };

typedef struct model_config {
    char architecture[64], model_type[64];
    bool linear; /* Ring-linear: linear layers exist */
    unsigned hidden, layers;
    unsigned heads, kv_heads; /* heads: a multiple of kv_heads */
    unsigned head_dim;
    unsigned rotary_dim;   /* channels of a head that rotate: even, at most head_dim */
    unsigned dense_layers; /* the first ones, 0 ... layers */
    unsigned intermediate; /* 0 without dense layers */
    unsigned moe_intermediate;
    unsigned shared_experts, shared_intermediate; /* of all shared experts together */
    unsigned experts, top_k;
    unsigned groups, top_groups; /* experts: a multiple of groups */
    unsigned mtp_layers;         /* as the file says; may be 0 */
    unsigned layer_group;        /* 0 unless linear, like the two below */
    unsigned norm_groups;        /* a divisor of heads * head_dim */
    bool linear_silu;
    unsigned vocab, max_positions;
    float eps, routed_scaling;
    bool expert_bias, norm_topk, tied;
    double rope_theta;
    bool yarn; /* else the five below are 0 and NAN */
    double yarn_factor, yarn_beta_fast, yarn_beta_slow;
    double yarn_attention; /* NAN: not given */
    unsigned yarn_original;
} model_config;

/* The text of a configuration; `what` names it in messages. ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code model_config_parse(const char *what, const char *text, size_t bytes,
                                       const monitor *m, model_config *out, err *e);

/* The config.json of a model. Also what store_file says. */
MUST_CHECK err_code model_config_read(const store *s, const monitor *m, model_config *out, err *e);

layer_kind model_layer_kind(const model_config *c, unsigned layer);

/* True if the two are the same model; else every difference goes to `each` (which may be NULL): its
 * key and both values as text. */
typedef void model_difference(void *ctx, const char *key, const char *a, const char *b);
bool model_config_same(const model_config *a, const model_config *b, model_difference *each,
                       void *ctx);

#endif
