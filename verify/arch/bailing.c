/* Ring-linear 2.0, and the softmax-only Ling and Ring 2.0 (spec/forward.md section 6). */
#include <math.h>
#include <string.h>

#include "verify/arch/archs.h"
#include "verify/model/layer.h"

static bool is_linear(const model_config *c)
{
    return strcmp(c->model_type, "bailing_moe_linear") == 0;
}

static bool has_dense(const model_config *c)
{
    return c->dense_layers > 0;
}

/* The last layer of every whole group has softmax attention, and so have layers after the last
 * whole group. */
static layer_kind kind(const model_config *c, unsigned layer)
{
    const unsigned group = is_linear(c) ? c->layer_group : 1;
    const unsigned whole = c->layers / group * group;
    return (layer + 1) % group == 0 || layer >= whole ? LAYER_SOFTMAX : LAYER_LINEAR;
}

/* clang-format off */
static const config_field fields[] = {
    {"num_key_value_heads", SIZE(kv_heads)},
    {"head_dim", SIZE(head_dim)},
    {"first_k_dense_replace", SIZE_OR_0(dense_layers)},
    {"intermediate_size", SIZE(intermediate), .when = has_dense},
    {"moe_intermediate_size", SIZE(moe_intermediate)},
    {"num_shared_experts", SIZE(shared_experts)},
    {"moe_shared_expert_intermediate_size", SIZE(shared_intermediate), .optional = true},
    {"num_experts", SIZE(experts)},
    {"num_experts_per_tok", SIZE(top_k)},
    {"n_group", SIZE(groups)},
    {"topk_group", SIZE(top_groups)},
    {"num_nextn_predict_layers", SIZE_OR_0(mtp_layers), .optional = true},
    {"layer_group_size", SIZE(layer_group), .when = is_linear},
    {"group_norm_size", SIZE(norm_groups), .when = is_linear},
    {"linear_silu", FLAG(linear_silu), .when = is_linear},
    {"routed_scaling_factor", REAL(routed_scaling, INFINITY)},
    {"moe_router_enable_expert_bias", FLAG(expert_bias)},
    {"norm_topk_prob", FLAG(norm_topk)},
    {"tie_word_embeddings", FLAG(tied)},
    {0},
};
static const fixed_key fixed[] = {
    {"score_function", "\"sigmoid\"", true}, {"hidden_act", "\"silu\"", true},
    {"use_qk_norm", "true", true}, {"use_bias", "false", false}, {"use_qkv_bias", "false", false},
    {"attention_bias", "false", false}, {"use_rmsnorm", "true", false},
    {"router_dtype", "\"fp32\"", false}, {"linear_rope", "true", false},
    {"norm_head", "false", false}, {"using_split_qkv_in_self_attention", "false", false},
    {"use_sliding_window", "false", false}, {"sliding_window", "null", false}, {0},
};
static const char *const ignored[] = {
    "embedding_dropout", "hidden_dropout", "intermediate_size", "max_window_layers",
    "mtp_loss_scaling_factor", "output_dropout", "output_router_logits", "router_aux_loss_coef",
    NULL,
};

enum {
    INPUT_NORM = SLOTS_OF_LAYERS, QKV, Q_NORM, K_NORM, DENSE, G_PROJ, G_NORM,
    POST_NORM, GATE, UP, DOWN,
    ROUTER, ROUTER_BIAS, EXPERT_GATE, EXPERT_UP, EXPERT_DOWN, SHARED_GATE, SHARED_UP, SHARED_DOWN,
    SLOTS
};
/* clang-format on */

CONDITION(in_linear, kind(c, layer) == LAYER_LINEAR)

/* Linear layers have as many key and value heads as query heads. */
static unsigned kv_heads(const model_config *c, unsigned layer)
{
    return in_linear(c, layer) ? c->heads : c->kv_heads;
}

DIMENSION(dim_qkv, (c->heads + 2 * (uint64_t)kv_heads(c, layer)) * c->head_dim)

#define LAYER "model.layers.L."

/* clang-format off */
static const arch_tensor tensors[SLOTS] = {
    [SLOT_EMBEDDING]  = {"model.word_embeddings.weight", SHAPE(dim_vocab, dim_hidden)},
    [SLOT_FINAL_NORM] = {"model.norm.weight", SHAPE(dim_hidden)},
    [SLOT_HEAD]       = {"lm_head.weight", SHAPE(dim_vocab, dim_hidden), .when = tensor_untied},
    [INPUT_NORM]  = {LAYER "input_layernorm.weight", SHAPE(dim_hidden)},
    [QKV]         = {LAYER "attention.query_key_value.weight", SHAPE(dim_qkv, dim_hidden)},
    [Q_NORM]      = {LAYER "attention.query_layernorm.weight", SHAPE(dim_head)},
    [K_NORM]      = {LAYER "attention.key_layernorm.weight", SHAPE(dim_head)},
    [DENSE]       = {LAYER "attention.dense.weight", SHAPE(dim_hidden, dim_heads)},
    [G_PROJ]      = {LAYER "attention.g_proj.weight", SHAPE(dim_heads, dim_hidden), .when = in_linear},
    [G_NORM]      = {LAYER "attention.g_norm.weight", SHAPE(dim_heads), .when = in_linear},
    [POST_NORM]   = {LAYER "post_attention_layernorm.weight", SHAPE(dim_hidden)},
    GATED_MLP(GATE, LAYER "mlp.", dim_mlp, tensor_of_dense),
    [ROUTER]      = {LAYER "mlp.gate.weight", SHAPE(dim_experts, dim_hidden), .when = tensor_of_sparse},
    [ROUTER_BIAS] = {LAYER "mlp.gate.expert_bias", SHAPE(dim_experts), .when = tensor_of_biased_router},
    GATED_MLP(EXPERT_GATE, LAYER "mlp.experts.E.", dim_expert, tensor_of_sparse),
    GATED_MLP(SHARED_GATE, LAYER "mlp.shared_experts.", dim_shared, tensor_of_sparse),
};
/* clang-format on */

/* x = x + attention(norm(x)) */
static void attention(const step *s, mat x)
{
    const bool linear_layer = in_linear(s->c, s->layer);
    const attention_shape shape = attention_heads(s->c, kv_heads(s->c, s->layer));
    const size_t q_width = (size_t)shape.heads * shape.qk_dim;
    const size_t kv_width = (size_t)shape.kv_heads * shape.qk_dim;

    const mat a = norm(s, x, INPUT_NORM);
    const mat qkv = linear(s, a, QKV);
    if (linear_layer && s->c->linear_silu) {
        silu(s, qkv);
    }
    const mat q = mat_cols(qkv, 0, q_width);
    const mat k = mat_cols(qkv, q_width, kv_width);
    const mat v = mat_cols(qkv, q_width + kv_width, kv_width);
    norm_heads(s, q, shape.heads, Q_NORM);
    norm_heads(s, k, shape.kv_heads, K_NORM);
    rope(s, q, shape.heads);
    rope(s, k, shape.kv_heads);
    const mat u = linear_layer ? gated(s, linear_attention(s, shape, q, k, v), linear(s, a, G_PROJ),
                                       s->c->norm_groups, G_NORM)
                               : softmax_attention(s, shape, q, k, v);
    add(s, x, linear(s, u, DENSE));
}

/* x = x + mlp(norm(x)) */
static void dense_mlp(const step *s, mat x)
{
    add(s, x, gated_mlp(s, norm(s, x, POST_NORM), GATE));
}

static err_code layer(model_run *run, unsigned number, err *e)
{
    const model_config *const c = &run->config;
    const mixture experts = {
        .norm = POST_NORM,
        .router = ROUTER,
        .bias = ROUTER_BIAS,
        .expert = EXPERT_GATE,
        .shared = SHARED_GATE,
        .shape = {c->experts, c->top_k, c->groups, c->top_groups, c->norm_topk, c->routed_scaling},
        .formula = gated_mlp,
    };
    TRY(layer_by_sequence(run, number, (slot_range){INPUT_NORM, G_NORM}, attention, e));
    return tensor_of_dense(c, number)
               ? layer_by_block(run, number, (slot_range){POST_NORM, DOWN}, dense_mlp, e)
               : layer_mixture(run, number, &experts, e);
}

const model_arch bailing = {
    .names = {{"BailingMoeLinearV2ForCausalLM", "bailing_moe_linear"},
              {"BailingMoeV2ForCausalLM", "bailing_moe"}},
    .fields = fields,
    .fixed = fixed,
    .ignored = ignored,
    .complete = model_config_complete_experts,
    .tensors = tensors,
    .tensor_count = SLOTS,
    .predicts_further = true,
    .kind = kind,
    .has_experts = tensor_of_sparse,
    .layer = layer,
};
