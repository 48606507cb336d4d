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
#include "format/tensor/tensor_name.h"

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
    SPELL_PARTS = 16, /* for matrices that are stored merged, also the names of their parts */
};

/* The runtimes whose rules apply to a preset: bits. */
enum {
    RUNTIME_HF = 1,
    RUNTIME_VLLM = 2,
    RUNTIME_COMPRESSED = 4, /* vLLM through compressed-tensors */
    RUNTIME_SGLANG = 8,
};

/* How a runtime applies the entries of the list to the name of a module. */
typedef enum preset_match {
    MATCH_UNKNOWN, /* not known: it is not emulated */
    MATCH_WHOLE,   /* the whole name; of experts, a part of an entry that contains "experts" */
    MATCH_EACH,    /* the whole name; of experts, that of the first one */
    MATCH_TAIL,    /* whole components at the end */
    MATCH_RUN,     /* any components in a row; of experts, also as for MATCH_WHOLE */
    MATCH_ENDS     /* whole components at the beginning, or any bytes at the end */
} preset_match;

typedef struct preset {
    const char *reader;  /* the runtime, for messages */
    const char *loader;  /* whose releases have to know the architecture; NULL: not checked */
    const char *release; /* the release whose rules these are; NULL: none in particular */
    preset_config config;
    const char *ignore_key;   /* key of the list in quantization_config */
    const char *scale_suffix; /* appended to the name of the weight */
    dtype scale_type;
    const char *never_fp8;  /* glob: more tensors like those of preset_plain.h; or NULL */
    const char *not_listed; /* glob: tensors that are not FP8 but need no entry; or NULL */
    unsigned spelling;
    unsigned runtimes;        /* RUNTIME_*; 0: none in particular */
    preset_match match;       /* but see preset_match_of */
    bool merges;              /* merges matrices, which then must all be FP8 or all not */
    bool loose_last;          /* of merged matrices, the last may end within a tile */
    bool guesses_tiles;       /* of what it dequantizes on loading, from the number of scales */
    bool lists_head;          /* a list replaces the default, which excludes the head */
    bool lists_experts;       /* an entry for each expert instead of one for all of a layer */
    bool needs_experts;       /* reads routed experts as FP8 whatever the list says */
    bool fuses_gate_up;       /* concatenates rows of an expert's gate and up, and their scales */
    bool dequantizes_wrongly; /* clipped tiles, and experts in three dimensions */
    bool runs_own_code;       /* also loads architectures by code that lies next to config.json */
    bool ignores_mtp;         /* does not read MTP layers; other runtimes draft tokens with them */
    bool reads_kv_scales;     /* of the KV cache: k_scale, v_scale (spec/export.md section 3) */
    bool rounds_scales;       /* may round scales to powers of two at load */
    bool copies_kv;           /* copies heads of k and v if there are fewer than devices */
    bool experts_in_tp;       /* experts are spread over devices of the tensor-parallel group */
} preset;

extern const preset preset_table[PRESET_COUNT];

/* The word of --for for a row of the table. */
const char *preset_name(const preset *p);

/* What the spelling of a module depends on. */
typedef struct preset_place {
    bool ring_linear;         /* the model is one of model_type bailing_moe_linear */
    bool linear;              /* its layer has linear attention, as Ring-linear has it */
    bool delta;               /* its layer has Kimi Delta Attention */
    const char *architecture; /* the first of `architectures`; NULL: unknown */
} preset_place;

/* The last component of the module that `module` ("….mlp.up_proj") is merged into: "gate_up_proj".
 * NULL: it is not merged. */
const char *preset_merged(const preset *p, const preset_place *place, const char *module);

/* How the runtime matches the list of a model of this architecture. */
preset_match preset_match_of(const preset *p, const char *architecture);

/* Is this module of an expert its gate or its up, of any spelling? */
bool preset_is_gate_or_up(const char *module);

/* Call `emit` with each name under which `module` has to be listed; a name may come twice. False:
 * `emit` returned false, or a name is longer than NAME_MAX_BYTES. */
typedef bool (*preset_emit)(void *ctx, const char *spelled);
bool preset_spell(const preset *p, const preset_place *place, const char *module, preset_emit emit,
                  void *ctx);

/* Call `emit` with the name of each part of a matrix that is stored merged, if the runtime looks up
 * those names instead of its own; else not at all. */
bool preset_parts(const preset *p, const char *module, preset_emit emit, void *ctx);

/* The name of a module in the runtime, where there is only one: not for AReaL. False: too long. */
bool preset_runtime_name(const preset *p, const preset_place *place, const char *module,
                         char out[NAME_MAX_BYTES + 1]);

#endif
