/* What a runtime would hold, by its own way of matching the list, and what it never reads in FP8:
 * small tables, one rule each. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "convert/fit/fit.h"
#include "tests/aid/expect.h"
#include "tests/aid/random_table.h"

static pack_table table;
static fit found;
static err e;

static void setup(void)
{
    table = table_with_room(64);
    e = (err){0};
}

static void teardown(void)
{
    fit_free(&found);
    pack_table_free(&table);
}

/* Adds "NAME", codes if it begins with '+', else kept; "NAME/3" is a stack of experts. */
static void add(const char *word)
{
    char name[128];
    const bool fp8 = word[0] == '+';
    snprintf(name, sizeof name, "%s", word + fp8);
    char *const slash = strchr(name, '/');
    const unsigned ndim = slash ? 3 : 2;
    const uint64_t shape[] = {4, 256, 128};
    const uint64_t *const of = slash ? shape : shape + 1;
    if (slash) {
        *slash = '\0';
    }
    pack_record *const r = fp8 ? table_add_codes(&table, name, DTYPE_BF16, ndim, of)
                               : table_add(&table, name, DTYPE_BF16, ndim, of);
    if (fp8) { /* powers of two, which every preset accepts */
        r[0].block.scale = r[1].block.scale = SCALES_UE8M0;
    }
}

static void add_all(const char *words)
{
    for (size_t bytes = 0; *words; words += bytes + (words[bytes] == ' ')) {
        char word[128];
        bytes = strcspn(words, " ");
        snprintf(word, sizeof word, "%.*s", (int)bytes, words);
        add(word);
    }
    expect_ok(pack_table_sort(&table, &e), &e);
    expect_ok(pack_table_place(&table, 65536, &e), &e);
}

static void make(preset_id id, const char *architecture)
{
    char config[256];
    snprintf(config, sizeof config, "{\"architectures\": [\"%s\"], \"hidden_size\": 256}",
             architecture);
    const fit_question q = {.table = &table,
                            .config = config,
                            .config_bytes = strlen(config),
                            .preset = &preset_table[id]};
    fit_free(&found);
    expect_ok(fit_make(&q, &found, &e), &e);
}

static const char *text_of(fit_warning_id id)
{
    for (size_t i = 0; i < found.warning_count; i++) {
        if (found.warnings[i].id == id) {
            ck_assert(found.warnings[i].blocks);
            return found.warnings[i].text;
        }
    }
    return "";
}

static bool is_expected(const char *text, const char *expected)
{
    return expected ? strstr(text, expected) != NULL : text[0] == '\0';
}

/* ---- lists ----------------------------------------------------- */

#define DENSE                                                                                      \
    "lm_head.weight model.embed_tokens.weight model.layers.0.norm.weight "                         \
    "+model.layers.0.self_attn.q_proj.weight +model.layers.0.self_attn.k_proj.weight "             \
    "+model.layers.0.self_attn.v_proj.weight model.layers.0.self_attn.o_proj.weight "              \
    "model.layers.1.self_attn.q_proj.weight model.layers.1.self_attn.k_proj.weight "               \
    "model.layers.1.self_attn.v_proj.weight model.embed_vision.embedding_projection.weight "       \
    "+model.layers.0.mlp.gate_proj.weight +model.layers.0.mlp.up_proj.weight "                     \
    "model.layers.1.mlp.gate.weight model.layers.1.mlp.experts.*.up_proj.weight/ "                 \
    "+model.layers.2.mlp.experts.*.up_proj.weight/ +model.layers.2.mlp.experts.*.gate_proj.weight/"

static const struct {
    const char *what, *architecture;
    preset_id preset;
    const char *tensors, *no_scales, *not_quantized;
} held[] = {
    {"dense", "X", PRESET_HF, DENSE, NULL, NULL},
    {"dense", "X", PRESET_VLLM, DENSE, NULL, NULL},
    {"dense", "X", PRESET_SGLANG, DENSE, NULL, NULL},
    {"dense", "X", PRESET_COMPRESSED, DENSE, NULL, NULL},
    /* SGLang finds the components of an entry anywhere in a name. */
    {"a run", "X", PRESET_SGLANG, "model.layers.0.a.weight +mtp.layers.0.a.weight", NULL,
     "1 module in FP8, which SGLang would take for plain numbers, because an entry of the "
     "list matches (--keep avoids that): mtp.layers.*.a (1)"},
    {"a run", "X", PRESET_SGLANG, "model.layers.0.a.weight +mtp.layers.0.ab.weight", NULL, NULL},
    {"a run", "X", PRESET_VLLM, "model.layers.0.a.weight +mtp.layers.0.a.weight", NULL, NULL},
    {"model.", "X", PRESET_SGLANG, "layers.0.a.weight +model.layers.0.a.weight", NULL,
     "model.layers.*.a (1)"},
    {"a parent", "X", PRESET_SGLANG, "x.a.weight +x.a.b.weight", NULL, "x.a.b (1)"},
    /* transformers: the beginning of a name up to a period, or any end. */
    {"a parent", "X", PRESET_HF, "x.a.weight +x.a.b.weight", NULL, "x.a.b (1)"},
    {"a parent", "X", PRESET_VLLM, "x.a.weight +x.a.b.weight", NULL, NULL},
    {"no boundary", "X", PRESET_HF, "x.gate.weight +x.gate_proj.weight", NULL, NULL},
    {"an end", "X", PRESET_HF, "x.a.weight +y.x.a.weight +z.yx.a.weight", NULL,
     "2 modules in FP8, which transformers"},
    {"an end", "X", PRESET_SGLANG, "x.a.weight +z.yx.a.weight", NULL, NULL},
    /* vLLM: whole names, except for experts. */
    {"experts", "X", PRESET_VLLM,
     "a.model.0.experts.*.up_proj.weight/ "
     "+model.0.experts.*.up_proj.weight/",
     NULL, "model.*.experts (1)"},
    {"experts", "X", PRESET_COMPRESSED,
     "a.model.0.experts.*.up_proj.weight/ "
     "+model.0.experts.*.up_proj.weight/",
     NULL, NULL},
    {"experts", "X", PRESET_VLLM,
     "a.model.0.experts.*.up_proj.weight/ +model.0.experts.*.up_proj.weight/ "
     "+model.0.experts.*.gate_proj.weight/ +model.0.experts.*.down_proj.weight/",
     NULL, "1 module in FP8"},
    {"renamed", "GptOssForCausalLM", PRESET_COMPRESSED, "l.0.experts.down_proj/ +l.0.a.weight",
     "l.*.experts.*.down_proj (1)", NULL},
    /* compressed-tensors looks up the first expert. */
    {"first expert", "X", PRESET_COMPRESSED, "l.0.experts.1.up_proj.weight +l.0.a.weight",
     "1 module that compressed-tensors would build in FP8, without scales in the file: "
     "l.*.experts.*.up_proj (1)",
     NULL},
    {"first expert", "X", PRESET_COMPRESSED, "l.0.experts.0.up_proj.weight +l.0.a.weight", NULL,
     NULL},
    {"a stack", "X", PRESET_COMPRESSED, "l.0.experts.gate_up_proj/ +l.0.a.weight", NULL, NULL},
    {"renamed", "GptOssForCausalLM", PRESET_COMPRESSED, "l.0.experts.down_proj/ +l.0.a.weight",
     "l.*.experts.*.down_proj (1)", NULL},
    {"a stack", "X", PRESET_COMPRESSED, "l.0.moe.down_proj.weight/ +l.0.a.weight", NULL, NULL},
    /* Bailing V3 in vLLM: any end of whole components. */
    {"a tail", "BailingMoeV3ForCausalLM", PRESET_VLLM, "x.a.weight +y.x.a.weight", NULL,
     "y.x.a (1)"},
    {"a tail", "BailingMoeV3ForCausalLM", PRESET_VLLM, "x.a.weight +yx.a.weight", NULL, NULL},
    {"a tail", "BailingMoeV2ForCausalLM", PRESET_VLLM, "x.a.weight +y.x.a.weight", NULL, NULL},
    /* What is stored merged, or moved, is found under the names that SGLang looks up. */
    {"merged", "X", PRESET_SGLANG, "l.0.self_attn.qkv_proj.weight +l.0.o_proj.weight", NULL, NULL},
    {"moved", "Step3p5ForCausalLM", PRESET_SGLANG, "l.0.moe.up_proj.weight/ +l.0.o_proj.weight",
     NULL, NULL},
    {"moved", "KimiK25ForConditionalGeneration", PRESET_SGLANG,
     "language_model.model.layers.0.a.weight +language_model.model.layers.1.a.weight", NULL, NULL},
    {"moved", "Gemma3ForConditionalGeneration", PRESET_SGLANG,
     "v.0.self_attn.out_proj.weight +l.0.self_attn.o_proj.weight", NULL, NULL},
    {"no name", "Qwen3OmniMoeForConditionalGeneration", PRESET_SGLANG,
     "thinker.audio_tower.proj1.weight thinker.visual.a.weight +thinker.model.layers.1.a.weight",
     "thinker.audio_tower.proj1 (1)", NULL},
    {"many kinds", "X", PRESET_HF,
     "x.weight +x.a.0.weight +x.a.1.weight +x.b.weight +x.c.weight "
     "+x.d.weight +x.e.weight",
     NULL,
     "6 modules in FP8, which transformers would take for plain numbers, because an entry of "
     "the list matches (--keep avoids that): x.a.* (2), x.b (1), x.c (1), x.d (1), others (1)"},
};

START_TEST(lists_are_matched_as_by_the_runtime)
{
    add_all(held[_i].tensors);
    make(held[_i].preset, held[_i].architecture);
    const char *const no_scales = text_of(WARN_NO_SCALES);
    const char *const not_quantized = text_of(WARN_NOT_QUANTIZED);
    ck_assert_msg(is_expected(no_scales, held[_i].no_scales), "%s, %s: %s", held[_i].what,
                  preset_name(found.preset), no_scales);
    ck_assert_msg(is_expected(not_quantized, held[_i].not_quantized), "%s, %s: %s", held[_i].what,
                  preset_name(found.preset), not_quantized);
    ck_assert_str_eq(text_of(WARN_EXPORT_REFUSED), "");
}
END_TEST

/* ---- what is never read in FP8 --------------------------------- */

static const struct {
    preset_id preset;
    const char *architecture, *tensors, *refused; /* NULL: it is read */
} plain[] = {
    {PRESET_VLLM, "X", "+model.layers.2.shared_head.head.weight", "dtype of the source"},
    {PRESET_SGLANG, "X", "+a.lm_head.weight", "dtype of the source"},
    {PRESET_VLLM, "X", "+l.0.moe.gate.weight", "dtype of the source"},
    {PRESET_VLLM, "X", "+l.0.mixer.gate.weight", "dtype of the source"},
    {PRESET_HF, "X", "+l.0.feed_forward.gate.weight", "dtype of the source"},
    {PRESET_SGLANG, "X", "+l.0.mlp.gate.wg.weight", "dtype of the source"},
    {PRESET_HF, "X", "+l.0.mlp.gate.wg.weight", NULL}, /* an nn.Linear there */
    {PRESET_HF, "X", "+l.0.indexer.weights_proj.weight", "dtype of the source"},
    {PRESET_SGLANG, "X", "+mtp.fc.weight", "dtype of the source"},
    {PRESET_VLLM, "X", "+mtp.fc.weight", NULL},
    {PRESET_VLLM, "Llama4ForCausalLM", "+l.0.self_attn.k_proj.weight +l.0.self_attn.v_proj.weight",
     "--keep '*.self_attn.[qkv]_proj.weight'"},
    {PRESET_COMPRESSED, "Llama4ForCausalLM", "+l.0.self_attn.q_proj.weight", "rows of q and k"},
    {PRESET_HF, "Llama4ForCausalLM", "+l.0.self_attn.q_proj.weight", NULL},
    {PRESET_VLLM, "LlamaForCausalLM", "+l.0.self_attn.q_proj.weight", NULL},
    {PRESET_VLLM, "KimiLinearForCausalLM",
     "+l.0.self_attn.q_proj.weight l.0.self_attn.b_proj.weight", "merged with b_proj"},
    {PRESET_SGLANG, "KimiLinearForCausalLM",
     "+l.0.self_attn.q_proj.weight l.0.self_attn.b_proj.weight", NULL},
    {PRESET_VLLM, "KimiLinearForCausalLM", "+l.0.self_attn.q_proj.weight", NULL},
    {PRESET_SGLANG, "KimiLinearForCausalLM", "+l.0.self_attn.kv_b_proj.weight", "split without"},
    {PRESET_COMPRESSED, "BailingMoeV3ForCausalLM",
     "+l.0.attention.q_proj.weight l.0.attention.b_proj.weight", "merged with b_proj"},
    {PRESET_VLLM, "BailingMoeV3ForCausalLM",
     "+l.0.attention.q_proj.weight l.0.attention.b_proj.weight", NULL},
    {PRESET_SGLANG, "Step3p5ForCausalLM", "+l.0.self_attn.g_proj.weight", "dtype of the source"},
    {PRESET_VLLM, "Step3p5ForCausalLM", "+l.0.self_attn.g_proj.weight", NULL},
    {PRESET_SGLANG, "BailingMoeV3ForCausalLM", "+l.0.attention.g_proj.weight", NULL},
    {PRESET_SGLANG, "BailingMoeV3ForCausalLM",
     "+l.0.attention.g_proj.weight l.0.attention.kv_b_proj.weight", "dtype of the source"},
    {PRESET_COMPRESSED, "BailingMoeV3ForCausalLM",
     "+l.0.attention.q_proj.weight l.0.attention.b_proj.weight", "merged with b_proj"},
    {PRESET_VLLM, "BailingMoeV3ForCausalLM",
     "+l.0.attention.q_proj.weight l.0.attention.b_proj.weight", NULL},
    {PRESET_VLLM, "Mamba2ForCausalLM", "+l.0.mixer.in_proj.weight", NULL},
    {PRESET_SGLANG, "DeepseekVLV2ForCausalLM", "+language.model.layers.0.a.weight", "source"},
    {PRESET_SGLANG, "Qwen3VLForConditionalGeneration", "+visual.b.0.attn.qkv.weight", "tower"},
    {PRESET_VLLM, "Qwen3VLForConditionalGeneration", "+visual.b.0.attn.qkv.weight", NULL},
    /* stacks of experts: 256 rows, 128 columns; hidden_size is 256 */
    {PRESET_HF, "X", "+l.0.experts.down_proj/", NULL},
    {PRESET_HF, "X", "+l.0.experts.gate_up_proj/", "with inputs first"},
    {PRESET_HF, "X", "+l.0.experts.down_proj/ l.0.experts.down_proj_bias", "biases"},
    {PRESET_HF, "GptOssForCausalLM", "+l.0.experts.down_proj/", "biases"},
    {PRESET_HF, "Llama4ForCausalLM", "+l.0.feed_forward.experts.down_proj/", "inputs first"},
    {PRESET_VLLM, "X", "+l.0.experts.down_proj/", "--keep '*.experts.*'"},
    {PRESET_VLLM, "Qwen3_5MoeForCausalLM", "+l.0.experts.down_proj/", NULL},
    {PRESET_SGLANG, "Qwen3_5MoeForCausalLM", "+l.0.experts.down_proj/", NULL},
    {PRESET_VLLM, "Qwen3MoeForCausalLM", "+l.0.experts.down_proj/", NULL},
    {PRESET_SGLANG, "Qwen3MoeForCausalLM", "+l.0.experts.down_proj/", "three dimensions"},
    {PRESET_COMPRESSED, "Qwen3MoeForCausalLM", "+l.0.experts.down_proj/", "three dimensions"},
    {PRESET_AREAL, "Qwen3MoeForCausalLM", "+l.0.experts.down_proj/", "three dimensions"},
    {PRESET_AREAL, "Qwen3_5MoeForCausalLM", "+l.0.experts.down_proj/", NULL},
    {PRESET_VLLM, "Step3p5ForCausalLM", "+l.0.moe.down_proj.weight/", NULL},
    {PRESET_SGLANG, "Step3p5ForCausalLM", "+l.0.moe.down_proj.weight/", NULL},
    {PRESET_VLLM, "X", "+l.0.moe.down_proj.weight/", "three dimensions"},
    {PRESET_HF, "Step3p5ForCausalLM", "+l.0.moe.down_proj.weight/", "three dimensions"},
    {PRESET_HF, "GraniteMoeForCausalLM", "+l.0.block_sparse_moe.output_linear.weight/", NULL},
    {PRESET_VLLM, "JambaForCausalLM", "+l.0.mamba.in_proj.weight", "--keep '*.mamba.*'"},
    {PRESET_VLLM, "GraniteMoeForCausalLM", "+l.0.block_sparse_moe.input_linear.weight/",
     "three dimensions"},
};

START_TEST(some_modules_are_never_fp8)
{
    add_all(plain[_i].tensors);
    make(plain[_i].preset, plain[_i].architecture);
    const char *const text = text_of(WARN_EXPORT_REFUSED);
    ck_assert_msg(is_expected(text, plain[_i].refused), "%s, %s: '%s'", plain[_i].architecture,
                  plain[_i].tensors, text);
    /* Either way the list that would be written is one that the runtime reads as it is meant. */
    ck_assert_str_eq(text_of(WARN_NO_SCALES), "");
    ck_assert_str_eq(text_of(WARN_NOT_QUANTIZED), "");
}
END_TEST

/* transformers replaces every module called `experts`, also in models that it does not know. */
START_TEST(experts_of_own_code)
{
    static const char config[] = "{\"model_type\": \"x\", \"auto_map\": {}, \"num_experts\": 4}";
    fit_question q = {.table = &table, .config = config, .config_bytes = strlen(config)};
    add_all("+l.0.experts.*.up_proj.weight/ +l.0.up_proj.weight l.1.experts.*.up_proj.weight/");
    q.preset = &preset_table[PRESET_HF];
    expect_ok(fit_make(&q, &found, &e), &e);
    ck_assert_ptr_nonnull(strstr(text_of(WARN_OWN_EXPERTS), "1 module in FP8, which transformers"));
    ck_assert_str_eq(text_of(WARN_NOT_QUANTIZED), "");
    fit_free(&found);
    q.preset = &preset_table[PRESET_VLLM];
    expect_ok(fit_make(&q, &found, &e), &e);
    ck_assert_str_eq(text_of(WARN_OWN_EXPERTS), "");
    fit_free(&found);
    q.preset = &preset_table[PRESET_HF];
    q.config = "{\"model_type\": \"llama\", \"auto_map\": {}}";
    q.config_bytes = strlen(q.config);
    expect_ok(fit_make(&q, &found, &e), &e);
    ck_assert_str_eq(text_of(WARN_OWN_EXPERTS), "");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fit_hold");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, lists_are_matched_as_by_the_runtime, 0, COUNT(held));
    tcase_add_loop_test(tc, some_modules_are_never_fp8, 0, COUNT(plain));
    tcase_add_test(tc, experts_of_own_code);
    return run_tests("fit_hold", tc);
}
