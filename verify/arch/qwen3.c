/* Qwen3, dense: heads of q and k are normed before they rotate (spec/forward.md section 6.3). */
#include "verify/arch/archs.h"
#include "verify/model/layer.h"

/* clang-format off */
static const config_field fields[] = {
    {"num_key_value_heads", SIZE(kv_heads)},
    {"head_dim", SIZE(head_dim)},
    {"intermediate_size", SIZE(intermediate)},
    {"attention_bias", FLAG(attention_bias), .optional = true},
    {"tie_word_embeddings", FLAG(tied)},
    {0},
};
static const fixed_key fixed[] = {
    {"hidden_act", "\"silu\"", true}, {"use_sliding_window", "false", false},
    {"layer_types", "\"full_attention\"", false}, {0},
};
static const char *const ignored[] = {"max_window_layers", "sliding_window", NULL};

enum {
    INPUT_NORM = SLOTS_OF_LAYERS, Q, K, V, O, Q_NORM, K_NORM, Q_BIAS, K_BIAS, V_BIAS, O_BIAS,
    POST_NORM, GATE, UP, DOWN, SLOTS
};
/* clang-format on */

CONDITION(if_biased, c->attention_bias)

#define LAYER  "model.layers.L."
#define SELF   LAYER "self_attn."
#define BIASED .when = if_biased

/* clang-format off */
static const arch_tensor tensors[SLOTS] = {
    [SLOT_EMBEDDING]  = {"model.embed_tokens.weight", SHAPE(dim_vocab, dim_hidden)},
    [SLOT_FINAL_NORM] = {"model.norm.weight", SHAPE(dim_hidden)},
    [SLOT_HEAD]       = {"lm_head.weight", SHAPE(dim_vocab, dim_hidden), .when = tensor_untied},
    [INPUT_NORM] = {LAYER "input_layernorm.weight", SHAPE(dim_hidden)},
    [Q]          = {SELF "q_proj.weight", SHAPE(dim_heads, dim_hidden)},
    [K]          = {SELF "k_proj.weight", SHAPE(dim_kv_heads, dim_hidden)},
    [V]          = {SELF "v_proj.weight", SHAPE(dim_kv_heads, dim_hidden)},
    [O]          = {SELF "o_proj.weight", SHAPE(dim_hidden, dim_heads)},
    [Q_NORM]     = {SELF "q_norm.weight", SHAPE(dim_head)},
    [K_NORM]     = {SELF "k_norm.weight", SHAPE(dim_head)},
    [Q_BIAS]     = {SELF "q_proj.bias", SHAPE(dim_heads), BIASED},
    [K_BIAS]     = {SELF "k_proj.bias", SHAPE(dim_kv_heads), BIASED},
    [V_BIAS]     = {SELF "v_proj.bias", SHAPE(dim_kv_heads), BIASED},
    [O_BIAS]     = {SELF "o_proj.bias", SHAPE(dim_hidden), BIASED},
    [POST_NORM]  = {LAYER "post_attention_layernorm.weight", SHAPE(dim_hidden)},
    [GATE]       = {LAYER "mlp.gate_proj.weight", SHAPE(dim_mlp, dim_hidden)},
    [UP]         = {LAYER "mlp.up_proj.weight", SHAPE(dim_mlp, dim_hidden)},
    [DOWN]       = {LAYER "mlp.down_proj.weight", SHAPE(dim_hidden, dim_mlp)},
};
/* clang-format on */

/* x = x + attention(norm(x)) */
static void attention(const step *s, mat x)
{
    const attention_shape shape = attention_heads(s->c, s->c->kv_heads);
    const mat a = norm(s, x, INPUT_NORM);
    const mat q = linear_biased(s, a, Q, Q_BIAS);
    const mat k = linear_biased(s, a, K, K_BIAS);
    const mat v = linear_biased(s, a, V, V_BIAS);
    norm_heads(s, q, shape.heads, Q_NORM);
    norm_heads(s, k, shape.kv_heads, K_NORM);
    rope(s, q, shape.heads);
    rope(s, k, shape.kv_heads);
    add(s, x, linear_biased(s, softmax_attention(s, shape, q, k, v), O, O_BIAS));
}

/* x = x + mlp(norm(x)) */
static void mlp(const step *s, mat x)
{
    add(s, x, gated_mlp(s, norm(s, x, POST_NORM), GATE));
}

static err_code layer(model_run *run, unsigned number, err *e)
{
    TRY(layer_by_sequence(run, number, (slot_range){INPUT_NORM, O_BIAS}, attention, e));
    return layer_by_block(run, number, (slot_range){POST_NORM, DOWN}, mlp, e);
}

const model_arch qwen3 = {
    .names = {{"Qwen3ForCausalLM", "qwen3"}},
    .fields = fields,
    .fixed = fixed,
    .ignored = ignored,
    .rope = {.whole = true},
    .tensors = tensors,
    .tensor_count = SLOTS,
    .layer = layer,
};
