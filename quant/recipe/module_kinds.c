#include "quant/recipe/module_kinds.h"

#include <stdio.h>
#include <string.h>

#include "format/tensor/tensor_name.h"

typedef struct module_kind {
    const char *parent;   /* last component of the parent; "": any */
    const char *siblings; /* all of these words: "a" is there, "a|b": one of them is */
    const char *names;    /* the modules that the row is about */
    recipe_reason what;   /* REASON_LINEAR: quantized */
} module_kind;

/* The first row that fits decides. Sources: vLLM 0.33.0 (vllm/model_executor unless said),
 * SGLang 0.5.23, transformers 5.24.0, and the layouts of released FP8 checkpoints. "Built wide"
 * means that a runtime creates the module without its quantization configuration. */
static const module_kind kinds[] = {
    /* Routers of experts. DeepSeek, Qwen, GLM, Bailing, Ernie, MiniMax, dots (gate), gpt-oss,
     * Llama 4, Jamba, Gemma 4 (router), LongCat-Flash (router.classifier), Granite, DBRX
     * (router.layer), Hunyuan (gate.wg), Ernie-VL (gate.weight_1). All released FP8 checkpoints
     * keep them. */
    {"", "", "gate router", REASON_ROUTER},
    {"gate", "", "wg weight_1", REASON_ROUTER},
    {"altup", "", "modality_router correction_coefs prediction_coefs",
     REASON_ROUTER}, /* Gemma 3n */

    /* Gates with a row or a few rows: Qwen2-MoE to Qwen3.5, vLLM models/qwen2_moe.py (built
     * wide); Kimi K3, vllm/models/kimi_k3 (built wide). */
    {"", "", "shared_expert_gate", REASON_GATE},
    {"", "", "self_attention_res_proj mlp_res_proj output_attn_res_proj", REASON_GATE},

    /* Indexers of sparse attention. DeepSeek-V3.2 and GLM-5: the releases have FP8 in wq_b and
     * wk; vLLM models/deepseek_v2.py builds weights_proj wide. DeepSeek-V4's compressors are
     * built wide. */
    {"indexer", "", "wq_b wk", REASON_LINEAR},
    {"indexer", "", "weights_proj", REASON_INDEXER},
    {"compressor", "", "wkv wgate kv_proj gate_proj", REASON_INDEXER},
    /* MiniMax-M3, Qwen4 (SGLang models/minimax_m3.py, vLLM layers/indexer_qsa.py quantize them). */
    {"", "", "index_q_proj index_k_proj index_v_proj index_qk_proj index_o_proj", REASON_LINEAR},

    /* Gated DeltaNet: Qwen3-Next (in_proj_qkvz, in_proj_ba), Qwen3.5 (in_proj_qkv, in_proj_z,
     * in_proj_a, in_proj_b). Qwen's FP8 releases list in_proj_a, in_proj_b and conv1d as
     * unquantized. */
    {"", "A_log in_proj_qkv|in_proj_qkvz", "in_proj_qkv in_proj_z in_proj_qkvz out_proj",
     REASON_LINEAR},
    {"", "A_log in_proj_qkv|in_proj_qkvz", "in_proj_ba in_proj_a in_proj_b", REASON_GATE},

    /* Kimi Delta Attention and its kin. Ling-3.0 has full gates f_proj and g_proj (vLLM
     * models/bailing_moe_v3.py; its FP8 release keeps b_proj and MLA's g_proj,
     * vllm-project/vllm#51265), Kimi-Linear factored ones
     * (layers/mamba/gdn/kimi_gdn_linear_attn.py), Kimi K3 a full g_proj, OLMo-Hybrid a_proj,
     * b_proj and a full g_proj (transformers models/olmo_hybrid). b_proj has a row per head. */
    {"", "A_log", "q_proj k_proj v_proj f_proj g_proj o_proj dense", REASON_LINEAR},
    {"", "A_log", "a_proj b_proj", REASON_GATE},
    {"", "A_log", "f_a_proj f_b_proj g_a_proj g_b_proj", REASON_LOW_RANK},

    /* Mamba-2: Nemotron-H, Granite 4, Bamba, Falcon-H1. Both are FP8 in NVIDIA's release of
     * Nemotron 3 Super, and in that of Nano except in layers chosen by measurement; vLLM reads
     * both in FP8 (layers/mamba/mamba_mixer2.py). Mamba-1 has x_proj: Jamba, Falcon Mamba
     * (layers/mamba/mamba_mixer.py builds all of it wide). */
    {"", "A_log x_proj", "in_proj out_proj x_proj dt_proj", REASON_RECURRENCE},
    {"", "A_log", "in_proj out_proj", REASON_LINEAR},

    /* Short convolutions of LFM2 (vLLM models/lfm2.py quantizes both). */
    {"conv", "", "in_proj out_proj", REASON_LINEAR},

    /* Ring-linear 2.0: a full gate beside query_key_value (SGLang models/bailing_moe_linear.py). */
    {"", "query_key_value", "g_proj", REASON_LINEAR},
    /* Gates of softmax attention and of MLA, mostly a row per head: Step-3.5, Laguna, dots.3,
     * Ling-3.0's and Kimi K3's MLA, GigaChat 3.5 (SGLang models/step3p5.py and bailing_moe_v3.py
     * build g_proj wide). */
    {"", "q_proj|qkv_proj|q_b_proj|kv_b_proj", "g_proj attn_gate q_gate_proj linear_gate",
     REASON_GATE},

    /* Gemma 3n and 4: a small input per layer, a low-rank residual. */
    {"", "", "per_layer_input_gate", REASON_GATE},
    {"", "", "per_layer_projection", REASON_LOW_RANK},
    {"laurel", "", "linear_left linear_right", REASON_LOW_RANK},

    /* From the hidden state to the smaller space of the experts and back: Nemotron 3 Super
     * (NVIDIA's FP8 release keeps both, docs.nvidia.com/nemotron, "super3/quantization"), Kimi
     * K3. */
    {"", "", "fc1_latent_proj fc2_latent_proj", REASON_LOW_RANK},
    {"", "", "routed_expert_down_proj routed_expert_up_proj", REASON_LOW_RANK},
    {"", "", "pre_expert_proj post_expert_proj", REASON_LOW_RANK}, /* Muse Spark */

    /* Hyper-connections: DeepSeek-V4, Hunyuan 4 (hc_*), Qwen4. All are built wide. */
    {"", "", "hc_fn hc_attn_fn hc_ffn_fn hc_head_fn block_inject_weight", REASON_GATE},
    {"", "", "input_mix_weight_down input_mix_weight_up", REASON_LOW_RANK},

    /* The input of a prediction (MTP) layer, from the embedding and the hidden state:
     * DeepSeek-V3, GLM-4.5, Ling 2.0, Step-3.5, Nemotron-H (eh_proj), Ernie (mtp_linear_proj),
     * DeepSeek-V4 (e_proj, h_proj). Most are built wide: vLLM models/deepseek_mtp.py,
     * glm4_moe_mtp.py, bailing_moe_mtp.py, step3p5_mtp.py. */
    {"", "", "eh_proj mtp_linear_proj", REASON_MTP},
    {"", "enorm", "e_proj h_proj", REASON_MTP},

    /* ---- what the name alone tells ------------------------------ */

    /* Exaone 3. (GPT-2 stores c_fc and c_proj the other way round, so these names alone say
     * nothing.) */
    {"", "c_fc_0", "c_fc_0 c_fc_1 c_proj", REASON_LINEAR},

    /* Attention. DeepSeek-V4 and the original names of Mistral and Llama have w*; InternLM2
     * wqkv; Baichuan W_pack; DBRX Wqkv; Spark 2.5 q_k_v_proj; Inkling w*_d*; MiniMax-Text-01
     * output_gate; MiniCPM o_gate and z_proj. */
    {"", "", "q_proj k_proj v_proj o_proj qkv_proj out_proj kv_proj query_key_value dense",
     REASON_LINEAR},
    {"", "", "q_k_v_proj gqkv_proj qk_proj wq_du wk_dv wv_dv wr_du wo_ud", REASON_LINEAR},
    {"", "", "wq wk wv wo wqkv Wqkv W_pack output_gate output_gate_proj o_gate z_proj",
     REASON_LINEAR},
    /* Multi-head latent attention: DeepSeek-V2 and V3, Kimi K2, LongCat-Flash; fused as vLLM
     * stores it. */
    {"", "",
     "q_a_proj q_b_proj kv_a_proj kv_a_proj_with_mqa kv_b_proj fused_qkv_a_proj "
     "fused_qkv_a_proj_with_mqa wq_a wq_b wkv wkv_a wkv_b wo_a wo_b",
     REASON_LINEAR},
    /* Feed-forward layers and experts. Falcon, BLOOM, GPT-NeoX, ChatGLM: dense_*; Phi-2, OPT:
     * fc1, fc2; GPT-J: fc_in, fc_out; DBRX: v1; Granite: input_linear, output_linear. */
    {"", "", "gate_proj up_proj down_proj gate_up_proj up_gate_proj w1 w2 w3 w13 v1",
     REASON_LINEAR},
    {"", "", "dense_h_to_4h dense_4h_to_h fc1 fc2 fc_in fc_out input_linear output_linear",
     REASON_LINEAR},
};

/* Cut off the last component: its length is returned, and what is left before the '.' goes to
 * `rest`. */
static size_t last_component(const char *text, size_t bytes, size_t *rest)
{
    size_t start = bytes;
    while (start > 0 && text[start - 1] != '.') {
        start--;
    }
    *rest = start > 0 ? start - 1 : 0;
    return bytes - start;
}

module_name module_name_of(const recipe_tensor *t)
{
    static const char weight[] = ".weight";
    const size_t ending = sizeof weight - 1;
    size_t bytes = strlen(t->name), rest = 0, ignored = 0;
    if (bytes > ending && strcmp(t->name + bytes - ending, weight) == 0) {
        bytes -= ending;
    }
    module_name m = {.start = t->name, .in = t->names};
    m.last_bytes = last_component(t->name, bytes, &rest);
    m.last = t->name + bytes - m.last_bytes;
    m.prefix_bytes = bytes - m.last_bytes;
    m.parent_bytes = last_component(t->name, rest, &ignored);
    m.parent = t->name + rest - m.parent_bytes;
    return m;
}

bool word_in(const char *list, const char *text, size_t bytes)
{
    const char *p = list;
    while (*p) {
        const char *const word = p;
        while (*p && *p != ' ') { /* asked some thousand times for each tensor: no call */
            p++;
        }
        if ((size_t)(p - word) == bytes && memcmp(word, text, bytes) == 0) {
            return true;
        }
        p += *p == ' ';
    }
    return false;
}

/* Is there a module, or a tensor, of this name beside the module? */
static bool has_sibling(const module_name *m, const char *name, size_t bytes)
{
    char text[NAME_MAX_BYTES + 1];
    if (!m->in || m->prefix_bytes + bytes + sizeof ".weight" > sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s%.*s.weight", (int)m->prefix_bytes, m->start, (int)bytes,
             name);
    if (m->in->has(m->in->model, text)) {
        return true;
    }
    text[m->prefix_bytes + bytes] = '\0';
    return m->in->has(m->in->model, text);
}

/* One word of a row's siblings: "a", or "a|b" for one of several. */
static bool has_one_of(const module_name *m, const char *word, size_t bytes)
{
    for (size_t at = 0; at < bytes; at++) {
        const char *const bar = memchr(word + at, '|', bytes - at);
        const size_t length = bar ? (size_t)(bar - word) - at : bytes - at;
        if (has_sibling(m, word + at, length)) {
            return true;
        }
        at += length;
    }
    return false;
}

static bool has_siblings(const module_name *m, const char *words)
{
    for (const char *p = words; *p; p += *p == ' ') {
        const size_t length = strcspn(p, " ");
        if (!has_one_of(m, p, length)) {
            return false;
        }
        p += length;
    }
    return true;
}

static bool row_fits(const module_kind *row, const module_name *m)
{
    return word_in(row->names, m->last, m->last_bytes) &&
           (row->parent[0] == '\0' || word_in(row->parent, m->parent, m->parent_bytes)) &&
           has_siblings(m, row->siblings);
}

recipe_reason module_kind_reason(const module_name *m)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (row_fits(&kinds[i], m)) {
            return kinds[i].what;
        }
    }
    return REASON_NOT_LINEAR;
}

bool module_kind_is_linear(const module_name *m)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].what == REASON_LINEAR && word_in(kinds[i].names, m->last, m->last_bytes)) {
            return true;
        }
    }
    return false;
}
