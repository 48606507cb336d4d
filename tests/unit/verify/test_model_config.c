/* Configurations that are accepted, and for every rule one that is rejected. */
#include <math.h>
#include <unistd.h>

#include "tests/aid/config_case.h"
#include "tests/aid/scratch.h"
#include "tests/aid/small_pack.h"

/* ---- what is understood ---------------------------------------- */

START_TEST(a_linear_model)
{
    const model_config c = silent(linear_text, "{}");
    ck_assert_str_eq(c.architecture, "BailingMoeLinearV2ForCausalLM");
    ck_assert_str_eq(c.model_type, "bailing_moe_linear");
    ck_assert(model_has_linear(&c) && !c.linear_silu && c.expert_bias && c.norm_topk && !c.tied &&
              !c.yarn);
    ck_assert(c.hidden == 192 && c.layers == 7 && c.heads == 6 && c.kv_heads == 2);
    ck_assert(c.head_dim == 32 && c.rotary_dim == 16 && c.dense_layers == 1);
    ck_assert(c.intermediate == 320 && c.moe_intermediate == 48 && c.shared_experts == 2);
    ck_assert(c.shared_intermediate == 96 && c.experts == 8 && c.top_k == 2 && c.groups == 4);
    ck_assert(c.top_groups == 2 && c.mtp_layers == 0 && c.layer_group == 3 && c.norm_groups == 4);
    ck_assert(c.vocab == 512 && c.max_positions == 2048);
    ck_assert(c.eps == 1e-6f && c.routed_scaling == 2.5f && c.rope_theta == 1e6);
    ck_assert(isnan(c.yarn_attention) && c.yarn_factor == 0 && c.yarn_original == 0);
}
END_TEST

START_TEST(kinds_of_layers)
{
    const model_config c = silent(linear_text, "{}"); /* two groups of three, and a tail */
    const char *const kinds = "LLSLLSS";
    for (unsigned i = 0; i < c.layers; i++) {
        ck_assert_int_eq(model_layer_kind(&c, i) == LAYER_LINEAR, kinds[i] == 'L');
    }
    const model_config all = silent(linear_text, "{\"layer_group_size\":8}");
    const model_config each = silent(linear_text, "{\"layer_group_size\":1}");
    const model_config none = silent(softmax_text, "{}");
    for (unsigned i = 0; i < c.layers; i++) {
        ck_assert_int_eq(model_layer_kind(&all, i), LAYER_SOFTMAX);
        ck_assert_int_eq(model_layer_kind(&each, i), LAYER_SOFTMAX);
        ck_assert_int_eq(model_layer_kind(&none, i), LAYER_SOFTMAX);
    }
    ck_assert(!model_has_linear(&none) && none.layer_group == 0 && none.norm_groups == 0);
}
END_TEST

START_TEST(layers_with_experts)
{
    const model_config c = silent(linear_text, "{\"first_k_dense_replace\":3}");
    for (unsigned i = 0; i < c.layers; i++) {
        ck_assert_int_eq(model_has_experts(&c, i), i >= 3);
    }
    ck_assert_uint_eq(model_count_experts(&c, 3), 0);
    ck_assert_uint_eq(model_count_experts(&c, 7), 4);
}
END_TEST

START_TEST(spellings_of_numbers)
{
    const model_config c = silent(
        linear_text, "{\"num_hidden_layers\":20.0,\"max_position_embeddings\":1e6,"
                     "\"rope_theta\":6e5,\"rms_norm_eps\":0.00001,\"routed_scaling_factor\":1,"
                     "\"partial_rotary_factor\":1,\"num_nextn_predict_layers\":1}");
    ck_assert(c.layers == 20 && c.max_positions == 1000000 && c.rope_theta == 600000);
    ck_assert(c.eps == 1e-5f && c.routed_scaling == 1 && c.rotary_dim == 32 && c.mtp_layers == 1);
}
END_TEST

START_TEST(keys_that_may_be_missing)
{
    model_config c = silent(linear_text, "{\"moe_shared_expert_intermediate_size\":64}");
    ck_assert_uint_eq(c.shared_intermediate, 128);
    c = silent(linear_text, "{\"first_k_dense_replace\":0,\"intermediate_size\":\"-\"}");
    ck_assert(c.dense_layers == 0 && c.intermediate == 0);
    c = silent(linear_text, "{\"first_k_dense_replace\":0}");
    ck_assert_uint_eq(c.intermediate, 0);
    silent(linear_text, "{\"num_nextn_predict_layers\":null,\"rope_scaling\":null,"
                        "\"moe_shared_expert_intermediate_size\":null,\"dtype\":null,"
                        "\"torch_dtype\":\"bfloat16\"}");
    silent(linear_text, "{\"use_bias\":false,\"use_qkv_bias\":false,\"use_rmsnorm\":true,"
                        "\"router_dtype\":\"fp32\",\"linear_rope\":true,\"norm_head\":false,"
                        "\"using_split_qkv_in_self_attention\":false,\"attention_bias\":false,"
                        "\"use_sliding_window\":false,\"sliding_window\":null,"
                        "\"torch_dtype\":\"bfloat16\",\"dtype\":\"bfloat16\"}");
}
END_TEST

START_TEST(unknown_keys_are_named_once)
{
    good(linear_text, "{\"use_cache\":true,\"zeta\":1,\"auto_map\":{},\"rope factor\":2}");
    ck_assert_int_eq(note_count, 1);
    ck_assert_str_eq(notes, CONFIG
                     "keys that the forward pass does not know and ignores: zeta; rope factor");
    good(softmax_text, "{\"layer_group_size\":5}");
    ck_assert_str_eq(notes, CONFIG
                     "keys that the forward pass does not know and ignores: layer_group_size");
}
END_TEST

/* ---- Llama ----------------------------------------------------- */

START_TEST(a_llama)
{
    const model_config c =
        silent(llama_text, "{\"num_key_value_heads\":2,\"head_dim\":16,\"rope_theta\":500000,"
                           "\"attention_bias\":true,\"mlp_bias\":true,\"tie_word_embeddings\":true,"
                           "\"pretraining_tp\":1,\"partial_rotary_factor\":1}");
    ck_assert(c.kv_heads == 2 && c.head_dim == 16 && c.rotary_dim == 16 && c.rope_theta == 5e5);
    ck_assert(c.attention_bias && c.mlp_bias && c.tied && c.intermediate == 320);
    ck_assert(!model_has_linear(&c) && model_count_experts(&c, c.layers) == 0);
    ck_assert(c.experts == 0 && c.top_k == 0);
}
END_TEST

/* Keys that releases omit. */
START_TEST(a_short_llama)
{
    const model_config c = silent(llama_text, "{\"head_dim\":null,\"rope_scaling\":null}");
    ck_assert(c.kv_heads == 6 && c.head_dim == 32 && c.rotary_dim == 32 && c.rope_theta == 10000);
    ck_assert(!c.attention_bias && !c.mlp_bias && !c.tied && !c.yarn);
    good(llama_text, "{\"n_group\":1}");
    ck_assert_str_eq(notes, CONFIG "keys that the forward pass does not know and ignores: n_group");
}
END_TEST

static const bad_config bad_llama[] = {
    {"{\"hidden_act\":\"gelu\"}", "hidden_act: \"gelu\" is not supported, only \"silu\""},
    {"{\"hidden_act\":\"-\"}", "hidden_act is missing"},
    {"{\"intermediate_size\":\"-\"}", "intermediate_size is missing"},
    {"{\"num_attention_heads\":7}",
     "head_dim is missing, and hidden_size, 192, is not a multiple of "
     "num_attention_heads, 7"},
    {"{\"num_key_value_heads\":4}",
     "num_attention_heads, 6, is not a multiple of num_key_value_heads, 4"},
    {"{\"head_dim\":7}",
     "partial_rotary_factor: 1 of head_dim, 7, is not an even number of channels"},
    {"{\"partial_rotary_factor\":0.5}", "partial_rotary_factor: 0.5 is not supported, only 1"},
    {"{\"attention_bias\":1}", "attention_bias: expected true or false, found 1"},
    {"{\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}",
     "rope_scaling: type \"llama3\" is not supported, \"yarn\" and \"default\" are"},
    {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}}",
     "rope_scaling: type \"linear\" is not supported, \"yarn\" and \"default\" are"},
};

START_TEST(every_rule_of_a_llama)
{
    expect_bad(llama_text, &bad_llama[_i]);
}
END_TEST

/* ---- what is not ----------------------------------------------- */

static const bad_config bad[] = {
    /* architecture */
    {"{\"architectures\":[\"MixtralForCausalLM\"],\"model_type\":\"mixtral\"}",
     "the forward pass does not support the architecture MixtralForCausalLM, only these: "
     "BailingMoeLinearV2ForCausalLM; BailingMoeV2ForCausalLM; LlamaForCausalLM; "
     "Qwen3ForCausalLM"},
    {"{\"architectures\":\"-\"}", "architectures is missing"},
    {"{\"architectures\":[]}", "architectures: expected a list of one name, found []"},
    {"{\"architectures\":[\"a\",\"b\"]}",
     "architectures: expected a list of one name, found [\"a\",\"b\"]"},
    {"{\"architectures\":[1]}", "architectures: expected a list of one name, found [1]"},
    {"{\"architectures\":\"x\"}", "architectures: expected a list of one name, found \"x\""},
    {"{\"model_type\":\"-\"}", "model_type is missing"},
    {"{\"model_type\":7}", "model_type: expected a string, found 7"},
    {"{\"model_type\":\"bailing_moe\"}",
     "architectures and model_type contradict each other: BailingMoeLinearV2ForCausalLM is "
     "bailing_moe_linear, not bailing_moe"},
    {"{\"torch_dtype\":\"bfloat16\",\"dtype\":\"float16\"}",
     "torch_dtype and dtype contradict each other"},
    /* values */
    {"{\"hidden_size\":0}", "hidden_size: expected a whole number from 1 to 1048576, found 0"},
    {"{\"hidden_size\":1048577}",
     "hidden_size: expected a whole number from 1 to 1048576, found 1048577"},
    {"{\"hidden_size\":192.5}",
     "hidden_size: expected a whole number from 1 to 1048576, found 192.5"},
    {"{\"hidden_size\":100000000000000000000000}", "found 9.9999999999999992e22"},
    {"{\"hidden_size\":-1}", "found -1"},
    {"{\"hidden_size\":\"192\"}", "found \"192\""},
    {"{\"hidden_size\":null}", "found null"},
    {"{\"hidden_size\":[1]}", "found [1]"},
    {"{\"first_k_dense_replace\":-1}",
     "first_k_dense_replace: expected a whole number from 0 to 1048576, found -1"},
    {"{\"num_nextn_predict_layers\":-1}",
     "num_nextn_predict_layers: expected a whole number from 0 to 1048576, found -1"},
    {"{\"max_position_embeddings\":1073741825}",
     "max_position_embeddings: expected a whole number from 1 to 1073741824, found 1073741825"},
    {"{\"rms_norm_eps\":0}", "rms_norm_eps: expected a number between 0 and 1, found 0"},
    {"{\"rms_norm_eps\":1}", "rms_norm_eps: expected a number between 0 and 1, found 1"},
    {"{\"rms_norm_eps\":0.999999999999}", "rms_norm_eps: 1 does not fit float32"},
    {"{\"rms_norm_eps\":1e-60}", "rms_norm_eps: 1e-60 does not fit float32"},
    {"{\"routed_scaling_factor\":0}", "routed_scaling_factor: expected a number above 0, found 0"},
    {"{\"routed_scaling_factor\":1e39}", "routed_scaling_factor: 1e+39 does not fit float32"},
    {"{\"norm_topk_prob\":1}", "norm_topk_prob: expected true or false, found 1"},
    {"{\"moe_shared_expert_intermediate_size\":0}",
     "moe_shared_expert_intermediate_size: expected a whole number from 1 to 1048576, found 0"},
    {"{\"moe_shared_expert_intermediate_size\":524289}",
     "2 shared experts of size 524289 are too large together"},
    /* keys with a fixed value */
    {"{\"score_function\":\"softmax\"}",
     "score_function: \"softmax\" is not supported, only \"sigmoid\""},
    {"{\"hidden_act\":\"gelu\"}", "hidden_act: \"gelu\" is not supported, only \"silu\""},
    {"{\"use_qk_norm\":false}", "use_qk_norm: false is not supported, only true"},
    {"{\"use_bias\":true}", "use_bias: true is not supported, only false"},
    {"{\"use_bias\":null}", "use_bias: null is not supported, only false"},
    {"{\"use_qkv_bias\":true}", "use_qkv_bias: true is not supported, only false"},
    {"{\"attention_bias\":true}", "attention_bias: true is not supported, only false"},
    {"{\"use_rmsnorm\":false}", "use_rmsnorm: false is not supported, only true"},
    {"{\"router_dtype\":\"bf16\"}", "router_dtype: \"bf16\" is not supported, only \"fp32\""},
    {"{\"linear_rope\":false}", "linear_rope: false is not supported, only true"},
    {"{\"norm_head\":true}", "norm_head: true is not supported, only false"},
    {"{\"using_split_qkv_in_self_attention\":true}",
     "using_split_qkv_in_self_attention: true is not supported, only false"},
    {"{\"use_sliding_window\":true}", "use_sliding_window: true is not supported, only false"},
    {"{\"sliding_window\":4096}", "sliding_window: 4096 is not supported, only null"},
    /* values that contradict each other */
    {"{\"num_key_value_heads\":4}",
     "num_attention_heads, 6, is not a multiple of num_key_value_heads, 4"},
    {"{\"num_attention_heads\":1048576}",
     "num_attention_heads: 1048576 heads of head_dim 32 are too large together"},
    {"{\"num_attention_heads\":524288,\"head_dim\":2,\"partial_rotary_factor\":1,"
     "\"hidden_size\":8192}",
     "num_attention_heads: 524288 heads of head_dim 2 are too large together"},
    {"{\"group_norm_size\":5}",
     "group_norm_size, 5, does not divide the 192 channels of all heads"},
    {"{\"first_k_dense_replace\":8}",
     "first_k_dense_replace, 8, is more than num_hidden_layers, 7"},
    {"{\"num_hidden_layers\":1024,\"num_experts\":1028}",
     "num_experts: 1024 layers of 1028 experts are too many"},
    {"{\"n_group\":3}", "num_experts, 8, is not a multiple of n_group, 3"},
    {"{\"topk_group\":5}", "topk_group, 5, is more than n_group, 4"},
    {"{\"num_experts_per_tok\":5}",
     "num_experts_per_tok, 5, is more than the 4 experts of topk_group groups"},
};

/* ---- Qwen3 ----------------------------------------------------- */

START_TEST(a_qwen3)
{
    const model_config c = silent(
        qwen3_text, "{\"attention_bias\":true,\"use_sliding_window\":false,\"sliding_window\":4096,"
                    "\"max_window_layers\":2,\"layer_types\":[\"full_attention\","
                    "\"full_attention\",\"full_attention\"]}");
    ck_assert(c.kv_heads == 2 && c.head_dim == 16 && c.rotary_dim == 16 && c.rope_theta == 1e6);
    ck_assert(c.attention_bias && !c.mlp_bias && !c.tied && c.intermediate == 320);
    ck_assert(!model_has_linear(&c) && model_count_experts(&c, c.layers) == 0);
    ck_assert(!silent(qwen3_text, "{\"layer_types\":[]}").attention_bias);
}
END_TEST

static const bad_config bad_qwen3[] = {
    {"{\"head_dim\":\"-\"}", "head_dim is missing"},
    {"{\"rope_theta\":\"-\"}", "rope_theta is missing"},
    {"{\"tie_word_embeddings\":\"-\"}", "tie_word_embeddings is missing"},
    {"{\"use_sliding_window\":true}", "use_sliding_window: true is not supported, only false"},
    {"{\"layer_types\":[\"full_attention\",\"sliding_attention\"]}",
     "layer_types: [\"full_attention\",\"sliding_attention\"] is not supported, only "
     "\"full_attention\""},
};

START_TEST(every_rule_of_a_qwen3)
{
    expect_bad(qwen3_text, &bad_qwen3[_i]);
}
END_TEST

START_TEST(every_rule)
{
    expect_bad(linear_text, &bad[_i]);
}
END_TEST

START_TEST(every_required_key)
{
    static const char *const keys[] = {"hidden_size",
                                       "num_hidden_layers",
                                       "num_attention_heads",
                                       "num_key_value_heads",
                                       "head_dim",
                                       "first_k_dense_replace",
                                       "intermediate_size",
                                       "moe_intermediate_size",
                                       "num_shared_experts",
                                       "num_experts",
                                       "num_experts_per_tok",
                                       "n_group",
                                       "topk_group",
                                       "vocab_size",
                                       "max_position_embeddings",
                                       "rms_norm_eps",
                                       "routed_scaling_factor",
                                       "moe_router_enable_expert_bias",
                                       "norm_topk_prob",
                                       "tie_word_embeddings",
                                       "score_function",
                                       "hidden_act",
                                       "use_qk_norm",
                                       "layer_group_size",
                                       "group_norm_size",
                                       "linear_silu"};
    for (int i = 0; i < COUNT(keys); i++) {
        char patch[80];
        char text[80];
        model_config c;
        err e = {0};
        snprintf(patch, sizeof patch, "{\"%s\":\"-\"}", keys[i]);
        snprintf(text, sizeof text, CONFIG "%s is missing", keys[i]);
        ck_assert_int_eq(parse(linear_text, patch, &c, &e), ERR_INPUT);
        ck_assert_str_eq(e.text, text);
    }
}
END_TEST

START_TEST(texts_that_are_no_configuration)
{
    model_config c;
    err e = {0};
    expect_error(model_config_parse("c", "[]", 2, model_archs, NULL, &c, &e), ERR_INPUT, &e,
                 "c: not a JSON object");
    expect_error(model_config_parse("c", "{", 1, model_archs, NULL, &c, &e), ERR_INPUT, &e,
                 "c: line 1");
    expect_error(model_config_parse("c", "", 0, model_archs, NULL, &c, &e), ERR_INPUT, &e,
                 "c: line ");
}
END_TEST

/* ---- comparison ------------------------------------------------ */

static char differences[1024];

static void add_difference(void *ctx, const char *key, const char *a, const char *b)
{
    int *const count = ctx;
    const size_t used = strlen(differences);
    snprintf(differences + used, sizeof differences - used, "%s %s %s\n", key, a, b);
    (*count)++;
}

START_TEST(differences_are_listed)
{
    const model_config a = silent(linear_text, "{}");
    const model_config b = silent(
        linear_text, "{\"hidden_size\":193,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":true,"
                     "\"partial_rotary_factor\":1,\"rope_theta\":6e5,\"rope_scaling\":{\"type\":"
                     "\"yarn\",\"factor\":4,\"original_max_position_embeddings\":512,"
                     "\"attention_factor\":1}}");
    const model_config c = silent(softmax_text, "{}");
    int count = 0;
    ck_assert(model_config_same(&a, &a, add_difference, &count));
    ck_assert(!model_config_same(&a, &b, NULL, NULL));
    ck_assert(!model_config_same(&a, &b, add_difference, &count));
    ck_assert_str_eq(differences, "hidden_size 192 193\n"
                                  "rms_norm_eps 9.99999997e-07 9.99999975e-06\n"
                                  "tie_word_embeddings false true\n"
                                  "rope_theta 1000000 600000\n"
                                  "partial_rotary_factor (channels) 16 32\n"
                                  "rope type yarn false true\n"
                                  "rope factor 0 4\n"
                                  "rope original_max_position_embeddings 0 512\n"
                                  "rope beta_fast 0 32\n"
                                  "rope beta_slow 0 1\n"
                                  "rope attention_factor not given 1\n");
    ck_assert_int_eq(count, 11);
    differences[0] = '\0';
    ck_assert(!model_config_same(&a, &c, add_difference, &count));
    ck_assert_str_eq(differences, "architectures BailingMoeLinearV2ForCausalLM "
                                  "BailingMoeV2ForCausalLM\n"
                                  "model_type bailing_moe_linear bailing_moe\n"
                                  "layer_group_size 3 0\ngroup_norm_size 4 0\n");
}
END_TEST

/* ---- files ----------------------------------------------------- */

static err_code read_model(const char *path, model_config *c, err *e)
{
    store *s = NULL;
    note_count = 0;
    err_code code = store_open(path, &listener, &s, e);
    ck_assert_msg(code == OK, "%s", e->text);
    note_count = 0;
    code = model_config_read(s, model_archs, &listener, c, e);
    store_close(s);
    return code;
}

START_TEST(the_example)
{
    char path[400];
    model_config c;
    err e = {0};
    snprintf(path, sizeof path, "%s/ring-micro-linear", getenv("TESTDATA"));
    expect_ok(read_model(path, &c, &e), &e);
    ck_assert_msg(note_count == 0, "%s", notes);
    ck_assert(model_has_linear(&c) && c.layers == 5 && c.layer_group == 5 && c.norm_groups == 2);
    ck_assert(c.shared_intermediate == 48 && c.rotary_dim == 16 && c.top_groups == 1);
}
END_TEST

START_TEST(presets)
{
    static const char *const names[] = {"ring-mini.json", "ring-flash.json"};
    for (int i = 0; i < COUNT(names); i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/presets/%s", getenv("TESTDATA"), names[i]);
        json_t *json = NULL;
        err e = {0};
        expect_ok(json_parse_file(path, JSON_PYTHON, &json, &e), &e);
        char *const text = json_dumps(json, 0);
        const model_config c = silent(text, "{}");
        ck_assert(model_has_linear(&c) && c.experts == 256 && c.norm_groups == 4 &&
                  c.rotary_dim == 64);
        ck_assert_uint_eq(c.layers, i ? 32 : 20);
        free(text);
        json_decref(json);
    }
}
END_TEST

START_TEST(a_packed_model_and_one_without)
{
    static const small_tensor only = {"a", DTYPE_BF16, 1, {2}, false};
    const char *const configs[] = {linear_text, NULL};
    for (int i = 0; i < COUNT(configs); i++) {
        small_pack p;
        model_config c;
        err e = {0};
        char text[400];
        small_pack_build(&(small_model){&only, 1, configs[i], 1}, &(small_options){0}, &p);
        scratch_write("p", p.bytes, p.length);
        small_pack_free(&p);
        const err_code code = read_model(scratch("p"), &c, &e);
        snprintf(text, sizeof text, "%s: has no config.json, which the forward pass needs",
                 scratch("p"));
        ck_assert_int_eq(code, configs[i] ? OK : ERR_INPUT);
        ck_assert_str_eq(e.text, configs[i] ? "" : text);
    }
    scratch_text("config.json", softmax_text);
    scratch_safetensors("model.safetensors", "{}", 0, 0);
    model_config c;
    err e = {0};
    expect_ok(read_model(scratch(""), &c, &e), &e);
    ck_assert_int_eq(unlink(scratch("config.json")), 0);
    expect_error(read_model(scratch(""), &c, &e), ERR_INPUT, &e,
                 ": has no config.json, which the forward pass needs");
    scratch_text("config.json", "{\"model_type\":\"x\"}");
    expect_error(read_model(scratch(""), &c, &e), ERR_INPUT, &e,
                 ": config.json: architectures is missing");
    ck_assert_int_eq(note_count, 0);
}
END_TEST

/* Other architectures, if their checkpoints are next to the source tree. */
START_TEST(other_models)
{
    static const char *const names[] = {"mistral",   "mixtral",     "glm4_moe", "qwen2",
                                        "qwen3_moe", "deepseek_v3", "minimax"};
    const char *const models = getenv("OCTAVO_MODELS");
    for (int i = 0; i < COUNT(names); i++) {
        char path[400];
        model_config c;
        err e = {0};
        snprintf(path, sizeof path, "%s/zoo/%s", models ? models : "", names[i]);
        if (!models || access(path, F_OK) != 0) {
            printf("skipped: no %s\n", path);
            continue;
        }
        expect_error(read_model(path, &c, &e), ERR_INPUT, &e,
                     ": config.json: the forward pass does not support the architecture ");
    }
}
END_TEST

int main(void)
{
    TCase *const t = tcase_create("model_config");
    tcase_add_checked_fixture(t, scratch_make, scratch_remove);
    tcase_add_test(t, a_linear_model);
    tcase_add_test(t, kinds_of_layers);
    tcase_add_test(t, layers_with_experts);
    tcase_add_test(t, spellings_of_numbers);
    tcase_add_test(t, keys_that_may_be_missing);
    tcase_add_test(t, unknown_keys_are_named_once);
    tcase_add_test(t, a_llama);
    tcase_add_test(t, a_short_llama);
    tcase_add_loop_test(t, every_rule_of_a_llama, 0, COUNT(bad_llama));
    tcase_add_test(t, a_qwen3);
    tcase_add_loop_test(t, every_rule_of_a_qwen3, 0, COUNT(bad_qwen3));
    tcase_add_loop_test(t, every_rule, 0, COUNT(bad));
    tcase_add_test(t, every_required_key);
    tcase_add_test(t, texts_that_are_no_configuration);
    tcase_add_test(t, differences_are_listed);
    tcase_add_test(t, the_example);
    tcase_add_test(t, presets);
    tcase_add_test(t, a_packed_model_and_one_without);
    tcase_add_test(t, other_models);
    return run_tests("model_config", t);
}
