/* Llama 1 to 3, without scaled positions (spec/forward.md section 6). */
#include "verify/arch/archs.h"
#include "verify/model/layer.h"

/* clang-format off */
static const config_field fields[] = {
    {"num_key_value_heads", SIZE(kv_heads), .optional = true},
    {"head_dim", SIZE(head_dim), .optional = true},
    {"intermediate_size", SIZE(intermediate)},
    {"attention_bias", FLAG(attention_bias), .optional = true},
    {"mlp_bias", FLAG(mlp_bias), .optional = true},
    {"tie_word_embeddings", FLAG(tied), .optional = true},
    {0},
};
static const fixed_key fixed[] = {{"hidden_act", "\"silu\"", true}, {0}};
static const char *const ignored[] = {"pretraining_tp", NULL}; /* how the trainer split matrices */

enum {
    INPUT_NORM = SLOTS_OF_LAYERS, Q, K, V, O, Q_BIAS, K_BIAS, V_BIAS, O_BIAS,
    POST_NORM, GATE, UP, DOWN, GATE_BIAS, UP_BIAS, DOWN_BIAS,
    ROPE, SLOTS
};
/* clang-format on */

CONDITION(if_attention_bias, c->attention_bias)
CONDITION(if_mlp_bias, c->mlp_bias)

#define LAYER          "model.layers.L."
#define SELF           LAYER "self_attn."
#define ATTENTION_BIAS .when = if_attention_bias
#define MLP_BIAS       .when = if_mlp_bias

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
    [Q_BIAS]     = {SELF "q_proj.bias", SHAPE(dim_heads), ATTENTION_BIAS},
    [K_BIAS]     = {SELF "k_proj.bias", SHAPE(dim_kv_heads), ATTENTION_BIAS},
    [V_BIAS]     = {SELF "v_proj.bias", SHAPE(dim_kv_heads), ATTENTION_BIAS},
    [O_BIAS]     = {SELF "o_proj.bias", SHAPE(dim_hidden), ATTENTION_BIAS},
    [POST_NORM]  = {LAYER "post_attention_layernorm.weight", SHAPE(dim_hidden)},
    [GATE]       = {LAYER "mlp.gate_proj.weight", SHAPE(dim_mlp, dim_hidden)},
    [UP]         = {LAYER "mlp.up_proj.weight", SHAPE(dim_mlp, dim_hidden)},
    [DOWN]       = {LAYER "mlp.down_proj.weight", SHAPE(dim_hidden, dim_mlp)},
    [GATE_BIAS]  = {LAYER "mlp.gate_proj.bias", SHAPE(dim_mlp), MLP_BIAS},
    [UP_BIAS]    = {LAYER "mlp.up_proj.bias", SHAPE(dim_mlp), MLP_BIAS},
    [DOWN_BIAS]  = {LAYER "mlp.down_proj.bias", SHAPE(dim_hidden), MLP_BIAS},
    [ROPE]       = {SELF "rotary_emb.inv_freq", .unread = true}, /* follows from rope_theta */
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
    rope(s, q, shape.heads);
    rope(s, k, shape.kv_heads);
    add(s, x, linear_biased(s, softmax_attention(s, shape, q, k, v), O, O_BIAS));
}

/* x = x + down(silu(gate b) * up b), b = norm(x) */
static void mlp(const step *s, mat x)
{
    const mat b = norm(s, x, POST_NORM);
    const mat g = linear_biased(s, b, GATE, GATE_BIAS);
    const mat u = linear_biased(s, b, UP, UP_BIAS);
    add(s, x, linear_biased(s, silu_mul(s, g, u), DOWN, DOWN_BIAS));
}

static err_code layer(model_run *run, unsigned number, err *e)
{
    TRY(layer_by_sequence(run, number, (slot_range){INPUT_NORM, O_BIAS}, attention, e));
    return layer_by_block(run, number, (slot_range){POST_NORM, DOWN_BIAS}, mlp, e);
}

const model_arch llama = {
    .names = {{"LlamaForCausalLM", "llama"}},
    .fields = fields,
    .fixed = fixed,
    .ignored = ignored,
    .rope = {.theta = 10000, .whole = true},
    .complete = model_config_complete_heads,
    .tensors = tensors,
    .tensor_count = SLOTS,
    .layer = layer,
};
