/* What each runtime wants of an export, as plain data (spec/export.md sections 2 to 5).
 *
 *     const preset *p = &preset_table[PRESET_VLLM];
 *     preset_spell(p, &place, "model.layers.1.attention.dense", emit, ctx)
 *
 * A runtime that reads something else than it did is a line in preset.c and in the page; a new one
 * is a row. No code asks which preset it has: what sets one apart is a member of its row. */
#ifndef PRESET_H
#define PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "format/tensor/dtype.h"

/* name, word of --for */
#define PRESET_LIST(X)                                                                             \
    X(HF, "hf")                                                                                    \
    X(VLLM, "vllm")                                                                                \
    X(SGLANG, "sglang")                                                                            \
    X(ANT_SGLANG, "ant-sglang")                                                                    \
    X(AREAL, "areal")                                                                              \
    X(COMPRESSED, "compressed-tensors")                                                            \
    X(BF16, "bf16")

typedef enum preset_id {
#define X(name, word) PRESET_##name,
    PRESET_LIST(X)
#undef X
        PRESET_COUNT
} preset_id;

/* The form of quantization_config. */
typedef enum preset_config {
    CONFIG_NONE,      /* a plain checkpoint: nothing is FP8 */
    CONFIG_FP8,       /* "quant_method": "fp8" */
    CONFIG_COMPRESSED /* "quant_method": "compressed-tensors" */
} preset_config;

/* Ways to write the name of a module; those that a preset has are all listed. */
enum {
    SPELL_NAMES = 1,  /* as the tensors are called */
    SPELL_SGLANG = 2, /* as SGLang builds Ring-linear; other models: as the tensors are called */
    SPELL_ANT = 4,    /* as Ant's SGLang 0.5.2 does: SGLang's, without the component mlp */
    SPELL_FUSED = 8,  /* of merged matrices the name of the merged one, too */
};

typedef struct preset {
    const char *reader; /* who reads it, for messages */
    const char *loader; /* whose releases have to know the architecture; NULL: not judged */
    preset_config config;
    const char *ignore_key;   /* of quantization_config */
    const char *scale_suffix; /* behind the name of the weight */
    dtype scale_type;
    const char *wide;   /* glob: tensors that must not be FP8, beside preset_wide; or NULL */
    const char *spared; /* glob: tensors that are not FP8 and need no line in the list; or NULL */
    unsigned spelling;
    bool loads_stacked; /* experts that the source keeps in three dimensions, in FP8 */
    bool merges;        /* merges matrices, which then have to agree in being FP8 */
    bool lists_head;    /* a list replaces the default, which spares the head */
    bool lists_experts; /* a line for each expert instead of one for all experts of a layer */
    bool needs_experts; /* takes routed experts for FP8 whatever the list says */
    bool by_prefix;     /* a line of the list stands for every module that begins like it */
    bool joins_halves;  /* lays an expert's gate and up, and their scales, one beneath the other */
    bool misreads;      /* where it dequantizes: clipped tiles, and experts in three dimensions */
    bool runs_own_code; /* also loads architectures by code that lies beside config.json */
    bool ignores_mtp;   /* layers that predict further tokens; others draft with them */
    bool rounds_scales; /* may round them to powers of two when it loads */
    bool copies_kv;     /* heads of k and v, where there are fewer of them than devices */
    bool experts_in_tp; /* the devices that experts are spread over are among those of tp */
} preset;

extern const preset preset_table[PRESET_COUNT];

/* The word of a row of the table. */
const char *preset_name(const preset *p);

/* Globs of tensors that no runtime reads in FP8; ends with NULL. */
extern const char *const preset_wide[];

/* The module that `module` ("….mlp.up_proj") is merged into, by its last component: "gate_up_proj".
 * NULL: it stays by itself. */
const char *preset_merged(const char *module);

/* The module, one of an expert, is its gate or its up: half of a joined one. */
bool preset_is_half(const char *module);

/* What the spelling of a module depends on. */
typedef struct preset_place {
    bool ring_linear; /* the model is one of model_type bailing_moe_linear */
    bool linear;      /* its layer has linear attention */
} preset_place;

/* Call `emit` for each way in which `module` has to be listed; the same one may come twice. False:
 * emit said so, or a name is longer than NAME_MAX_BYTES. */
typedef bool (*preset_emit)(void *ctx, const char *spelled);
bool preset_spell(const preset *p, const preset_place *place, const char *module, preset_emit emit,
                  void *ctx);

#endif
