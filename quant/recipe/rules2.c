/* Set 2 of the built-in rules: modules are judged by their kind, towers stay whole, and the
 * reason for keeping a tensor says what it is. */
#include <string.h>

#include "format/tensor/tensor_name.h"
#include "quant/recipe/built_in.h"
#include "quant/recipe/module_kinds.h"

/* Parts of a model that are not its language model. No released block FP8 checkpoint quantizes
 * them, and runtimes build them wide or expect them listed as unquantized; half of one would
 * help nobody. From the modules that vLLM 0.33.0 (vllm/model_executor/models), SGLang 0.5.23 and
 * transformers 5.24.0 create beside a language model. */
static const char towers[] =
    /* vision */
    "visual vision vision_tower vision_tower_high vision_model vision_encoder vision_backbone "
    "vision_embed_tokens vision_embedder vision_tokenizer visual_tokenizer visual_model vit "
    "vit_model vit_merger vit_large_projector vit_downsampler1 vit_downsampler2 sam_model "
    "image_encoder image_newline view_seperator gen_vision_model embed_vision embed_tokens_extend "
    "vpm mlp_AR "
    /* audio */
    "audio audio_tower audio_model audio_encoder audio_tokenizer audio_embed speech_encoder "
    "whisper_encoder mm_whisper_embeddings sound_tower sound_encoder embed_audio apm code2wav "
    "token2wav "
    /* from these to the language model */
    "projector mm_projector multi_modal_projector multimodal_projector image_projector "
    "vision_projector visual_projector audio_projector speech_projector sound_projection "
    "vision_projection visual_projection audio_projection vision_proj audio_proj vision_adapter "
    "audio_adapter vision_language_adapter modality_projection connector resampler resampler_model "
    "vision_resampler perceiver_resampler qformer merger patch_merger deepstack_merger_list "
    "aligner gen_aligner linear_proj_audio language_projection audio_language_projection "
    "img_projection";

/* The decays are those of MiniMax-Text-01. */
static const char recurrences[] = "A_log dt_bias D slope_rate query_decay key_decay diagonal_decay";
static const char embeddings[] =
    "embed_tokens embed_tokens_per_layer word_embeddings wte wpe embed_in "
    "tok_embeddings embeddings embedding embed_positions "
    "position_embeddings position_embedding";
static const char heads[] = "lm_head embed_out head";
static const char heads_outside_layers[] = "output";

/* What a stack of experts in one tensor is called where no component of its name is `experts`:
 * Step-3.5 (moe.gate_proj.weight), Granite (block_sparse_moe.input_linear.weight), JetMoE. */
static const char stacks[] =
    "gate_proj up_proj down_proj gate_up_proj w1 w2 w3 w13 v1 input_linear output_linear";

typedef bool (*component_test)(const char *text, size_t bytes);

static bool any_component(const char *name, component_test fits)
{
    for (const char *p = name; *p; p += *p == '.') {
        const size_t length = strcspn(p, ".");
        if (fits(p, length)) {
            return true;
        }
        p += length;
    }
    return false;
}

static bool is_tower(const char *text, size_t bytes)
{
    return word_in(towers, text, bytes);
}

static bool is_mtp(const char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "mtp", 3) == 0;
}

static bool is_router(const char *text, size_t bytes)
{
    return word_in("router", text, bytes);
}

static bool is_experts(const char *text, size_t bytes)
{
    return word_in("experts", text, bytes);
}

static bool ends_with(const char *text, size_t length, const char *ending)
{
    const size_t bytes = strlen(ending);
    return length >= bytes && memcmp(text + length - bytes, ending, bytes) == 0;
}

/* What a norm is made of is part of it: some have a gate of low rank (GigaChat 3.5, A.X K2). */
static bool is_vector(const recipe_tensor *t, const module_name *m)
{
    return t->ndim < 2 || ends_with(m->last, m->last_bytes, "bias") ||
           ends_with(m->last, m->last_bytes, "norm") ||
           ends_with(m->parent, m->parent_bytes, "norm");
}

static bool contains(const module_name *m, const char *part)
{
    const size_t bytes = strlen(part);
    for (size_t i = 0; i + bytes <= m->last_bytes; i++) {
        if (memcmp(m->last + i, part, bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* What no rule would quantize, wherever it is; REASON_RULE if there is more to ask. */
static recipe_reason plain_reason(const recipe_tensor *t, const module_name *m)
{
    if (any_component(t->name, is_tower)) {
        return REASON_TOWER;
    }
    if (word_in(recurrences, m->last, m->last_bytes)) {
        return REASON_RECURRENCE;
    }
    if (is_vector(t, m)) {
        return REASON_VECTOR;
    }
    return contains(m, "conv") ? REASON_CONVOLUTION : REASON_RULE;
}

static recipe_reason reason_outside_layers(const recipe_tensor *t, const module_name *m)
{
    if (word_in(heads_outside_layers, m->last, m->last_bytes)) {
        return REASON_HEAD;
    }
    return any_component(t->name, is_mtp) ? REASON_MTP : REASON_OUTSIDE_LAYERS;
}

static recipe_reason reason_in_layer(const recipe_tensor *t, const module_name *m)
{
    if (any_component(t->name, is_router)) {
        return REASON_ROUTER;
    }
    const recipe_reason kind = module_kind_reason(m);
    const bool stack =
        any_component(t->name, is_experts) || word_in(stacks, m->last, m->last_bytes);
    return kind == REASON_LINEAR && t->ndim == 3 && !stack ? REASON_NOT_LINEAR : kind;
}

recipe_reason rules2_reason(const recipe_tensor *t, recipe_reason basic)
{
    const module_name m = module_name_of(t);
    if (basic == REASON_FP8 || basic == REASON_DTYPE) {
        return basic;
    }
    const recipe_reason plain = plain_reason(t, &m);
    if (plain != REASON_RULE || basic != REASON_RULE) {
        return plain != REASON_RULE ? plain : basic;
    }
    if (word_in(embeddings, m.last, m.last_bytes)) {
        return REASON_EMBEDDING;
    }
    if (word_in(heads, m.last, m.last_bytes)) {
        return REASON_HEAD;
    }
    return name_layer(t->name) < 0 ? reason_outside_layers(t, &m) : reason_in_layer(t, &m);
}

bool rules2_is_linear(const char *name)
{
    const recipe_tensor t = {.name = name};
    const module_name m = module_name_of(&t);
    return name_layer(name) >= 0 && module_kind_is_linear(&m) && !any_component(name, is_tower);
}
