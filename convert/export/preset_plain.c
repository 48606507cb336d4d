/* Sources: the wheels of vLLM 0.33.0 (vllm/model_executor/models, layers/mamba, layers/fused_moe),
 * SGLang 0.5.23 (sglang/srt/models, srt/layers) and transformers 5.24.0 (integrations/
 * finegrained_fp8.py, models). The file that decides is named with each group of rows. */
#include "convert/export/preset_plain.h"

#include "format/base/glob.h"

enum {
    HF = RUNTIME_HF,
    VLLM = RUNTIME_VLLM | RUNTIME_COMPRESSED,
    SGLANG = RUNTIME_SGLANG,
    ALL = HF | VLLM | SGLANG
};

static const char usual[] = "always in the dtype of the source";
static const char biased[] = "experts with biases have no FP8 there";
static const char rotated[] = "the rows of q and k are permuted on loading, their scales are not";
static const char tower[] = "built without FP8, with all of its tower";

static const plain_rule rules[] = {
    /* Heads, embeddings, norms, routers: every runtime has other classes for them, or passes no
     * quantization to them. */
    {ALL, NULL, "lm_head.*", NULL, usual, NULL},
    {ALL, NULL, "*.lm_head.*", NULL, usual, NULL},
    {ALL, NULL, "*.shared_head.head.*", NULL, usual, NULL},
    {ALL, NULL, "*embed*", NULL, usual, NULL},
    {ALL, NULL, "*norm*", NULL, usual, NULL},
    {ALL, NULL, "*.mlp.gate.weight", NULL, usual, NULL},
    {ALL, NULL, "*.moe.gate.weight", NULL, usual, NULL},
    {ALL, NULL, "*.block_sparse_moe.gate.weight", NULL, usual, NULL},
    {ALL, NULL, "*.mixer.gate.weight", NULL, usual, NULL},
    {ALL, NULL, "*.feed_forward.gate.weight", NULL, usual, NULL},
    {VLLM | SGLANG, NULL, "*.mlp.gate.wg.weight", NULL, usual, NULL},
    {ALL, NULL, "*.shared_expert_gate.weight", NULL, usual, NULL},
    {ALL, NULL, "*.router.*", NULL, usual, NULL},
    {ALL, NULL, "*.indexer.weights_proj.weight", NULL, usual, NULL},
    /* deepseek_mtp.py, glm4_moe_mtp.py, mimo_mtp.py, ernie_mtp.py and their like in SGLang */
    {ALL, NULL, "*.eh_proj.weight", NULL, usual, NULL},
    {ALL, NULL, "*mtp*.input_proj.weight", NULL, usual, NULL},
    {ALL, NULL, "*.mtp_linear_proj.*", NULL, usual, NULL},
    /* vLLM: mimo_v2_mtp.py; SGLang: qwen3_5_mtp.py and others, where fc is an nn.Linear */
    {VLLM, "MiMoV2*", "*mtp*.self_attn.o_proj.weight", NULL, usual, NULL},
    {SGLANG, NULL, "mtp.fc.weight", NULL, usual, NULL},
    {SGLANG, NULL, "model.mtp.fc.weight", NULL, usual, NULL},

    /* Experts. vLLM: gpt_oss.py skips their scales; transformers: FP8Experts asserts that there is
     * no bias, and has another layout and signature than Llama4TextExperts; SGLang: mllama4.py has
     * no parameter for their scales. */
    {ALL, "GptOss*", "*.experts.*", NULL, biased, "*.experts.*"},
    {ALL, NULL, "*.experts.gate_up_proj", "gate_up_proj_bias", biased, "*.experts.*"},
    {ALL, NULL, "*.experts.down_proj", "down_proj_bias", biased, "*.experts.*"},
    {HF | SGLANG, "Llama4*", "*.feed_forward.experts.*", NULL, "its stacks have inputs first",
     "*.experts.*"},
    {HF, "Qwen3VLMoe*", "*.experts.*", NULL, "its stacks have inputs first", "*.experts.*"},
    {HF, "LongcatFlash*", "*.experts.*", NULL, "some of its experts have no matrices",
     "*.experts.*"},

    /* Attention. llama4.py and mllama4.py: permute_qk_weight_for_rotary. vLLM, kimi_gdn_linear_attn
     * .py: one matrix with b_proj, whose rows are no whole tiles; bailing_moe_v3.py, as well, unless
     * an Fp8Config excludes b_proj (separate_b_proj). SGLang, kimi_linear.py: the codes
     * of kv_b_proj are split without their scales; step3p5.py and bailing_moe_v3.py: no
     * quantization is passed on. */
    {VLLM | SGLANG, "Llama4*", "*.self_attn.[qk]_proj.weight", NULL, rotated,
     "*.self_attn.[qkv]_proj.weight"},
    {VLLM, "KimiLinear*", "*.self_attn.[qkvb]_proj.weight", "b_proj.weight",
     "merged with b_proj, which is too small for tiles", "*.self_attn.[qkv]_proj.weight"},
    {VLLM, "KimiLinear*", "*.self_attn.f_a_proj.weight", "b_proj.weight",
     "merged with b_proj, which is too small for tiles", NULL},
    {RUNTIME_COMPRESSED, "BailingMoeV3*", "*.[qkvb]_proj.weight", "b_proj.weight",
     "merged with b_proj, which is too small for tiles", "*.[qkv]_proj.weight"},
    {SGLANG, "KimiLinear*", "*.kv_b_proj.weight", NULL, "it is split without its scales", NULL},
    {SGLANG, "Step3p5*", "*.self_attn.g_proj.weight", NULL, usual, NULL},
    {SGLANG, "BailingMoeV3*", "*.g_proj.weight", "kv_b_proj.weight", usual, NULL},
    {SGLANG, "BailingMoeV3*", "*.b_proj.weight", NULL, usual, NULL},
    {SGLANG, "OlmoForCausalLM", "*.self_attn.*", NULL, usual, "*.self_attn.*"},
    {VLLM, "Glm5Next*", "*.self_attn.*", "kv_b_proj.weight", usual, "*.self_attn.*"},
    /* vLLM, layers/mamba/mamba_mixer.py: Mamba-1 */
    {VLLM, "MambaForCausalLM", "*.mixer.*", NULL, usual, "*.mixer.*"},
    {VLLM, "FalconMamba*", "*.mixer.*", NULL, usual, "*.mixer.*"},
    {VLLM, "Jamba*", "*.mamba.*", NULL, usual, "*.mamba.*"},

    /* Towers. vLLM: mllama4.py, mistral3.py, pixtral.py, kimi_vl.py; SGLang: qwen3_vl.py,
     * qwen3_5.py, mimo_v2.py, internvl.py, pixtral.py, kimi_vl.py, deepseek_vl2.py, mllama4.py */
    {VLLM | SGLANG, "Llama4ForConditional*", "*vision_model.*", NULL, tower, "*vision_model.*"},
    {VLLM | SGLANG, "Llama4ForConditional*", "*multi_modal_projector.*", NULL, tower, NULL},
    {VLLM | SGLANG, "Mistral3*", "*multi_modal_projector.*", NULL, tower, NULL},
    {VLLM | SGLANG, "Pixtral*", "*multi_modal_projector.*", NULL, tower, NULL},
    {VLLM | SGLANG, "KimiVL*", "*multi_modal_projector.*", NULL, tower, NULL},
    {VLLM, "KimiVL*", "*vision_tower.*", NULL, tower, "*vision_tower.*"},
    {SGLANG, "KimiK25*", "*vision_tower.*", NULL, tower, "*vision_tower.*"},
    {SGLANG, "Step3p7*", "*vision_model.*", NULL, tower, "*vision_model.*"},
    {SGLANG, "Qwen3*", "*visual.*", NULL, tower, "*visual.*"},
    {SGLANG, "Qwen2_5_VL*", "*visual.*.mlp.gate_proj.weight", NULL, tower, "*visual.*"},
    {SGLANG, "Qwen2_5_VL*", "*visual.*.mlp.up_proj.weight", NULL, tower, "*visual.*"},
    {SGLANG, "MiMoV2*", "*visual.*", NULL, tower, "*visual.*"},
    {SGLANG, "InternVL*", "*vision_model.*", NULL, tower, "*vision_model.*"},
    {SGLANG, "Pixtral*", "*vision_*", NULL, tower, "*vision_*"},
    {SGLANG, "DeepseekVL*", "vision.*", NULL, tower, "vision.*"},
    {SGLANG, "DeepseekVL*", "language.*", NULL, usual, "language.*"},
};

const plain_rule *plain_find(const preset *p, const plain_place *place, const char *tensor)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const plain_rule *const r = &rules[i];
        if ((r->runtimes & p->runtimes) &&
            (!r->architecture || glob_match(r->architecture, place->architecture)) &&
            glob_match(r->tensor, tensor) &&
            (!r->beside || place->beside(place->ctx, tensor, r->beside))) {
            return r;
        }
    }
    return NULL;
}

const char *plain_keep(const plain_rule *rule, const char *tensor)
{
    return rule->keep ? rule->keep : tensor;
}

/* ---- stacks of experts ----------------------------------------- */

typedef struct stack_reader {
    unsigned runtimes;
    const char *architecture; /* glob; NULL: any */
    const char *tensor;       /* glob */
} stack_reader;

/* transformers: FP8Experts has stacked parameters, for modules called `experts`; Granite's stacks are
 * renamed to such. vLLM: models that load through RoutedExperts.load_weights (layers/fused_moe/
 * routed_experts.py); step3p5.py. SGLang: qwen3_5.py, step3p5.py. In all other models of vLLM and
 * SGLang, scales of stacks have no parameter. */
static const stack_reader readers[] = {
    {RUNTIME_HF, NULL, "*.experts.*"},
    {RUNTIME_HF, "Granite*", "*.block_sparse_moe.*"},
    {RUNTIME_HF, "Step3p7*", "*.moe.*"},
    {RUNTIME_VLLM, "Qwen2MoeForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "Qwen3MoeForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "Qwen3NextForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM | RUNTIME_SGLANG, "Qwen3_5Moe*", "*.experts.*"},
    {RUNTIME_VLLM, "Glm4MoeForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "BailingMoeForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "BailingMoeV2ForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "MiniMaxM2ForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "MixtralForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "OlmoeForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM, "Ernie4_5_MoeForCausalLM", "*.experts.*"},
    {RUNTIME_VLLM | RUNTIME_SGLANG, "Step3p5*", "*.moe.*"},
};

bool plain_reads_stack(const preset *p, const char *architecture, const char *tensor)
{
    unsigned missing = p->runtimes;
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++) {
        const stack_reader *const r = &readers[i];
        if ((!r->architecture || glob_match(r->architecture, architecture)) &&
            glob_match(r->tensor, tensor)) {
            missing &= ~r->runtimes;
        }
    }
    return missing == 0;
}
