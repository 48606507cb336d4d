/* Texts of configurations, changed key by key, and read.
 *
 *     const model_config c = good(linear_text, "{\"hidden_size\":64,\"use_qk_norm\":\"-\"}");
 */
#ifndef CONFIG_CASE_H
#define CONFIG_CASE_H

#include "format/json/json.h"
#include "tests/aid/expect.h"
#include "verify/arch/archs.h"
#include "verify/model/model_config.h"

#define CONFIG "config.json: "

/* The required keys; patches add optional ones. */
#define COMMON                                                                                     \
    "\"hidden_size\":192,\"num_hidden_layers\":7,\"num_attention_heads\":6,"                       \
    "\"num_key_value_heads\":2,\"head_dim\":32,\"first_k_dense_replace\":1,"                       \
    "\"intermediate_size\":320,\"moe_intermediate_size\":48,\"num_shared_experts\":2,"             \
    "\"num_experts\":8,\"num_experts_per_tok\":2,\"n_group\":4,\"topk_group\":2,"                  \
    "\"vocab_size\":512,\"max_position_embeddings\":2048,\"rms_norm_eps\":1e-06,"                  \
    "\"routed_scaling_factor\":2.5,\"moe_router_enable_expert_bias\":true,"                        \
    "\"norm_topk_prob\":true,\"tie_word_embeddings\":false,\"rope_theta\":1000000,"                \
    "\"partial_rotary_factor\":0.5,\"score_function\":\"sigmoid\",\"hidden_act\":\"silu\","        \
    "\"use_qk_norm\":true"

static const char linear_text[] =
    "{\"architectures\":[\"BailingMoeLinearV2ForCausalLM\"],\"model_type\":\"bailing_moe_linear\","
    "\"layer_group_size\":3,\"group_norm_size\":4,\"linear_silu\":false," COMMON "}";
static const char softmax_text[] = "{\"architectures\":[\"BailingMoeV2ForCausalLM\"],"
                                   "\"model_type\":\"bailing_moe\"," COMMON "}";
static const char llama_text[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":192,"
    "\"num_hidden_layers\":7,\"num_attention_heads\":6,\"intermediate_size\":320,"
    "\"vocab_size\":512,\"max_position_embeddings\":2048,\"rms_norm_eps\":1e-06,"
    "\"hidden_act\":\"silu\"}";
static const char qwen3_text[] =
    "{\"architectures\":[\"Qwen3ForCausalLM\"],\"model_type\":\"qwen3\",\"hidden_size\":192,"
    "\"num_hidden_layers\":3,\"num_attention_heads\":6,\"num_key_value_heads\":2,\"head_dim\":16,"
    "\"intermediate_size\":320,\"vocab_size\":512,\"max_position_embeddings\":2048,"
    "\"rms_norm_eps\":1e-06,\"hidden_act\":\"silu\",\"rope_theta\":1000000,"
    "\"tie_word_embeddings\":false}";

static char notes[2048];
static int note_count;

static inline void gather(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(notes, sizeof notes, "%s", text);
    note_count++;
}

static const monitor listener = {.note = gather};

/* `base` with the keys of `patch`; "-" removes a key. */
static inline char *patched(const char *base, const char *patch)
{
    json_t *json = NULL;
    json_t *changes = NULL;
    const char *key = NULL;
    json_t *value = NULL;
    err e = {0};
    expect_ok(json_parse("base", base, strlen(base), JSON_PYTHON, &json, &e), &e);
    expect_ok(json_parse("patch", patch, strlen(patch), JSON_PYTHON, &changes, &e), &e);
    json_object_foreach(changes, key, value)
    {
        const char *const text = json_string_value(value);
        if (text && strcmp(text, "-") == 0) {
            ck_assert_int_eq(json_object_del(json, key), 0);
        } else {
            ck_assert_int_eq(json_object_set(json, key, value), 0);
        }
    }
    char *const out = json_dumps(json, 0);
    json_decref(json);
    json_decref(changes);
    return out;
}

static inline err_code parse(const char *base, const char *patch, model_config *c, err *e)
{
    char *const text = patched(base, patch);
    note_count = 0;
    notes[0] = '\0';
    const err_code code =
        model_config_parse("config.json", text, strlen(text), model_archs, &listener, c, e);
    free(text);
    return code;
}

static inline model_config good(const char *base, const char *patch)
{
    model_config c;
    err e = {0};
    expect_ok(parse(base, patch, &c, &e), &e);
    return c;
}

static inline model_config silent(const char *base, const char *patch)
{
    const model_config c = good(base, patch);
    ck_assert_msg(note_count == 0, "%s", notes);
    return c;
}

typedef struct bad_config {
    const char *patch, *text;
} bad_config;

/* The message is `text` after the name of the file, or ends with `text`. */
static inline void expect_bad(const char *base, const bad_config *b)
{
    model_config c;
    err e = {0};
    ck_assert_int_eq(parse(base, b->patch, &c, &e), ERR_INPUT);
    ck_assert_int_eq(e.code, ERR_INPUT);
    ck_assert_int_eq(strncmp(e.text, CONFIG, strlen(CONFIG)), 0);
    const size_t length = strlen(e.text);
    ck_assert_msg(strlen(b->text) < length &&
                      strcmp(e.text + length - strlen(b->text), b->text) == 0,
                  "expected '%s', found '%s'", b->text, e.text);
    ck_assert_int_eq(note_count, 0);
}

#endif
