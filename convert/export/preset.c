#include "convert/export/preset.h"

#include <stdio.h>
#include <string.h>

#include "format/tensor/tensor_name.h"

const preset preset_table[PRESET_COUNT] = {
    [PRESET_HF] = {.reader = "transformers",
                   .loader = "transformers",
                   .release = "transformers 5.24",
                   .config = CONFIG_FP8,
                   .ignore_key = "modules_to_not_convert",
                   .scale_suffix = "_scale_inv",
                   .scale_type = DTYPE_F32,
                   .spelling = SPELL_NAMES,
                   .loads_stacked = true,
                   .lists_head = true,
                   .prefix_match = true,
                   .fuses_gate_up = true,
                   .dequantizes_wrongly = true,
                   .runs_own_code = true,
                   .ignores_mtp = true},
    [PRESET_VLLM] = {.reader = "vLLM",
                     .loader = "vLLM",
                     .release = "vLLM 0.33",
                     .config = CONFIG_FP8,
                     .ignore_key = "ignored_layers",
                     .scale_suffix = "_scale_inv",
                     .scale_type = DTYPE_F32,
                     .spelling = SPELL_NAMES,
                     .merges = true,
                     .rounds_scales = true,
                     .copies_kv = true},
    [PRESET_SGLANG] = {.reader = "SGLang",
                       .loader = "SGLang",
                       .release = "SGLang 0.5.23",
                       .config = CONFIG_FP8,
                       .ignore_key = "ignored_layers",
                       .scale_suffix = "_scale_inv",
                       .scale_type = DTYPE_F32,
                       .spelling = SPELL_SGLANG | SPELL_FUSED,
                       .merges = true,
                       .rounds_scales = true,
                       .copies_kv = true,
                       .experts_in_tp = true},
    [PRESET_ANT_SGLANG] = {.reader = "Ant's SGLang 0.5.2",
                           .release = "Ant's SGLang 0.5.2",
                           .config = CONFIG_FP8,
                           .ignore_key = "ignored_layers",
                           .scale_suffix = "_scale_inv",
                           .scale_type = DTYPE_F32,
                           .never_fp8 = "*.shared_experts.*",
                           .not_listed = "*.shared_experts.*",
                           .spelling = SPELL_ANT | SPELL_FUSED,
                           .merges = true,
                           .needs_experts = true,
                           .copies_kv = true,
                           .experts_in_tp = true},
    [PRESET_AREAL] = {.reader = "AReaL",
                      .config = CONFIG_FP8,
                      .ignore_key = "ignored_layers",
                      .scale_suffix = "_scale_inv",
                      .scale_type = DTYPE_F32,
                      .never_fp8 = "*.g_proj.*",
                      .spelling = SPELL_NAMES | SPELL_SGLANG | SPELL_ANT | SPELL_FUSED,
                      .merges = true,
                      .copies_kv = true,
                      .experts_in_tp = true},
    [PRESET_COMPRESSED] = {.reader = "compressed-tensors",
                           .loader = "vLLM",
                           .release = "vLLM 0.33",
                           .config = CONFIG_COMPRESSED,
                           .ignore_key = "ignore",
                           .scale_suffix = "_scale",
                           .scale_type = DTYPE_BF16,
                           .spelling = SPELL_NAMES,
                           .merges = true,
                           .lists_head = true,
                           .lists_experts = true,
                           .copies_kv = true},
    [PRESET_BF16] = {.reader = "any runtime",
                     .config = CONFIG_NONE,
                     .copies_kv = true,
                     .experts_in_tp = true},
};

const char *preset_name(const preset *p)
{
    static const char *const words[] = {
#define X(name, word) word,
        PRESET_LIST(X)
#undef X
    };
    return words[p - preset_table];
}

const char *const preset_never_fp8[] = {"lm_head.*",
                                        "*.lm_head.*",
                                        "*embed*",
                                        "*norm*",
                                        "*.mlp.gate.weight",
                                        "*.block_sparse_moe.gate.weight",
                                        "*.shared_expert_gate.weight",
                                        "*.shared_head.head.*",
                                        "*.eh_proj.weight",
                                        NULL};

typedef struct pair {
    const char *from, *to;
} pair;

static const pair merged[] = {
    {"gate_proj", "gate_up_proj"},
    {"up_proj", "gate_up_proj"},
    {"q_proj", "qkv_proj"},
    {"k_proj", "qkv_proj"},
    {"v_proj", "qkv_proj"},
    {"q_a_proj", "fused_qkv_a_proj_with_mqa"},
    {"kv_a_proj_with_mqa", "fused_qkv_a_proj_with_mqa"},
};

/* The names of Ring-linear's modules in SGLang. */
static const pair of_any_layer[] = {
    {"attention.query_key_value", "attention.qkv_proj"},
    {"attention.g_proj", "attention.output_gate"},
};
static const pair of_linear_layers[] = {{"attention.dense", "attention.out_proj"}};
static const pair of_softmax_layers[] = {{"attention.dense", "attention.o_proj"}};

/* Where `end` begins if `name` ends with it and it consists of whole components; else NULL. */
static const char *ends_in(const char *name, const char *end)
{
    const size_t have = strlen(name);
    const size_t need = strlen(end);
    if (have < need || strcmp(name + have - need, end) != 0) {
        return NULL;
    }
    return have == need || name[have - need - 1] == '.' ? name + have - need : NULL;
}

const char *preset_merged(const char *module)
{
    for (size_t i = 0; i < sizeof merged / sizeof merged[0]; i++) {
        if (ends_in(module, merged[i].from)) {
            return merged[i].to;
        }
    }
    return NULL;
}

bool preset_is_gate_or_up(const char *module)
{
    static const char *const names[] = {"gate_proj", "up_proj", "w1", "w3"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (ends_in(module, names[i])) {
            return true;
        }
    }
    return false;
}

typedef struct spelled {
    char name[NAME_MAX_BYTES + 1];
} spelled;

/* False: the name is too long. */
static bool put(spelled *s, const char *begin, size_t length, const char *end)
{
    const int n = snprintf(s->name, sizeof s->name, "%.*s%s", (int)length, begin, end);
    return n >= 0 && (size_t)n < sizeof s->name;
}

static bool rename_by(const pair *pairs, size_t count, spelled *s)
{
    for (size_t i = 0; i < count; i++) {
        const char *const at = ends_in(s->name, pairs[i].from);
        if (at) {
            const spelled before = *s;
            return put(s, before.name, (size_t)(at - s->name), pairs[i].to);
        }
    }
    return true;
}

static bool spell_sglang(const preset_place *place, spelled *s)
{
    const pair *const by_kind = place->linear ? of_linear_layers : of_softmax_layers;
    return !place->ring_linear ||
           (rename_by(of_any_layer, sizeof of_any_layer / sizeof of_any_layer[0], s) &&
            rename_by(by_kind, 1, s));
}

static void drop_mlp(const preset_place *place, spelled *s)
{
    static const char component[] = ".mlp.";
    char *const at = place->ring_linear ? strstr(s->name, component) : NULL;
    if (at) {
        const char *const rest = at + sizeof component - 2; /* its last '.' stays */
        memmove(at, rest, strlen(rest) + 1);
    }
}

static bool emit_merged(const spelled *s, preset_emit emit, void *ctx)
{
    spelled whole;
    const char *const name = preset_merged(s->name);
    const char *const last = strrchr(s->name, '.');
    const size_t before = last ? (size_t)(last - s->name) + 1 : 0;
    return !name || (put(&whole, s->name, before, name) && emit(ctx, whole.name));
}

bool preset_spell(const preset *p, const preset_place *place, const char *module, preset_emit emit,
                  void *ctx)
{
    static const unsigned ways[] = {SPELL_NAMES, SPELL_SGLANG, SPELL_ANT};
    bool good = true;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && good; i++) {
        spelled s;
        if (!(p->spelling & ways[i])) {
            continue;
        }
        good = put(&s, module, strlen(module), "");
        if (good && ways[i] != SPELL_NAMES) {
            good = spell_sglang(place, &s);
        }
        if (good && ways[i] == SPELL_ANT) {
            drop_mlp(place, &s);
        }
        good = good && emit(ctx, s.name);
        if (good && p->spelling & SPELL_FUSED) {
            good = emit_merged(&s, emit, ctx);
        }
    }
    return good;
}
