/* The names that runtimes have for the modules of a checkpoint (spec/export.md section 5). */
#include <stdio.h>
#include <string.h>

#include "convert/export/preset.h"
#include "format/base/glob.h"
#include "format/tensor/tensor_name.h"

enum {
    VLLM = RUNTIME_VLLM | RUNTIME_COMPRESSED,
    SGLANG = RUNTIME_SGLANG,
};

typedef enum layers { EVERY_LAYER, WITH_DELTA } layers;

/* A name, or a part of one, that is another in some models of some runtimes. */
typedef struct renaming {
    unsigned runtimes;
    const char *architecture; /* glob; NULL: any */
    layers layers;
    const char *from, *to;
} renaming;

/* Matrices that become one: packed_modules_mapping of the models of vLLM 0.33.0 and SGLang 0.5.23,
 * and, for SGLang's bailing_moe_v3.py, fused_qkvbfg_proj. */
static const renaming merged[] = {
    {VLLM | SGLANG, NULL, EVERY_LAYER, "gate_proj", "gate_up_proj"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "up_proj", "gate_up_proj"},
    {SGLANG, "BailingMoeV3*", WITH_DELTA, "q_proj", "fused_qkvbfg_proj"},
    {SGLANG, "BailingMoeV3*", WITH_DELTA, "k_proj", "fused_qkvbfg_proj"},
    {SGLANG, "BailingMoeV3*", WITH_DELTA, "v_proj", "fused_qkvbfg_proj"},
    {SGLANG, "BailingMoeV3*", WITH_DELTA, "f_proj", "fused_qkvbfg_proj"},
    {SGLANG, "BailingMoeV3*", WITH_DELTA, "g_proj", "fused_qkvbfg_proj"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "q_proj", "qkv_proj"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "k_proj", "qkv_proj"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "v_proj", "qkv_proj"},
    {VLLM, NULL, EVERY_LAYER, "q_a_proj", "fused_qkv_a_proj"},
    {VLLM, NULL, EVERY_LAYER, "kv_a_proj_with_mqa", "fused_qkv_a_proj"},
    {SGLANG, NULL, EVERY_LAYER, "q_a_proj", "fused_qkv_a_proj_with_mqa"},
    {SGLANG, NULL, EVERY_LAYER, "kv_a_proj_with_mqa", "fused_qkv_a_proj_with_mqa"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "in_proj_qkv", "in_proj_qkvz"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "in_proj_z", "in_proj_qkvz"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "in_proj_b", "in_proj_ba"},
    {VLLM | SGLANG, NULL, EVERY_LAYER, "in_proj_a", "in_proj_ba"},
};

/* What SGLang calls a matrix that is stored merged when it looks it up in the list: the names of its
 * parts, never its own (srt/layers/quantization/utils.py, is_layer_skipped). */
static const struct {
    const char *stored, *parts[3];
} stored_merged[] = {
    {"qkv_proj", {"q_proj", "k_proj", "v_proj"}},
    {"attn.qkv", {"attn.q_proj", "attn.k_proj", "attn.v_proj"}},
    {"gate_up_proj", {"gate_proj", "up_proj"}},
};

/* Modules that are elsewhere in SGLang 0.5.23: models/step3p5.py, bailing_moe_v3.py, kimi_k25.py,
 * internvl.py, glm4v.py, qwen3_omni_moe.py, and layers/attention/vision.py for the towers of Gemma 3
 * and others. In vLLM and transformers, the list passes the same renamings as the tensors. */
static const renaming moved[] = {
    {SGLANG, "Step3p5*", EVERY_LAYER, ".moe.experts", ".mlp.experts"},
    {SGLANG, "BailingMoeV3*", EVERY_LAYER, ".attention.dense", ".attention.o_proj"},
    {SGLANG, "BailingMoeV3*", WITH_DELTA, ".attention.", ".self_attn."},
    {SGLANG, "BailingMoeV3*", EVERY_LAYER, ".mlp.", "."},
    {SGLANG, "KimiK25*", EVERY_LAYER, "language_model.model.", "model."},
    {SGLANG, "InternVL*", EVERY_LAYER, "language_model.model.", "model."},
    {SGLANG, "Glm4vForConditional*", EVERY_LAYER, "model.language_model.", "model."},
    {SGLANG, "Qwen3Omni*", EVERY_LAYER, "thinker.model.", "model.language_model."},
    {SGLANG, "Qwen3Omni*", EVERY_LAYER, "thinker.visual.", "visual."},
    {SGLANG, NULL, EVERY_LAYER, ".self_attn.out_proj", ".self_attn.proj"},
};

/* The names of Ring-linear's modules in SGLang. */
typedef struct pair {
    const char *from, *to;
} pair;

static const pair of_any_layer[] = {
    {"attention.query_key_value", "attention.qkv_proj"},
    {"attention.g_proj", "attention.output_gate"},
};
static const pair of_linear_layers[] = {{"attention.dense", "attention.out_proj"}};
static const pair of_softmax_layers[] = {{"attention.dense", "attention.o_proj"}};

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static bool applies(const renaming *r, const preset *p, const preset_place *place)
{
    const char *const architecture = place->architecture ? place->architecture : "";
    return (r->runtimes & p->runtimes) && (r->layers == EVERY_LAYER || place->delta) &&
           (!r->architecture || glob_match(r->architecture, architecture));
}

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

const char *preset_merged(const preset *p, const preset_place *place, const char *module)
{
    for (size_t i = 0; i < COUNT_OF(merged) && p->merges; i++) {
        if (ends_in(module, merged[i].from) && applies(&merged[i], p, place)) {
            return merged[i].to;
        }
    }
    return NULL;
}

/* vLLM's bailing_moe_v3.py sets another mode, because released lists have short names. */
preset_match preset_match_of(const preset *p, const char *architecture)
{
    const bool tail = (p->runtimes & RUNTIME_VLLM) && p->match == MATCH_WHOLE &&
                      glob_match("BailingMoeV3*", architecture);
    return tail ? MATCH_TAIL : p->match;
}

bool preset_is_gate_or_up(const char *module)
{
    static const char *const names[] = {"gate_proj", "up_proj", "w1", "w3"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
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
           (rename_by(of_any_layer, COUNT_OF(of_any_layer), s) && rename_by(by_kind, 1, s));
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

/* Experts are looked up as a whole, or one by one, but never by what their matrices become. */
static bool emit_merged(const preset *p, const preset_place *place, const spelled *s,
                        preset_emit emit, void *ctx)
{
    size_t start = 0;
    size_t length = 0;
    bool good = true;
    if (!(p->spelling & SPELL_FUSED) || name_expert_slot(s->name, &start, &length)) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(merged) && good; i++) {
        spelled whole = {""};
        const char *const at = ends_in(s->name, merged[i].from);
        if (at && applies(&merged[i], p, place)) {
            good =
                put(&whole, s->name, (size_t)(at - s->name), merged[i].to) && emit(ctx, whole.name);
        }
    }
    return good;
}

bool preset_parts(const preset *p, const char *module, preset_emit emit, void *ctx)
{
    bool good = true;
    for (size_t i = 0; i < COUNT_OF(stored_merged) && p->spelling & SPELL_PARTS; i++) {
        const char *const at = ends_in(module, stored_merged[i].stored);
        for (size_t k = 0; at && k < 3 && stored_merged[i].parts[k] && good; k++) {
            spelled part = {""};
            good = put(&part, module, (size_t)(at - module), stored_merged[i].parts[k]) &&
                   emit(ctx, part.name);
        }
    }
    return good;
}

static bool move(const preset *p, const preset_place *place, spelled *s)
{
    bool good = true;
    for (size_t i = 0; i < COUNT_OF(moved) && good; i++) {
        const spelled before = *s;
        const char *const at = strstr(before.name, moved[i].from);
        if (at && applies(&moved[i], p, place)) {
            const int n = snprintf(s->name, sizeof s->name, "%.*s%s%s", (int)(at - before.name),
                                   before.name, moved[i].to, at + strlen(moved[i].from));
            good = n >= 0 && (size_t)n < sizeof s->name;
        }
    }
    return good;
}

bool preset_runtime_name(const preset *p, const preset_place *place, const char *module,
                         char out[NAME_MAX_BYTES + 1])
{
    spelled s = {""};
    const bool good = put(&s, module, strlen(module), "") &&
                      (!(p->spelling & SPELL_SGLANG) || spell_sglang(place, &s)) &&
                      move(p, place, &s);
    memcpy(out, s.name, sizeof s.name);
    return good;
}

/* A name, and those that go with it. */
static bool emit_all(const preset *p, const preset_place *place, const spelled *s, preset_emit emit,
                     void *ctx)
{
    return emit(ctx, s->name) && emit_merged(p, place, s, emit, ctx) &&
           preset_parts(p, s->name, emit, ctx);
}

bool preset_spell(const preset *p, const preset_place *place, const char *module, preset_emit emit,
                  void *ctx)
{
    static const unsigned ways[] = {SPELL_NAMES, SPELL_SGLANG, SPELL_ANT};
    bool good = true;
    spelled s = {""};
    for (size_t i = 0; i < COUNT_OF(ways) && good; i++) {
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
        good = good && emit_all(p, place, &s, emit, ctx);
    }
    good = good && put(&s, module, strlen(module), "") && move(p, place, &s);
    return good && (strcmp(s.name, module) == 0 || emit_all(p, place, &s, emit, ctx));
}
