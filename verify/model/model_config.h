/* What the forward pass needs to know about a model, from its config.json alone.
 *
 *     model_config c;
 *     model_config_read(s, model_archs, m, &c, e);      verify/arch/archs.h has the list
 *     if (model_layer_kind(&c, 4) == LAYER_LINEAR) ...
 *
 * Nothing is assumed silently: a missing key that matters, an unsupported value, or two spellings
 * of a key that contradict each other are errors (ERR_INPUT), and one note lists all unknown keys.
 * A model_config needs no release. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "format/base/monitor.h"
#include "format/store/model_store.h"

typedef struct model_arch model_arch; /* verify/model/model_arch.h */

typedef enum layer_kind { LAYER_SOFTMAX, LAYER_LINEAR } layer_kind;

/* All sizes are at least 1 unless noted, and at most MODEL_MAX_SIZE, so that products of two fit 64
 * bits. The same bound holds for heads * head_dim, shared_intermediate and layers * experts. */
enum { MODEL_MAX_SIZE = 1 << 20, MODEL_MAX_POSITIONS = 1 << 30 };

/* The parameters of all architectures; 0 or false: the architecture does not have it. */
typedef struct model_config {
    const model_arch *arch;
    char architecture[64], model_type[64];
    unsigned hidden, layers;
    unsigned heads, kv_heads; /* heads: a multiple of kv_heads */
    unsigned head_dim;
    unsigned rotary_dim;   /* channels of a head that rotate: even, at most head_dim */
    unsigned intermediate; /* of a layer without experts */
    unsigned vocab, max_positions;
    float eps;
    bool tied, attention_bias, mlp_bias;
    double rope_theta;
    bool yarn; /* false: the yarn_ members are 0 or NAN */
    double yarn_factor, yarn_beta_fast, yarn_beta_slow;
    double yarn_attention; /* NAN: not given */
    unsigned yarn_original;
    /* Experts. */
    unsigned dense_layers; /* first layers without experts: 0 ... layers */
    unsigned moe_intermediate;
    unsigned shared_experts, shared_intermediate; /* of all shared experts together */
    unsigned experts, top_k;
    unsigned groups, top_groups; /* experts: a multiple of groups */
    float routed_scaling;
    bool expert_bias, norm_topk;
    unsigned mtp_layers; /* as in the file; only shown */
    /* Linear attention. */
    unsigned layer_group;
    unsigned norm_groups; /* a divisor of heads * head_dim; 0: no norm in groups */
    bool linear_silu;
} model_config;

/* Parse the text of a configuration of one of the architectures in `archs`, a list that NULL ends.
 * `what` names the text in messages. ERR_INPUT, ERR_MEMORY. */
MUST_CHECK err_code model_config_parse(const char *what, const char *text, size_t bytes,
                                       const model_arch *const *archs, const monitor *m,
                                       model_config *out, err *e);

/* Read the config.json of a model. The same errors, and those of store_file. */
MUST_CHECK err_code model_config_read(const store *s, const model_arch *const *archs,
                                      const monitor *m, model_config *out, err *e);

/* Properties of a layer, by its architecture. */
layer_kind model_layer_kind(const model_config *c, unsigned layer);
bool model_has_experts(const model_config *c, unsigned layer);

/* How many of the layers before `end` have experts; is any layer of the model linear? */
unsigned model_count_experts(const model_config *c, unsigned end);
bool model_has_linear(const model_config *c);

/* True if two configurations describe the same model. Otherwise `each`, unless NULL, is called for
 * every difference with the key and both values as text. */
typedef void model_difference(void *ctx, const char *key, const char *a, const char *b);
bool model_config_same(const model_config *a, const model_config *b, model_difference *each,
                       void *ctx);

#endif
