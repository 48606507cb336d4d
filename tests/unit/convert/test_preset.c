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

static const struct spelling {
    preset_id preset;
    const preset_place *place;
    const char *module, *expected;
} spellings[] = {
    {PRESET_HF, &linear, "l.1.attention.g_proj", "l.1.attention.g_proj"},
    {PRESET_VLLM, &linear, "l.1.attention.dense", "l.1.attention.dense"},
    {PRESET_COMPRESSED, &other, "l.1.mlp.up_proj", "l.1.mlp.up_proj"},
    {PRESET_SGLANG, &linear, "l.1.attention.query_key_value", "l.1.attention.qkv_proj"},
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
    ck_assert_str_eq(preset_merged("a.gate_proj"), "gate_up_proj");
    ck_assert_str_eq(preset_merged("kv_a_proj_with_mqa"), "fused_qkv_a_proj_with_mqa");
    ck_assert_ptr_null(preset_merged("a.down_proj"));
    ck_assert_ptr_null(preset_merged("a.my_up_proj"));
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
