/* Set 2 of the built-in rules: the tensors of released models, each decided among those beside
 * it. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "quant/recipe/recipe.h"
#include "tests/aid/expect.h"

typedef struct example {
    const char *name; /* NULL: a new model, so what stands above does not lie beside what follows */
    unsigned ndim;
    recipe_reason reason; /* REASON_LINEAR: quantize */
} example;

#define MODEL                                                                                      \
    {                                                                                              \
        0                                                                                          \
    }
#define L "model.layers.3."
#define LINEAR(name)                                                                               \
    {                                                                                              \
        name, 2, REASON_LINEAR                                                                     \
    }
#define STACK(name)                                                                                \
    {                                                                                              \
        name, 3, REASON_LINEAR                                                                     \
    }
#define KEPT(name, why)                                                                            \
    {                                                                                              \
        name, 2, REASON_##why                                                                      \
    }
#define VECTOR(name)                                                                               \
    {                                                                                              \
        name, 1, REASON_VECTOR                                                                     \
    }

static const example examples[] = {
    MODEL, /* Ring-linear 2.0 */
    KEPT("model.word_embeddings.weight", EMBEDDING),
    KEPT("lm_head.weight", HEAD),
    VECTOR("model.norm.weight"),
    LINEAR(L "attention.query_key_value.weight"),
    LINEAR(L "attention.dense.weight"),
    LINEAR(L "attention.g_proj.weight"),
    VECTOR(L "attention.g_norm.weight"),
    VECTOR(L "attention.query_layernorm.weight"),
    KEPT(L "mlp.gate.weight", ROUTER),
    VECTOR(L "mlp.gate.expert_bias"),
    LINEAR(L "mlp.experts.0.gate_proj.weight"),
    LINEAR(L "mlp.shared_experts.up_proj.weight"),
    KEPT("model.layers.20.eh_proj.weight", MTP),
    VECTOR("model.layers.20.enorm.weight"),
    MODEL, /* Ling-3.0: Kimi Delta Attention with full gates */
    {L "attention.A_log", 1, REASON_RECURRENCE},
    {L "attention.dt_bias", 1, REASON_RECURRENCE},
    KEPT(L "attention.b_proj.weight", GATE),
    LINEAR(L "attention.f_proj.weight"),
    LINEAR(L "attention.g_proj.weight"),
    {L "attention.k_conv1d.weight", 3, REASON_CONVOLUTION},
    LINEAR(L "attention.q_proj.weight"),
    LINEAR(L "attention.v_proj.weight"),
    LINEAR(L "attention.dense.weight"),
    MODEL, /* Ling-3.0: MLA with an output gate */
    KEPT(L "attention.g_proj.weight", GATE),
    LINEAR(L "attention.kv_a_proj_with_mqa.weight"),
    LINEAR(L "attention.kv_b_proj.weight"),
    LINEAR(L "attention.q_proj.weight"),
    LINEAR(L "attention.dense.weight"),
    MODEL, /* Kimi-Linear */
    {L "self_attn.A_log", 4, REASON_RECURRENCE},
    KEPT(L "self_attn.b_proj.weight", GATE),
    KEPT(L "self_attn.f_a_proj.weight", LOW_RANK),
    KEPT(L "self_attn.f_b_proj.weight", LOW_RANK),
    KEPT(L "self_attn.g_a_proj.weight", LOW_RANK),
    KEPT(L "self_attn.g_b_proj.weight", LOW_RANK),
    LINEAR(L "self_attn.q_proj.weight"),
    LINEAR(L "self_attn.o_proj.weight"),
    LINEAR(L "block_sparse_moe.experts.3.w1.weight"),
    MODEL, /* Kimi K3 */
    {L "self_attn.A_log", 1, REASON_RECURRENCE},
    KEPT(L "self_attn.f_a_proj.weight", LOW_RANK),
    LINEAR(L "self_attn.g_proj.weight"),
    KEPT(L "self_attention_res_proj.weight", GATE),
    KEPT(L "block_sparse_moe.routed_expert_down_proj.weight", LOW_RANK),
    MODEL, /* OLMo-Hybrid */
    {L "linear_attn.A_log", 1, REASON_RECURRENCE},
    LINEAR(L "linear_attn.g_proj.weight"),
    KEPT(L "linear_attn.a_proj.weight", GATE),
    MODEL, /* Qwen3-Next */
    {L "linear_attn.A_log", 1, REASON_RECURRENCE},
    LINEAR(L "linear_attn.in_proj_qkvz.weight"),
    KEPT(L "linear_attn.in_proj_ba.weight", GATE),
    LINEAR(L "linear_attn.out_proj.weight"),
    {L "linear_attn.conv1d.weight", 3, REASON_CONVOLUTION},
    KEPT(L "mlp.shared_expert_gate.weight", GATE),
    LINEAR(L "mlp.shared_expert.up_proj.weight"),
    KEPT("mtp.fc.weight", MTP),
    LINEAR("mtp.layers.0.self_attn.q_proj.weight"),
    MODEL, /* Qwen3.5 */
    {"model.language_model.layers.0.linear_attn.A_log", 1, REASON_RECURRENCE},
    LINEAR("model.language_model.layers.0.linear_attn.in_proj_qkv.weight"),
    LINEAR("model.language_model.layers.0.linear_attn.in_proj_z.weight"),
    KEPT("model.language_model.layers.0.linear_attn.in_proj_a.weight", GATE),
    KEPT("model.language_model.layers.0.linear_attn.in_proj_b.weight", GATE),
    KEPT("model.visual.blocks.0.mlp.linear_fc1.weight", TOWER),
    KEPT("model.visual.merger.linear_fc1.weight", TOWER),
    {"model.visual.patch_embed.proj.weight", 5, REASON_TOWER},
    {"model.visual.blocks.0.norm1.weight", 1, REASON_TOWER},
    MODEL, /* Mamba-2: Nemotron-H */
    {"backbone.layers.0.mixer.A_log", 1, REASON_RECURRENCE},
    {"backbone.layers.0.mixer.D", 1, REASON_RECURRENCE},
    LINEAR("backbone.layers.0.mixer.in_proj.weight"),
    LINEAR("backbone.layers.0.mixer.out_proj.weight"),
    {"backbone.layers.0.mixer.conv1d.weight", 3, REASON_CONVOLUTION},
    KEPT("backbone.layers.1.mixer.gate.weight", ROUTER),
    KEPT("backbone.layers.1.mixer.fc1_latent_proj.weight", LOW_RANK),
    LINEAR("backbone.layers.1.mixer.experts.0.up_proj.weight"),
    LINEAR("backbone.layers.2.mixer.k_proj.weight"),
    KEPT("backbone.embeddings.weight", EMBEDDING),
    MODEL, /* Mamba-1: Jamba */
    KEPT(L "mamba.A_log", RECURRENCE),
    KEPT(L "mamba.in_proj.weight", RECURRENCE),
    KEPT(L "mamba.x_proj.weight", RECURRENCE),
    KEPT(L "mamba.dt_proj.weight", RECURRENCE),
    KEPT(L "mamba.out_proj.weight", RECURRENCE),
    KEPT(L "feed_forward.router.weight", ROUTER),
    MODEL, /* nothing tells what these are */
    KEPT(L "mixer.in_proj.weight", NOT_LINEAR),
    KEPT(L "attention.f_proj.weight", NOT_LINEAR),
    KEPT(L "attention.b_proj.weight", NOT_LINEAR),
    KEPT(L "attention.g_proj.weight", NOT_LINEAR),
    KEPT(L "attention.wgate.weight", NOT_LINEAR),
    LINEAR(L "attention.out_proj.weight"),
    MODEL, /* LFM2 */
    LINEAR(L "conv.in_proj.weight"),
    LINEAR(L "conv.out_proj.weight"),
    {L "conv.conv.weight", 3, REASON_CONVOLUTION},
    MODEL, /* DeepSeek-V3.2, GLM-5 */
    LINEAR(L "self_attn.indexer.wq_b.weight"),
    LINEAR(L "self_attn.indexer.wk.weight"),
    KEPT(L "self_attn.indexer.weights_proj.weight", INDEXER),
    VECTOR(L "self_attn.indexer.k_norm.bias"),
    LINEAR(L "self_attn.q_a_proj.weight"),
    LINEAR(L "self_attn.fused_qkv_a_proj.weight"),
    KEPT("model.layers.61.shared_head.head.weight", HEAD),
    KEPT("model.layers.61.embed_tokens.weight", EMBEDDING),
    LINEAR("model.layers.61.mlp.experts.0.down_proj.weight"),
    MODEL, /* DeepSeek-V4 */
    LINEAR("layers.3.attn.wq_a.weight"),
    LINEAR("layers.3.attn.wo_b.weight"),
    KEPT("layers.3.attn.compressor.wkv.weight", INDEXER),
    KEPT("layers.3.attn.compressor.wgate.weight", INDEXER),
    KEPT("mtp.0.e_proj.weight", MTP),
    MODEL, /* Step-3.5 */
    KEPT(L "self_attn.g_proj.weight", GATE),
    LINEAR(L "self_attn.q_proj.weight"),
    STACK(L "moe.gate_proj.weight"),
    STACK(L "moe.down_proj.weight"),
    KEPT(L "moe.gate.weight", ROUTER),
    LINEAR(L "share_expert.gate_proj.weight"),
    MODEL, /* Granite */
    STACK(L "block_sparse_moe.input_linear.weight"),
    STACK(L "block_sparse_moe.output_linear.weight"),
    KEPT(L "block_sparse_moe.router.layer.weight", ROUTER),
    LINEAR(L "shared_mlp.input_linear.weight"),
    MODEL, /* gpt-oss, Llama 4, Qwen3-VL-MoE, Aria */
    STACK(L "mlp.experts.gate_up_proj"),
    STACK(L "feed_forward.experts.down_proj"),
    STACK(L "mlp.experts.fc1.weight"),
    KEPT(L "mlp.experts.gate_up_proj_bias", VECTOR),
    KEPT(L "mlp.router.weight", ROUTER),
    {L "mlp.experts.anything", 3, REASON_NOT_LINEAR},
    {L "self_attn.q_proj.weight", 3, REASON_NOT_LINEAR},
    {L "mlp.experts.gate_up_proj", 4, REASON_SHAPE},
    MODEL, /* LongCat-Flash, Hunyuan, Ernie 4.5, Ernie 4.5 VL */
    LINEAR(L "self_attn.0.kv_b_proj.weight"),
    LINEAR(L "mlps.1.gate_proj.weight"),
    KEPT(L "mlp.router.classifier.weight", ROUTER),
    KEPT(L "mlp.gate.wg.weight", ROUTER),
    LINEAR(L "mlp.shared_mlp.gate_proj.weight"),
    KEPT(L "mlp.moe_statics.e_score_correction_bias", VECTOR),
    KEPT(L "mlp.gate.weight_1", ROUTER),
    KEPT("model.mtp_linear_proj.0.weight", MTP),
    MODEL, /* MiniMax-Text-01 */
    LINEAR(L "self_attn.output_gate.weight"),
    {L "self_attn.slope_rate", 3, REASON_RECURRENCE},
    {L "self_attn.diagonal_decay", 4, REASON_RECURRENCE},
    MODEL, /* Exaone 3; GPT-2, whose matrices lie the other way round */
    LINEAR("transformer.h.0.mlp.c_fc_0.weight"),
    LINEAR("transformer.h.0.mlp.c_proj.weight"),
    KEPT("h.0.mlp.c_proj.weight", NOT_LINEAR),
    MODEL, /* MiniMax-M3, A.X K2, GigaChat 3.5, Qwen4, Inkling */
    LINEAR(L "self_attn.index_q_proj.weight"),
    KEPT(L "self_attn.q_gate_proj.weight", GATE),
    LINEAR(L "self_attn.q_proj.weight"),
    KEPT(L "input_layernorm.gate_up_lowrank.weight", VECTOR),
    KEPT(L "post_norm.fc1.weight", VECTOR),
    KEPT(L "mlp_hc.input_mix_weight_up.weight", LOW_RANK),
    LINEAR(L "attn.wq_du.weight"),
    STACK(L "mlp.shared_experts.gate_proj"),
    MODEL, /* Gemma 3n */
    KEPT(L "laurel.linear_left.weight", LOW_RANK),
    KEPT(L "altup.modality_router.weight", ROUTER),
    KEPT(L "per_layer_input_gate.weight", GATE),
    MODEL, /* Falcon, Phi-2, InternLM2, Baichuan, DBRX */
    LINEAR("transformer.h.0.mlp.dense_h_to_4h.weight"),
    LINEAR(L "mlp.fc1.weight"),
    LINEAR(L "attention.wqkv.weight"),
    LINEAR(L "self_attn.W_pack.weight"),
    LINEAR("transformer.blocks.0.ffn.experts.mlp.v1"),
    KEPT("transformer.blocks.0.ffn.router.layer.weight", ROUTER),
    MODEL, /* towers */
    KEPT("vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight", TOWER),
    KEPT("thinker.audio_tower.layers.0.fc1.weight", TOWER),
    KEPT("model.multi_modal_projector.linear_1.weight", TOWER),
    KEPT("mm_projector.proj.0.weight", TOWER),
    {"model.image_newline", 1, REASON_TOWER},
    LINEAR("model.language_model.layers.0.self_attn.q_proj.weight"),
    LINEAR("model.text_vision.layers.0.self_attn.q_proj.weight"),
    MODEL, /* heads and what is outside layers */
    KEPT("language_model.lm_head.weight", HEAD),
    KEPT("output.weight", HEAD),
    KEPT(L "output.weight", NOT_LINEAR),
    KEPT("model.adapter.weight", OUTSIDE_LAYERS),
    KEPT("model.mtp.weight", MTP),
    /* names: whole components only */
    KEPT(L "q_proj.weight.weight", NOT_LINEAR),
    KEPT(L "q_projweight", NOT_LINEAR),
    KEPT(L "xq_proj.weight", NOT_LINEAR),
    KEPT(L "q_proj_.weight", NOT_LINEAR),
    KEPT(L "q_proj.lora_A.weight", NOT_LINEAR),
    KEPT(L "weight", NOT_LINEAR),
    KEPT(L "vision_towers.q_proj.0", NOT_LINEAR),
    KEPT(L "routers.fc3", NOT_LINEAR),
};

/* The tensors of one model: those from one MODEL to the next. */
static bool has_name(const void *model, const char *name)
{
    const int at = *(const int *)model;
    int first = at, end = at;
    while (examples[first].name) {
        first--;
    }
    while (end < COUNT(examples) && examples[end].name) {
        end++;
    }
    for (int i = first + 1; i < end; i++) {
        if (strcmp(examples[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

START_TEST(module_is_judged_by_its_kind)
{
    static const uint64_t shape[] = {8, 256, 128, 2, 2};
    const example *const x = &examples[_i];
    const tensor_names names = {has_name, &_i};
    const recipe_tensor t = {
        .name = x->name, .names = &names, .type = DTYPE_BF16, .shape = shape, .ndim = x->ndim};
    const recipe r = {0};
    decision d = {ACTION_CARRY, REASON_COUNT};
    err e = {0};
    if (!x->name) {
        return;
    }
    expect_ok(recipe_decide(&r, &t, NULL, &d, &e), &e);
    ck_assert_msg(d.reason == x->reason, "%s: %s, expected %s", x->name,
                  recipe_reason_name(d.reason), recipe_reason_name(x->reason));
    ck_assert_int_eq(d.action, x->reason == REASON_LINEAR ? ACTION_QUANTIZE : ACTION_KEEP);
}
END_TEST

/* Without the names of the model, nothing lies beside a module, and long names do no harm. */
START_TEST(nothing_lies_beside)
{
    static const uint64_t shape[] = {256, 128};
    char name[512] = L;
    recipe_tensor t = {.name = name, .type = DTYPE_BF16, .shape = shape, .ndim = 2};
    const recipe r = {0};
    decision d = {0};
    err e = {0};
    memset(name + strlen(L), 'x', 400);
    snprintf(name + strlen(L) + 400, 32, ".in_proj");
    expect_ok(recipe_decide(&r, &t, NULL, &d, &e), &e);
    ck_assert_int_eq(d.reason, REASON_NOT_LINEAR);
    const int model = 1;
    const tensor_names names = {has_name, &model};
    t.names = &names;
    expect_ok(recipe_decide(&r, &t, NULL, &d, &e), &e);
    ck_assert_int_eq(d.reason, REASON_NOT_LINEAR);
}
END_TEST

static const struct {
    const char *name;
    dtype type;
    unsigned ndim;
    uint64_t shape[3];
    recipe_reason reason;
} firsts[] = {
    /* the first that holds is the reason */
    {"visual.norm.weight", DTYPE_F8_E4M3, 1, {4}, REASON_FP8},
    {"visual.norm.weight", DTYPE_I64, 1, {4}, REASON_DTYPE},
    {"visual.norm.weight", DTYPE_F32, 2, {0, 4}, REASON_TOWER},
    {L "A_log", DTYPE_F32, 2, {0, 4}, REASON_RECURRENCE},
    {L "conv1d.bias", DTYPE_F32, 1, {4}, REASON_VECTOR},
    {L "conv1d.weight", DTYPE_F32, 2, {0, 4}, REASON_CONVOLUTION},
    {"lm_head.weight", DTYPE_F32, 2, {0, 4}, REASON_EMPTY},
    {L "mlp.up_proj.weight", DTYPE_F32, 3, {2, 0, 4}, REASON_EMPTY},
    {L "mlp.up_proj.weight", DTYPE_F16, 2, {2, 4}, REASON_LINEAR},
    {L "mlp.up_proj.weight", DTYPE_F64, 2, {2, 4}, REASON_DTYPE},
    {L "mlp.router.up_proj.weight", DTYPE_F32, 2, {2, 4}, REASON_ROUTER},
    {"lm_head.layers.0.up_proj.weight", DTYPE_F32, 2, {2, 4}, REASON_LINEAR},
};

START_TEST(first_reason_counts)
{
    const recipe_tensor t = {.name = firsts[_i].name,
                             .type = firsts[_i].type,
                             .shape = firsts[_i].shape,
                             .ndim = firsts[_i].ndim};
    const recipe r = {0};
    decision d = {0};
    err e = {0};
    expect_ok(recipe_decide(&r, &t, NULL, &d, &e), &e);
    ck_assert_msg(d.reason == firsts[_i].reason, "%s: %s, expected %s", t.name,
                  recipe_reason_name(d.reason), recipe_reason_name(firsts[_i].reason));
}
END_TEST

START_TEST(linear_in_any_kind)
{
    const recipe old = {.built_in = 1}, r = {0};
    ck_assert(recipe_is_linear(&r, L "x.f_proj.weight") && !recipe_is_linear(&old, L "x.f_proj"));
    ck_assert(recipe_is_linear(&r, L "x.g_proj.weight") && recipe_is_linear(&old, L "x.g_proj"));
    ck_assert(!recipe_is_linear(&r, "visual.blocks.0.w1") &&
              recipe_is_linear(&old, "visual.blocks.0.w1"));
    ck_assert(!recipe_is_linear(&r, L "mlp.gate.weight"));
    ck_assert(!recipe_is_linear(&r, "f_proj.weight"));
    ck_assert(!recipe_is_linear(&r, L "x.nothing.weight"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rules2");
    tcase_add_loop_test(tc, module_is_judged_by_its_kind, 0, COUNT(examples));
    tcase_add_test(tc, nothing_lies_beside);
    tcase_add_loop_test(tc, first_reason_counts, 0, COUNT(firsts));
    tcase_add_test(tc, linear_in_any_kind);
    return run_tests("rules2", tc);
}
