/* The table of presets, and the names that each uses for a module. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "bin/cli/options.h"
#include "convert/export/preset.h"
#include "tests/aid/expect.h"

/* The words of --for are the names of the presets, in this order. */
START_TEST(words_are_presets)
{
    char words[256] = "";
    for (int i = 0; i < PRESET_COUNT; i++) {
        const size_t used = strlen(words);
        snprintf(words + used, sizeof words - used, "%s%s", i ? "|" : "",
                 preset_name(&preset_table[i]));
        ck_assert_ptr_nonnull(preset_table[i].reader);
        ck_assert((preset_table[i].config == CONFIG_NONE) == (preset_table[i].ignore_key == NULL));
    }
    bool found = false;
    for (size_t i = 0; i < option_count; i++) {
        if (option_table[i].id == OPTION_FOR) {
            found = true;
            ck_assert_str_eq(option_table[i].words, words);
        }
    }
    ck_assert(found);
}
END_TEST

static bool append(void *ctx, const char *spelled)
{
    char *const text = ctx;
    const size_t used = strlen(text);
    snprintf(text + used, 1024 - used, "%s%s", used ? " " : "", spelled);
    return true;
}

static const preset_place linear = {.ring_linear = true, .linear = true};
static const preset_place softmax = {.ring_linear = true};
static const preset_place other = {.linear = true};
static const preset_place step = {.architecture = "Step3p5ForCausalLM"};
static const preset_place delta = {.architecture = "BailingMoeV3ForCausalLM", .delta = true};
static const preset_place latent = {.architecture = "BailingMoeV3ForCausalLM"};

static const struct spelling {
    preset_id preset;
    const preset_place *place;
    const char *module, *expected;
} spellings[] = {
    {PRESET_HF, &linear, "l.1.attention.g_proj", "l.1.attention.g_proj"},
    {PRESET_VLLM, &linear, "l.1.attention.dense", "l.1.attention.dense"},
    {PRESET_COMPRESSED, &other, "l.1.mlp.up_proj", "l.1.mlp.up_proj l.1.mlp.gate_up_proj"},
    {PRESET_COMPRESSED, &other, "l.1.mlp.experts.0.up_proj", "l.1.mlp.experts.0.up_proj"},
    {PRESET_SGLANG, &linear, "l.1.attention.query_key_value",
     "l.1.attention.qkv_proj l.1.attention.q_proj l.1.attention.k_proj l.1.attention.v_proj"},
    /* merged by the runtime, or stored so */
    {PRESET_VLLM, &other, "l.1.self_attn.q_a_proj",
     "l.1.self_attn.q_a_proj l.1.self_attn.fused_qkv_a_proj"},
    {PRESET_SGLANG, &other, "l.1.self_attn.q_a_proj",
     "l.1.self_attn.q_a_proj l.1.self_attn.fused_qkv_a_proj_with_mqa"},
    {PRESET_VLLM, &other, "l.1.linear_attn.in_proj_a",
     "l.1.linear_attn.in_proj_a l.1.linear_attn.in_proj_ba"},
    {PRESET_SGLANG, &other, "l.1.mlp.gate_up_proj",
     "l.1.mlp.gate_up_proj l.1.mlp.gate_proj l.1.mlp.up_proj"},
    {PRESET_VLLM, &other, "l.1.mlp.gate_up_proj", "l.1.mlp.gate_up_proj"},
    {PRESET_SGLANG, &other, "visual.0.attn.qkv",
     "visual.0.attn.qkv visual.0.attn.q_proj visual.0.attn.k_proj visual.0.attn.v_proj"},
    /* modules that are elsewhere in one runtime */
    {PRESET_SGLANG, &step, "l.1.moe.experts", "l.1.moe.experts l.1.mlp.experts"},
    {PRESET_VLLM, &step, "l.1.moe.experts", "l.1.moe.experts"},
    {PRESET_SGLANG, &delta, "l.1.attention.o_proj", "l.1.attention.o_proj l.1.self_attn.o_proj"},
    {PRESET_SGLANG, &delta, "l.1.attention.f_proj",
     "l.1.attention.f_proj l.1.attention.fused_qkvbfg_proj l.1.self_attn.f_proj "
     "l.1.self_attn.fused_qkvbfg_proj"},
    {PRESET_SGLANG, &delta, "l.1.attention.dense", "l.1.attention.dense l.1.self_attn.o_proj"},
    {PRESET_SGLANG, &latent, "l.1.attention.dense", "l.1.attention.dense l.1.attention.o_proj"},
    {PRESET_SGLANG, &latent, "l.1.mlp.experts", "l.1.mlp.experts l.1.experts"},
    {PRESET_SGLANG, &linear, "l.1.attention.g_proj", "l.1.attention.output_gate"},
    {PRESET_SGLANG, &linear, "l.1.attention.dense", "l.1.attention.out_proj"},
    {PRESET_SGLANG, &softmax, "l.1.attention.dense", "l.1.attention.o_proj"},
    {PRESET_SGLANG, &other, "l.1.attention.dense", "l.1.attention.dense"},
    {PRESET_SGLANG, &linear, "l.1.mlp.up_proj", "l.1.mlp.up_proj l.1.mlp.gate_up_proj"},
    {PRESET_SGLANG, &other, "l.1.self_attn.k_proj", "l.1.self_attn.k_proj l.1.self_attn.qkv_proj"},
    {PRESET_ANT_SGLANG, &linear, "l.1.mlp.down_proj", "l.1.down_proj"},
    {PRESET_ANT_SGLANG, &linear, "l.1.mlp.gate_proj", "l.1.gate_proj l.1.gate_up_proj"},
    {PRESET_ANT_SGLANG, &other, "l.1.mlp.experts", "l.1.mlp.experts"},
    {PRESET_ANT_SGLANG, &softmax, "l.1.attention.dense", "l.1.attention.o_proj"},
    {PRESET_AREAL, &linear, "l.1.attention.g_proj",
     "l.1.attention.g_proj l.1.attention.output_gate l.1.attention.output_gate"},
    {PRESET_AREAL, &linear, "l.1.mlp.experts", "l.1.mlp.experts l.1.mlp.experts l.1.experts"},
    {PRESET_HF, &linear, "no_attention.dense", "no_attention.dense"},
    {PRESET_SGLANG, &linear, "no_attention.dense", "no_attention.dense"},
    {PRESET_SGLANG, &linear, "attention.dense", "attention.out_proj"},
    {PRESET_SGLANG, &linear, "up_proj", "up_proj gate_up_proj"},
};

START_TEST(modules_are_spelled)
{
    for (int i = 0; i < COUNT(spellings); i++) {
        const struct spelling *const s = &spellings[i];
        char found[1024] = "";
        ck_assert(preset_spell(&preset_table[s->preset], s->place, s->module, append, found));
        ck_assert_str_eq(found, s->expected);
    }
}
END_TEST

static bool refuse(void *ctx, const char *spelled)
{
    (void)spelled;
    ++*(int *)ctx;
    return false;
}

START_TEST(names_have_limits)
{
    char longest[256];
    char found[1024] = "";
    int calls = 0;
    memset(longest, 'x', sizeof longest);
    memcpy(longest + 247, ".up_proj", 9);
    ck_assert(preset_spell(&preset_table[PRESET_HF], &other, longest, append, found));
    ck_assert(!preset_spell(&preset_table[PRESET_SGLANG], &other, longest, append, found));
    ck_assert(!preset_spell(&preset_table[PRESET_AREAL], &other, "a", refuse, &calls));
    ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(merged_modules)
{
    ck_assert_str_eq(preset_merged(&preset_table[PRESET_VLLM], &other, "a.gate_proj"),
                     "gate_up_proj");
    ck_assert_str_eq(preset_merged(&preset_table[PRESET_SGLANG], &other, "kv_a_proj_with_mqa"),
                     "fused_qkv_a_proj_with_mqa");
    ck_assert_ptr_null(preset_merged(&preset_table[PRESET_VLLM], &other, "a.down_proj"));
    ck_assert_ptr_null(preset_merged(&preset_table[PRESET_VLLM], &other, "a.my_up_proj"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("preset");
    tcase_add_test(tc, words_are_presets);
    tcase_add_test(tc, modules_are_spelled);
    tcase_add_test(tc, names_have_limits);
    tcase_add_test(tc, merged_modules);
    return run_tests("preset", tc);
}
