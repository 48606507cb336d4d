/* What each runtime requires of an export, as plain data (spec/export.md sections 2 to 5).
 *
 *     const preset *p = &preset_table[PRESET_VLLM];
 *     preset_spell(p, &place, "model.layers.1.attention.dense", emit, ctx)
 *
 * If a runtime changes what it reads, a line in preset.c and in the specification changes; a new
 * runtime is a new row. No code compares presets: whatever distinguishes one is a member of its row.
 * All of this is constant; any thread may use it. */
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

/* Ways to write the name of a module in the list; a preset may combine several. */
enum {
    SPELL_NAMES = 1,  /* as in the names of the tensors */
    SPELL_SGLANG = 2, /* SGLang's names for modules of Ring-linear; other models: SPELL_NAMES */
    SPELL_ANT = 4,    /* those of Ant's SGLang 0.5.2: SGLang's, without the component mlp */
    SPELL_FUSED = 8,  /* for merged matrices, also the name of the merged module */
};

typedef struct preset {
    const char *reader;  /* the runtime, for messages */
    const char *loader;  /* whose releases have to know the architecture; NULL: not checked */
    const char *release; /* the release whose rules these are; NULL: none in particular */
    preset_config config;
    const char *ignore_key;   /* key of the list in quantization_config */
    const char *scale_suffix; /* appended to the name of the weight */
    dtype scale_type;
    const char *never_fp8;  /* glob: more tensors like those of preset_never_fp8; or NULL */
    const char *not_listed; /* glob: tensors that are not FP8 but need no entry; or NULL */
    unsigned spelling;
    bool loads_stacked;       /* reads experts stored in three dimensions in FP8 */
    bool merges;              /* merges matrices, which then must all be FP8 or all not */
    bool lists_head;          /* a list replaces the default, which excludes the head */
    bool lists_experts;       /* an entry for each expert instead of one for all of a layer */
    bool needs_experts;       /* reads routed experts as FP8 whatever the list says */
    bool prefix_match;        /* an entry applies to every module whose name begins with it */
    bool fuses_gate_up;       /* concatenates rows of an expert's gate and up, and their scales */
    bool dequantizes_wrongly; /* clipped tiles, and experts in three dimensions */
    bool runs_own_code;       /* also loads architectures by code that lies next to config.json */
    bool ignores_mtp;         /* does not read MTP layers; other runtimes draft tokens with them */
    bool rounds_scales;       /* may round scales to powers of two at load */
    bool copies_kv;           /* copies heads of k and v if there are fewer than devices */
    bool experts_in_tp;       /* experts are spread over devices of the tensor-parallel group */
} preset;

extern const preset preset_table[PRESET_COUNT];

/* The word of --for for a row of the table. */
const char *preset_name(const preset *p);

/* Globs for tensors that no runtime reads in FP8; ends with NULL. */
extern const char *const preset_never_fp8[];

/* The last component of the module that `module` ("….mlp.up_proj") is merged into: "gate_up_proj".
 * NULL: it is not merged. */
const char *preset_merged(const char *module);

/* Is this module of an expert its gate or its up, of any spelling? */
bool preset_is_gate_or_up(const char *module);

/* What the spelling of a module depends on. */
typedef struct preset_place {
    bool ring_linear; /* the model is one of model_type bailing_moe_linear */
    bool linear;      /* its layer has linear attention */
} preset_place;

/* Call `emit` with each name under which `module` has to be listed; a name may come twice. False:
 * `emit` returned false, or a name is longer than NAME_MAX_BYTES. */
typedef bool (*preset_emit)(void *ctx, const char *spelled);
bool preset_spell(const preset *p, const preset_place *place, const char *module, preset_emit emit,
                  void *ctx);

#endif
