/* Recipes: decisions for the tensors of the released model families, and further rules. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quant/recipe/recipe.h"
#include "tests/aid/expect.h"

/* ---- set 1 of the built-in rules ------------------------------- */

typedef struct family_tensor {
    const char *name;
    dtype type;
    unsigned ndim;
    uint64_t shape[4];
    recipe_reason reason; /* REASON_LINEAR: quantize */
} family_tensor;

#define LINEAR(name, n, k)                                                                         \
    {                                                                                              \
        name, DTYPE_BF16, 2, {n, k}, REASON_LINEAR                                                 \
    }
#define KEPT(name, why, dims, ...)                                                                 \
    {                                                                                              \
        name, DTYPE_BF16, dims, {__VA_ARGS__}, why                                                 \
    }
#define L "model.layers.3."

static const family_tensor families[] = {
    /* Ring-linear 2.0, Ling and Ring 2.0 */
    KEPT("model.word_embeddings.weight", REASON_OUTSIDE_LAYERS, 2, 157184, 2048),
    KEPT("lm_head.weight", REASON_OUTSIDE_LAYERS, 2, 157184, 2048),
    KEPT("model.norm.weight", REASON_SHAPE, 1, 2048),
    LINEAR(L "attention.query_key_value.weight", 3072, 2048),
    LINEAR(L "attention.dense.weight", 2048, 2048),
    LINEAR(L "attention.g_proj.weight", 2048, 2048),
    KEPT(L "attention.g_norm.weight", REASON_SHAPE, 1, 2048),
    KEPT(L "attention.query_layernorm.weight", REASON_SHAPE, 1, 128),
    KEPT(L "attention.key_layernorm.weight", REASON_SHAPE, 1, 128),
    KEPT(L "input_layernorm.weight", REASON_SHAPE, 1, 2048),
    KEPT(L "post_attention_layernorm.weight", REASON_SHAPE, 1, 2048),
    KEPT(L "mlp.gate.weight", REASON_NOT_LINEAR, 2, 256, 2048),
    {L "mlp.gate.expert_bias", DTYPE_F32, 1, {256}, REASON_SHAPE},
    LINEAR(L "mlp.experts.0.gate_proj.weight", 512, 2048),
    LINEAR(L "mlp.experts.255.up_proj.weight", 512, 2048),
    LINEAR(L "mlp.experts.17.down_proj.weight", 2048, 512),
    LINEAR(L "mlp.shared_experts.gate_proj.weight", 512, 2048),
    LINEAR("model.layers.0.mlp.down_proj.weight", 2048, 5120),
    /* prediction layers after the last one: Ling 2.0, DeepSeek-V3, GLM-4-MoE */
    KEPT("model.layers.20.enorm.weight", REASON_SHAPE, 1, 2048),
    KEPT("model.layers.20.hnorm.weight", REASON_SHAPE, 1, 2048),
    KEPT("model.layers.20.eh_proj.weight", REASON_NOT_LINEAR, 2, 2048, 4096),
    KEPT("model.layers.20.final_layernorm.weight", REASON_SHAPE, 1, 2048),
    KEPT("model.layers.61.shared_head.norm.weight", REASON_SHAPE, 1, 7168),
    KEPT("model.layers.61.shared_head.head.weight", REASON_NOT_LINEAR, 2, 129280, 7168),
    KEPT("model.layers.61.embed_tokens.weight", REASON_NOT_LINEAR, 2, 129280, 7168),
    LINEAR("model.layers.61.self_attn.o_proj.weight", 7168, 16384),
    /* Llama, Mistral, Qwen2 and Qwen3 */
    KEPT("model.embed_tokens.weight", REASON_OUTSIDE_LAYERS, 2, 128256, 4096),
    LINEAR(L "self_attn.q_proj.weight", 4096, 4096),
    LINEAR(L "self_attn.k_proj.weight", 1024, 4096),
    LINEAR(L "self_attn.v_proj.weight", 1024, 4096),
    LINEAR(L "self_attn.o_proj.weight", 4096, 4096),
    KEPT(L "self_attn.q_proj.bias", REASON_SHAPE, 1, 4096),
    KEPT(L "self_attn.k_norm.weight", REASON_SHAPE, 1, 128),
    KEPT(L "self_attn.rotary_emb.inv_freq", REASON_SHAPE, 1, 64),
    LINEAR(L "mlp.gate_proj.weight", 14336, 4096),
    LINEAR(L "mlp.up_proj.weight", 14336, 4096),
    LINEAR(L "mlp.gate_up_proj.weight", 17920, 3072),
    /* Qwen2-MoE: the gate of the shared expert is a matrix of one row */
    KEPT(L "mlp.shared_expert_gate.weight", REASON_NOT_LINEAR, 2, 1, 2048),
    LINEAR(L "mlp.shared_expert.up_proj.weight", 5632, 2048),
    /* experts of one projection in one tensor: Llama 4, gpt-oss, Qwen3-VL */
    KEPT(L "mlp.experts.gate_up_proj", REASON_LINEAR, 3, 128, 2048, 1536),
    KEPT(L "feed_forward.experts.down_proj", REASON_LINEAR, 3, 16, 8192, 5120),
    KEPT(L "mlp.experts.gate_up_proj_bias", REASON_NOT_LINEAR, 2, 32, 5760),
    KEPT(L "mlp.expert.gate_up_proj", REASON_SHAPE, 3, 128, 2048, 1536),
    KEPT(L "mlp.experts.gate_up_proj", REASON_SHAPE, 4, 2, 128, 2048, 1536),
    KEPT(L "mlp.experts.router", REASON_NOT_LINEAR, 3, 128, 2048, 1536),
    /* Mixtral */
    KEPT(L "block_sparse_moe.gate.weight", REASON_NOT_LINEAR, 2, 8, 4096),
    LINEAR(L "block_sparse_moe.experts.0.w1.weight", 14336, 4096),
    LINEAR(L "block_sparse_moe.experts.7.w2.weight", 4096, 14336),
    LINEAR(L "block_sparse_moe.experts.7.w3.weight", 14336, 4096),
    /* DeepSeek-V3 */
    LINEAR(L "self_attn.q_a_proj.weight", 1536, 7168),
    KEPT(L "self_attn.q_a_layernorm.weight", REASON_SHAPE, 1, 1536),
    LINEAR(L "self_attn.q_b_proj.weight", 24576, 1536),
    LINEAR(L "self_attn.kv_a_proj_with_mqa.weight", 576, 7168),
    LINEAR(L "self_attn.kv_b_proj.weight", 32768, 512),
    {L "mlp.gate.e_score_correction_bias", DTYPE_F32, 1, {256}, REASON_SHAPE},
    {L "self_attn.q_a_proj.weight", DTYPE_F8_E4M3, 2, {1536, 7168}, REASON_FP8},
    {L "self_attn.q_a_proj.weight_scale_inv", DTYPE_F32, 2, {12, 56}, REASON_NOT_LINEAR},
    /* MiniMax: decay tensors that look like stacks but are not */
    LINEAR(L "self_attn.qkv_proj.weight", 24576, 6144),
    LINEAR(L "self_attn.output_gate.weight", 8192, 6144),
    LINEAR(L "self_attn.out_proj.weight", 6144, 8192),
    KEPT(L "self_attn.slope_rate", REASON_SHAPE, 3, 64, 1, 1),
    KEPT(L "self_attn.query_decay", REASON_SHAPE, 3, 64, 256, 1),
    KEPT(L "self_attn.key_decay", REASON_SHAPE, 3, 64, 256, 1),
    KEPT(L "self_attn.diagonal_decay", REASON_SHAPE, 4, 1, 64, 256, 256),
    /* dtypes */
    {L "mlp.up_proj.weight", DTYPE_F16, 2, {300, 200}, REASON_LINEAR},
    {L "mlp.up_proj.weight", DTYPE_F32, 2, {300, 200}, REASON_LINEAR},
    {L "mlp.up_proj.weight", DTYPE_F64, 2, {300, 200}, REASON_DTYPE},
    {L "mlp.up_proj.weight", DTYPE_I8, 2, {300, 200}, REASON_DTYPE},
    {L "mlp.up_proj.weight", DTYPE_F4, 2, {300, 200}, REASON_DTYPE},
    {L "mlp.up_proj.weight", DTYPE_C64, 2, {300, 200}, REASON_DTYPE},
    {L "mlp.up_proj.weight", DTYPE_F8_E5M2, 2, {300, 200}, REASON_FP8},
    {L "mlp.up_proj.weight", DTYPE_F8_E8M0, 2, {300, 200}, REASON_FP8},
    {L "mlp.up_proj.weight", DTYPE_F8_E4M3FNUZ, 2, {300, 200}, REASON_FP8},
    {L "mlp.up_proj.weight", DTYPE_F8_E5M2FNUZ, 2, {300, 200}, REASON_FP8},
    /* the first rule that fails gives the reason */
    {"norm.bias", DTYPE_F8_E4M3, 1, {0}, REASON_FP8},
    {"norm.bias", DTYPE_I64, 1, {0}, REASON_DTYPE},
    {"norm.bias", DTYPE_F32, 1, {0}, REASON_SHAPE},
    {"norm.bias", DTYPE_F32, 0, {0}, REASON_SHAPE},
    {"norm.bias", DTYPE_F32, 2, {0, 5}, REASON_EMPTY},
    {L "mlp.up_proj.weight", DTYPE_F32, 2, {5, 0}, REASON_EMPTY},
    {L "mlp.experts.up_proj", DTYPE_F32, 3, {2, 0, 5}, REASON_EMPTY},
    {L "mlp.up_proj", DTYPE_F32, 3, {2, 0, 5}, REASON_SHAPE},
    /* names: whole components only */
    LINEAR(L "q_proj", 8, 8),
    LINEAR("h.0.q_proj.weight", 8, 8),
    LINEAR("transformer.blocks.11.w1.weight", 8, 8),
    LINEAR("layers.0.w1", 8, 8),
    KEPT(L "q_proj.weight.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "q_proj.weights", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "q_projweight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "xq_proj.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "q_proj_.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "Q_PROJ.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "q_proj.lora_A.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "g_proj.0.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT(L "dense_h_to_4h.weight", REASON_NOT_LINEAR, 2, 8, 8),
    KEPT("model.layer.3.q_proj.weight", REASON_OUTSIDE_LAYERS, 2, 8, 8),
    KEPT("model.layers.03.q_proj.weight", REASON_OUTSIDE_LAYERS, 2, 8, 8),
    KEPT("model.mtp.q_proj.weight", REASON_OUTSIDE_LAYERS, 2, 8, 8),
    KEPT("q_proj.weight", REASON_OUTSIDE_LAYERS, 2, 8, 8),
    KEPT(".weight", REASON_OUTSIDE_LAYERS, 2, 8, 8),
    KEPT(L "shared_experts.up_proj", REASON_SHAPE, 3, 2, 8, 8),
    KEPT(L "experts_2.up_proj", REASON_SHAPE, 3, 2, 8, 8),
    KEPT(L "expert.up_proj", REASON_SHAPE, 3, 2, 8, 8),
    KEPT("experts.layers.0.up_proj", REASON_LINEAR, 3, 2, 8, 8),
    KEPT(L "up_proj.experts", REASON_NOT_LINEAR, 3, 2, 8, 8),
};

/* A tensor that has no scales. */
static err_code decide_bare(const recipe *r, const char *name, dtype type, const uint64_t *shape,
                            unsigned ndim, decision *out, err *e)
{
    const recipe_tensor t = {.name = name, .type = type, .shape = shape, .ndim = ndim};
    return recipe_decide(r, &t, NULL, out, e);
}

START_TEST(family_tensor_is_decided)
{
    const family_tensor *const t = &families[_i];
    const recipe r = {.built_in = 1};
    const recipe_action expected = t->reason == REASON_LINEAR ? ACTION_QUANTIZE : ACTION_KEEP;
    decision d = {ACTION_CARRY, REASON_COUNT};
    err e = {0};
    expect_ok(decide_bare(&r, t->name, t->type, t->shape, t->ndim, &d, &e), &e);
    ck_assert_msg(d.reason == t->reason && d.action == expected,
                  "%s: %s because it is %s, expected %s", t->name, recipe_action_name(d.action),
                  recipe_reason_name(d.reason), recipe_reason_name(t->reason));
}
END_TEST

/* ---- further rules ---------------------------------------------- */

static decision decide(const recipe *r, const char *name)
{
    static const uint64_t shape[] = {256, 128};
    decision d = {ACTION_CARRY, REASON_COUNT};
    err e = {0};
    expect_ok(decide_bare(r, name, DTYPE_BF16, shape, 2, &d, &e), &e);
    return d;
}

static void add(recipe *r, const char *glob, bool quantize)
{
    err e = {0};
    expect_ok(recipe_add_rule(r, glob, quantize, true, &e), &e);
}

static void expect_decision(const recipe *r, const char *name, bool quantize, recipe_reason reason)
{
    const decision d = decide(r, name);
    ck_assert_msg(d.action == (quantize ? ACTION_QUANTIZE : ACTION_KEEP) && d.reason == reason,
                  "%s: %s %s", name, recipe_action_name(d.action), recipe_reason_name(d.reason));
}

START_TEST(last_match_wins)
{
    recipe r = {0};
    add(&r, "*.layers.*", true);
    add(&r, "*.gate.weight", false);
    add(&r, "*.layers.7.*", false);
    add(&r, "*.layers.7.mlp.gate.weight", true);
    expect_decision(&r, "model.layers.1.anything", true, REASON_RULE);
    expect_decision(&r, "model.layers.1.mlp.gate.weight", false, REASON_RULE);
    expect_decision(&r, "model.layers.7.mlp.up_proj.weight", false, REASON_RULE);
    expect_decision(&r, "model.layers.7.mlp.gate.weight", true, REASON_RULE);
    expect_decision(&r, "model.other.weight", false, REASON_OUTSIDE_LAYERS);
    expect_decision(&r, "h.0.w1", true, REASON_LINEAR);
    recipe_free(&r);
    ck_assert_uint_eq(r.rule_count, 0);
    ck_assert_ptr_null(r.rules);
}
END_TEST

START_TEST(whole_names_match)
{
    recipe r = {0};
    add(&r, "lm_head", true);
    add(&r, "layers.[0-2].q_proj.weigh?", false);
    expect_decision(&r, "lm_head.weight", false, REASON_HEAD);
    expect_decision(&r, "lm_head", true, REASON_RULE);
    expect_decision(&r, "layers.1.q_proj.weight", false, REASON_RULE);
    expect_decision(&r, "layers.3.q_proj.weight", true, REASON_LINEAR);
    expect_decision(&r, "model.layers.1.q_proj.weight", true, REASON_LINEAR);
    recipe_free(&r);
}
END_TEST

/* A rule may ask for matrices anywhere, and for three dimensions anywhere. */
START_TEST(rules_reach_further)
{
    static const uint64_t shape[] = {4, 5, 6};
    recipe r = {0};
    decision d = {0};
    err e = {0};
    add(&r, "*", true);
    expect_ok(decide_bare(&r, "decay", DTYPE_F32, shape, 3, &d, &e), &e);
    ck_assert(d.action == ACTION_QUANTIZE && d.reason == REASON_RULE);
    expect_decision(&r, "lm_head.weight", true, REASON_RULE);
    recipe_free(&r);
}
END_TEST

static bool count_down(void *ctx)
{
    int *const left = ctx;
    return --*left < 0;
}

/* One tensor may be compared with thousands of rules, each of them slow. */
START_TEST(trying_rules_can_be_cancelled)
{
    static const uint64_t shape[] = {5, 6};
    int left = 3;
    const monitor stop = {.cancelled = count_down, .ctx = &left};
    const recipe_tensor t = {.name = "a", .type = DTYPE_BF16, .shape = shape, .ndim = 2};
    recipe r = {0};
    decision d = {0};
    err e = {0};
    for (int i = 0; i < 300; i++) {
        add(&r, "b", true);
    }
    expect_error(recipe_decide(&r, &t, &stop, &d, &e), ERR_CANCELLED, &e, "interrupted");
    left = 300;
    expect_ok(recipe_decide(&r, &t, &stop, &d, &e), &e);
    recipe_free(&r);
}
END_TEST

static const struct {
    dtype type;
    unsigned ndim;
    uint64_t shape[4];
    recipe_reason why;
} impossible[] = {
    {DTYPE_F8_E4M3, 2, {4, 4}, REASON_FP8},     {DTYPE_F8_E8M0, 1, {4}, REASON_FP8},
    {DTYPE_F64, 2, {4, 4}, REASON_DTYPE},       {DTYPE_I32, 0, {0}, REASON_DTYPE},
    {DTYPE_BF16, 1, {4}, REASON_SHAPE},         {DTYPE_BF16, 0, {0}, REASON_SHAPE},
    {DTYPE_F16, 4, {1, 2, 3, 4}, REASON_SHAPE}, {DTYPE_F32, 2, {0, 4}, REASON_EMPTY},
    {DTYPE_F32, 3, {4, 4, 0}, REASON_EMPTY},
};

START_TEST(rule_that_cannot_be_obeyed)
{
    recipe r = {0};
    decision d = {0};
    err e = {0};
    const uint64_t *const shape = impossible[_i].shape;
    add(&r, "*", true);
    const err_code code =
        decide_bare(&r, "a.b", impossible[_i].type, shape, impossible[_i].ndim, &d, &e);
    ck_assert_ptr_nonnull(strstr(e.hint, "--keep 'a.b'"));
    ck_assert_ptr_nonnull(strstr(e.text, recipe_reason_text(impossible[_i].why)));
    expect_error(code, ERR_USAGE, &e, "tensor a.b: cannot be quantized as the rule '*' asks");
    add(&r, "a.*", false); /* as the hint says */
    expect_ok(decide_bare(&r, "a.b", impossible[_i].type, shape, impossible[_i].ndim, &d, &e), &e);
    ck_assert(d.action == ACTION_KEEP && d.reason == REASON_RULE);
    recipe_free(&r);
}
END_TEST

START_TEST(broken_globs_are_refused)
{
    static const char *const broken[] = {"", "[", "a[b", "[]", "[!]"};
    recipe r = {0};
    err e = {0};
    for (int i = 0; i < COUNT(broken); i++) {
        expect_error(recipe_add_rule(&r, broken[i], true, true, &e), ERR_USAGE, &e, "invalid glob");
        expect_error(recipe_add_rule(&r, broken[i], true, false, &e), ERR_INPUT, &e,
                     "invalid glob");
    }
    ck_assert_uint_eq(r.rule_count, 0);
}
END_TEST

/* Names are UTF-8, and the recipe is stored as JSON, which cannot hold anything else. */
START_TEST(globs_are_utf8)
{
    static const char *const broken[] = {"caf\xe9*", "[\x80-\xff]*", "*\xc3", "\xed\xa0\x80"};
    recipe r = {0};
    err e = {0};
    size_t bytes = 0;
    for (int i = 0; i < COUNT(broken); i++) {
        expect_error(recipe_add_rule(&r, broken[i], false, true, &e), ERR_USAGE, &e, "UTF-8");
    }
    add(&r, "caf\xc3\xa9*", true);
    char *const json = recipe_json(&r, &bytes);
    ck_assert_ptr_nonnull(json);
    ck_assert_ptr_nonnull(strstr(json, "caf\\u00E9*"));
    free(json);
    recipe_free(&r);
}
END_TEST

/* Names of reasons appear in --json: they must not change. */
START_TEST(reasons_have_names)
{
    static const char *const names[REASON_COUNT] = {
        "linear", "rule",      "fp8-tiles", "requantized", "fp8",        "quantized",
        "part",   "spared",    "dtype",     "shape",       "empty",      "outside-layers",
        "tower",  "embedding", "head",      "mtp",         "vector",     "router",
        "gate",   "low-rank",  "indexer",   "convolution", "recurrence", "not-linear"};
    for (int i = 0; i < REASON_COUNT; i++) {
        ck_assert_str_eq(recipe_reason_name((recipe_reason)i), names[i]);
        ck_assert_uint_gt(strlen(recipe_reason_text((recipe_reason)i)), 3);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recipe");
    tcase_add_loop_test(tc, family_tensor_is_decided, 0, COUNT(families));
    tcase_add_test(tc, last_match_wins);
    tcase_add_test(tc, whole_names_match);
    tcase_add_test(tc, rules_reach_further);
    tcase_add_test(tc, trying_rules_can_be_cancelled);
    tcase_add_loop_test(tc, rule_that_cannot_be_obeyed, 0, COUNT(impossible));
    tcase_add_test(tc, broken_globs_are_refused);
    tcase_add_test(tc, globs_are_utf8);
    tcase_add_test(tc, reasons_have_names);
    return run_tests("recipe", tc);
}
