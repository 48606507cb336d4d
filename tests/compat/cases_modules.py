"""Models whose layers have names and layouts of their own, in BF16: what is quantized, and what is kept."""

import tensors as t
from cases import case, kinds
from cases_fp8 import indexer_model

LLAMA = {"*layers*_proj.weight": "quantize", "lm_head.weight": "keep", "*norm.weight": "keep"}
ALL = {"*": 0}
EXPERTS_TEXT = {"num_experts": 4, "moe_intermediate_size": 128}


@case("llama", decide=LLAMA, export=ALL)
def _(m):
    """The plainest case: every runtime takes it."""
    t.llama(m, layers=2)


@case("llama-gqa-tied", decide={"*_proj.weight": "quantize"}, export=ALL, never="head-missing")
def _(m):
    """Fewer heads of k and v, tied embeddings."""
    t.llama(m, kv=128, head=None)
    m.config["tie_word_embeddings"] = True


@case("llama-ragged", export={"hf": 0, "vllm": 1, "sglang": 1, "compressed-tensors": 1, "bf16": 0})
def _(m):
    """h = 288: q, k and v are joined, and do not end with a tile."""
    t.llama(m, h=288)


@case("moe", decide={"*experts*": "quantize", "*mlp.gate.weight": "keep:router"}, export=ALL)
def _(m):
    """Qwen3-MoE: experts quantized, router kept."""
    t.moe(m, layers=2, first_dense=1)


@case("moe-gaps", convert=(0, 5))
def _(m):
    """An expert is missing in the middle."""
    t.moe(m, count=4)
    m.pop("*experts.2.*")


@case("moe-expert-part-missing", convert=(0, 5))
def _(m):
    """One matrix of one expert is missing."""
    t.moe(m, count=4)
    m.pop("*experts.3.up_proj*")


@case("unknown-architecture", export={"*": 1, "bf16": 0}, why={"vllm": ["does not know"]})
def _(m):
    """No release knows it: a "no" for whatever loads it, and the preset that would do."""
    t.llama(m)
    m.config.update(architectures=["NobodyKnowsForCausalLM"], model_type="nobody_knows")


@case("no-architecture", export={"hf": 0, "bf16": 0})
def _(m):
    """config.json names no architecture: transformers goes by model_type."""
    t.llama(m)
    del m.config["architectures"]


@case("no-config", convert=0, export={"*": 5})
def _(m):
    """No config.json: nothing to export for a runtime."""
    t.llama(m)
    m.config = None


# Experts under other names and in other layouts


@case(
    "step35-stacks",
    decide={
        "*moe.*_proj.weight": "quantize",
        "*share_expert*": "quantize",
        "*moe.gate.weight": "keep:router",
    },
    export={"bf16": 0},
)
def _(m):
    """Step-3.5: routed experts stacked below a component `moe`. They are most of the model."""
    t.outside(m)
    p = "model.layers.0."
    t.attention(m, p + "self_attn.", kv=128)
    m.weights(p, {"self_attn.g_proj": (4, t.H), "moe.gate": (8, t.H)})
    m.f32(p + "moe.router_bias", 8)
    m.weights(p + "moe.", {"gate_proj": (8, 128, t.H), "up_proj": (8, 128, t.H)})
    m.weights(p + "moe.", {"down_proj": (8, t.H, 128)})
    t.mlp(m, p + "share_expert.", inter=128)
    t.norms(m, p)
    m.config.update(model_type="step3p5", architectures=["Step3p5ForCausalLM"])
    m.config.update(moe_num_experts=8, moe_top_k=2, moe_intermediate_size=128)
    m.config.update(share_expert_dim=128, num_key_value_heads=2)


@case(
    "granite-stacks",
    decide={"*put_linear.weight": "quantize", "*router*": "keep:router"},
    export={"bf16": 0},
)
def _(m):
    """Granite: block_sparse_moe.input_linear and output_linear, stacked."""
    t.outside(m)
    p = "model.layers.0."
    t.attention(m, p + "self_attn.")
    p += "block_sparse_moe."
    m.weights(p, {"input_linear": (4, 256, t.H), "output_linear": (4, t.H, 128)})
    m.weights(p, {"router.layer": (4, t.H)})
    t.norms(m, "model.layers.0.")
    m.config.update(model_type="granitemoe", architectures=["GraniteMoeForCausalLM"])
    m.config.update(num_local_experts=4, num_experts_per_tok=1)


@case(
    "gpt-oss-bf16",
    decide={"*experts.gate_up_proj": "quantize", "*_bias": "keep", "*router.weight": "keep:router"},
    export={"*": (1, 5), "bf16": 0},
)
def _(m):
    """Transposed, interleaved stacks with biases: no runtime loads them in block FP8."""
    t.outside(m)
    p = "model.layers.0."
    t.attention(m, p + "self_attn.", kv=128)
    m.bf16(p + "self_attn.sinks", 4)
    m.bf16(p + "mlp.router.weight", 4, t.H)
    m.bf16(p + "mlp.router.bias", 4)
    t.stacked_experts(m, p + "mlp.experts.", inter=256, transposed=True)
    m.bf16(p + "mlp.experts.gate_up_proj_bias", 4, 512)
    m.bf16(p + "mlp.experts.down_proj_bias", 4, t.H)
    t.norms(m, p)
    m.config.update(model_type="gpt_oss", architectures=["GptOssForCausalLM"], num_local_experts=4)
    m.config.update(num_key_value_heads=2, num_experts_per_tok=1)


@case(
    "qwen3-vl-moe-stacks",
    decide={"*experts.*_proj": "quantize"},
    export={"*": (1, 5), "bf16": 0},
)
def _(m):
    """Stacks with the inputs first; names without .weight."""
    qwen_vl_moe(m, transposed=True)
    m.config.update(model_type="qwen3_vl_moe", architectures=["Qwen3VLMoeForConditionalGeneration"])


@kinds(
    {"stacks-named-weight": {}, "stacks-w13": {}},
    options=("--keep", "*experts*"),
    export={"compressed-tensors": 0, "bf16": 0},
)
def _(m, name):
    """Stacks that stay wide, under names with .weight or of a matrix that is stored merged: a list that
    names each expert names all of its matrices."""
    t.moe(m)
    m.pop("*experts*")
    p = "model.layers.0.mlp.experts."
    if name == "stacks-w13":
        m.weights(p, {"w13": (2, 256, t.H), "w2": (2, t.H, 128)})
    else:
        m.weights(p, {"gate_up_proj": (2, 256, t.H), "down_proj": (2, t.H, 128)})


@case("qwen35-moe-stacks", decide={"*experts.*_proj": "quantize"}, export={"bf16": 0})
def _(m):
    """Stacks with the outputs first, as transformers 5 saves them."""
    qwen_vl_moe(m, transposed=False)
    m.config.update(model_type="qwen3_5_moe", architectures=["Qwen3_5MoeForConditionalGeneration"])


def qwen_vl_moe(m, transposed):
    t.outside(m, "model.language_model.")
    p = "model.language_model.layers.0."
    t.attention(m, p + "self_attn.", kv=128)
    m.bf16(p + "mlp.gate.weight", 4, t.H)
    t.stacked_experts(m, p + "mlp.experts.", transposed=transposed)
    t.norms(m, p)
    m.config["num_key_value_heads"] = 2
    m.nested_config("text_config", **EXPERTS_TEXT)


# Linear layers of newer models


@case(
    "qwen35-gdn",
    decide={
        "*in_proj_qkv.weight": "quantize",
        "*in_proj_z.weight": "quantize",
        "*out_proj.weight": "quantize",
        "*in_proj_[ab].weight": "keep:gate",
        "*conv1d*": "keep:convolution",
        "*A_log": "keep:recurrence",
        "*visual*": "keep:tower",
        "mtp.fc.weight": "keep:mtp",
    },
    export={"vllm": 0, "sglang": 0, "bf16": 0},
)
def _(m):
    """Gated DeltaNet, a vision tower, an MTP layer."""
    p = "model.language_model."
    t.outside(m, p)
    gdn(m, p + "layers.0.linear_attn.")
    t.attention(m, p + "layers.1.self_attn.", kv=128, names=("k_proj", "v_proj"))
    t.attention(m, p + "layers.1.self_attn.", q=512, kv=128)
    m.bf16(p + "layers.1.self_attn.o_proj.weight", t.H, 256)
    m.bf16(p + "layers.1.self_attn.k_proj.weight", 128, t.H)
    t.norms(m, p + "layers.1.self_attn.", "q_norm", "k_norm", size=64)
    for i in range(2):
        t.mlp(m, f"{p}layers.{i}.mlp.")
        t.norms(m, f"{p}layers.{i}.")
    qwen_tower(m, "model.visual.")
    m.bf16("mtp.fc.weight", t.H, 2 * t.H)
    t.mlp(m, "mtp.layers.0.mlp.")
    m.config.update(model_type="qwen3_5", architectures=["Qwen3_5ForConditionalGeneration"])
    m.config.update(num_hidden_layers=2, num_key_value_heads=2)
    m.nested_config("text_config", layer_types=["linear_attention", "full_attention"])


def gdn(m, p, joined=False):
    if joined:  # Qwen3-Next
        m.weights(p, {"in_proj_qkvz": (768, t.H), "in_proj_ba": (8, t.H)})
    else:  # Qwen3.5
        m.weights(p, {"in_proj_qkv": (512, t.H), "in_proj_z": (256, t.H)})
        m.weights(p, {"in_proj_a": (4, t.H), "in_proj_b": (4, t.H)})
    m.weights(p, {"conv1d": (512, 1, 4), "norm": (64,), "out_proj": (t.H, 256)})
    m.f32(p + "A_log", 4)
    m.bf16(p + "dt_bias", 4)


def qwen_tower(m, p, h=128):
    m.bf16(p + "patch_embed.proj.weight", h, 3, 2, 16, 16)
    m.weights(p, {"pos_embed": (64, h), "merger.linear_fc1": (4 * h, 4 * h)})
    p += "blocks.0."
    m.weights(p, {"attn.qkv": (3 * h, h), "attn.proj": (h, h)})
    m.weights(p, {"mlp.linear_fc1": (2 * h, h), "mlp.linear_fc2": (h, 2 * h)})


@case(
    "qwen3-next",
    decide={
        "*in_proj_qkvz.weight": "quantize",
        "*in_proj_ba.weight": "keep:gate",
        "*conv1d*": "keep",
    },
    export={"vllm": 0, "sglang": 0, "bf16": 0},
)
def _(m):
    """The joined spelling of Gated DeltaNet."""
    t.outside(m)
    gdn(m, "model.layers.0.linear_attn.", joined=True)
    t.mlp(m, "model.layers.0.mlp.")
    t.norms(m, "model.layers.0.")
    m.config.update(model_type="qwen3_next", architectures=["Qwen3NextForCausalLM"])
    m.config.update(num_experts=0, layer_types=["linear_attention"])


@case(
    "indexer-bf16",
    decide={
        "*indexer.w[qk]*.weight": "quantize",
        "*weights_proj*": "keep:indexer",
        "*kv_a*": "quantize",
    },
    export={"vllm": 0, "sglang": 0, "bf16": 0},
)
def _(m):
    """DeepSeek-V3.2 and GLM-5 in BF16: as their FP8 releases."""
    indexer_model(m)
    m.pop("*norm.weight")
    m.pop("*layernorm.weight")


@case(
    "ling-3",
    decide={
        "*layers.0.attention.[fg]_proj.weight": "quantize",
        "*layers.0.attention.b_proj.weight": "keep:gate",
        "*layers.1.attention.g_proj.weight": "keep:gate",
        "*dense.weight": "quantize",
        "*conv1d*": "keep",
    },
    export={"bf16": 0},
)
def _(m):
    """Ling-3.0: g_proj is quantized in KDA and kept in MLA; b_proj is kept."""
    t.outside(m)
    p = "model.layers.0.attention."
    t.attention(m, p, names=("q_proj", "k_proj", "v_proj", "dense"))
    m.weights(p, {"f_proj": (t.H, t.H), "g_proj": (t.H, t.H), "b_proj": (4, t.H)})
    for n in "qkv":
        m.bf16(f"{p}{n}_conv1d.weight", t.H, 1, 4)
    m.f32(p + "A_log", 4)
    m.f32(p + "dt_bias", t.H)
    p = "model.layers.1.attention."
    t.mla(m, p)
    m.rename(p + "o_proj", p + "dense")
    m.bf16(p + "g_proj.weight", 256, t.H)
    for i in range(2):
        t.mlp(m, f"model.layers.{i}.mlp.")
        t.norms(m, f"model.layers.{i}.")
    m.config.update(model_type="bailing_hybrid", architectures=["BailingMoeV3ForCausalLM"])
    m.config.update(num_hidden_layers=2)


@case(
    "kimi-linear",
    decide={
        "*[fg]_[ab]_proj.weight": "keep:low-rank",
        "*.b_proj.weight": "keep:gate",
        "*q_proj.weight": "quantize",
    },
    export={"bf16": 0},
)
def _(m):
    """Kimi-Linear: the low-rank f_a, f_b, g_a, g_b and b_proj are kept."""
    t.outside(m)
    p = "model.layers.0.self_attn."
    t.attention(m, p)
    m.weights(p, {"f_a_proj": (64, t.H), "f_b_proj": (t.H, 64), "b_proj": (4, t.H)})
    m.weights(p, {"g_a_proj": (64, t.H), "g_b_proj": (t.H, 64)})
    for n in "qkv":
        m.bf16(f"{p}{n}_conv1d.weight", t.H, 1, 4)
    m.f32(p + "A_log", 1, 1, 4, 1)
    m.f32(p + "dt_bias", t.H)
    t.mlp(m, "model.layers.0.mlp.")
    t.norms(m, "model.layers.0.")
    m.config.update(model_type="kimi_linear", architectures=["KimiLinearForCausalLM"])


@case(
    "mamba2-hybrid",
    decide={"*in_proj.weight": "quantize", "*out_proj.weight": "quantize", "*conv1d*": "keep"},
    export={"bf16": 0},
)
def _(m):
    """Nemotron-H: Mamba-2 mixers below backbone.layers, Infinity in config.json."""
    t.outside(m, "backbone.")
    p = "backbone.layers.0.mixer."
    m.weights(p, {"in_proj": (648, t.H), "out_proj": (t.H, 256), "conv1d": (384, 1, 4)})
    for n in ("A_log", "D", "dt_bias"):
        m.f32(p + n, 8)
    p = "backbone.layers.1.mixer."
    m.weights(p, {"up_proj": (512, t.H), "down_proj": (t.H, 512)})
    for i in range(2):
        t.norms(m, f"backbone.layers.{i}.", "norm")
    m.config.update(model_type="nemotron_h", architectures=["NemotronHForCausalLM"])
    m.config.update(num_hidden_layers=2, time_step_limit=[0.0, float("inf")])


@kinds(
    {"unknown-linear": {}, "unknown-mostly": {"says": (r"most|% of", "strange_matrix|another")}},
    says="strange_matrix",
)
def _(m, name):
    """Large matrices inside layers whose name is not known: one line after the conversion names them, and
    says so if they are most of the model."""
    t.llama(m)
    m.bf16("model.layers.0.mlp.strange_matrix.weight", 1024, t.H)
    if name == "unknown-mostly":
        m.pop("*mlp.*_proj.weight")
        m.bf16("model.layers.0.mlp.another.weight", 2048, t.H)


# Towers


@case(
    "gemma3-towers",
    decide={
        "*language_model*_proj.weight": "quantize",
        "*vision_tower*": "keep:tower",
        "*visual*": "keep:tower",
        "*audio_tower*": "keep:tower",
        "*projector*": "keep:tower",
    },
    export={"bf16": 0},
)
def _(m):
    """Four towers with layers and names like those of a language model: all kept, none by half."""
    for i in range(2):
        p = f"model.language_model.layers.{i}."
        t.attention(m, p + "self_attn.", kv=128)
        t.mlp(m, p + "mlp.")
        t.norms(m, p)
        p = f"model.vision_tower.vision_model.encoder.layers.{i}."
        t.attention(m, p + "self_attn.", 144, 144, 144, ("q_proj", "k_proj", "v_proj", "out_proj"))
        m.weights(p, {"mlp.fc1": (538, 144), "mlp.fc2": (144, 538)})
        p = f"model.vision_tower.transformer.layers.{i}."
        t.attention(m, p + "attention.", 144, 144, 144)
        t.mlp(m, p + "feed_forward.", 144, 538)
        p = f"model.visual.blocks.{i}."
        m.weights(
            p, {"attn.qkv": (432, 144), "attn.proj": (144, 144), "mlp.linear_fc1": (538, 144)}
        )
        t.mlp(m, p + "mlp.", 144, 538)
        p = f"model.audio_tower.layers.{i}.self_attn."
        t.attention(m, p, 144, 144, 144, ("q_proj", "k_proj", "v_proj", "out_proj"))
    m.bf16("model.multi_modal_projector.linear_1.weight", t.H, 144)
    t.outside(m, "model.language_model.")
    m.config.update(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3")
    m.config.update(num_hidden_layers=2, num_key_value_heads=2)
    m.nested_config("text_config")
    m.config["vision_config"] = {"hidden_size": 144, "num_hidden_layers": 2}


@case(
    "qwen25-vl",
    decide={"model*_proj.weight": "quantize", "visual.*": "keep:tower"},
    export={"vllm": 0, "sglang": 0, "bf16": 0},
)
def _(m):
    """420 rows in the MLP of the tower, named like the language model's."""
    t.llama(m)
    m.bf16("visual.patch_embed.proj.weight", 160, 3, 2, 14, 14)
    p = "visual.blocks.0."
    for n, s in (("attn.qkv", (480, 160)), ("attn.proj", (160, 160))):
        m.bf16(f"{p}{n}.weight", *s)
        m.bf16(f"{p}{n}.bias", s[0])
    t.mlp(m, p + "mlp.", 160, 420)
    t.norms(m, p, "norm1", "norm2", size=160)
    m.weights("visual.merger.mlp.", {"0": (640, 640), "2": (256, 640)})
    m.config.update(model_type="qwen2_5_vl", architectures=["Qwen2_5_VLForConditionalGeneration"])
    m.config["vision_config"] = {"depth": 1, "hidden_size": 160, "intermediate_size": 420}


@kinds(
    {
        f"tower-{name}": {"decide": {f"{name}.*": "keep:tower", "model*_proj.weight": "quantize"}}
        for name in (
            "vision_model",
            "vit",
            "speech_encoder",
            "audio_model",
            "mm_projector",
            "thinker.visual",
            "vision_embed_tokens",
        )
    },
    export={"bf16": 0},
)
def _(m, name):
    """A tower under another name, two of whose matrices have names of a language model."""
    t.llama(m)
    p = name.removeprefix("tower-") + ".encoder.layers.0."
    t.attention(m, p + "self_attn.", names=("q_proj", "k_proj", "v_proj", "out_proj"))
    m.weights(p, {"mlp.fc1": (512, 256), "mlp.fc2": (256, 512)})


# MTP and heads


@case(
    "glm-mtp",
    decide={
        "*shared_head.head.weight": "keep:head",
        "*eh_proj.weight": "keep:mtp",
        "*layers.2.embed_tokens.weight": "keep:embedding",
        "*layers.0*experts*": "quantize",
    },
    export={"hf": 0, "vllm": 0, "sglang": 0, "bf16": 0},
)
def _(m):
    """GLM-4.5: an MTP layer with a head and an embedding of its own."""
    t.glm_moe(m, layers=3, count=4)
    p = "model.layers.2."
    m.weights(p, {"eh_proj": (t.H, 2 * t.H), "enorm": (t.H,), "hnorm": (t.H,)})
    m.weights(p, {"embed_tokens": (t.VOCAB, t.H), "shared_head.head": (t.VOCAB, t.H)})
    t.norms(m, p, "shared_head.norm")
    m.config.update(num_hidden_layers=2, num_nextn_predict_layers=1)


@case(
    "nested-head", decide={"*lm_head.weight": "keep:head"}, never="head-missing", export={"bf16": 0}
)
def _(m):
    """language_model.lm_head.weight is a head: no warning that it is missing."""
    t.llama(m)
    m.tensors = {"language_model." + n: x for n, x in m.tensors.items()}
    m.config.update(model_type="kimi_vl", architectures=["KimiVLForConditionalGeneration"])


@case("head-missing", warns="head-missing")
def _(m):
    """Not tied, and no head anywhere."""
    t.llama(m, head=None)
