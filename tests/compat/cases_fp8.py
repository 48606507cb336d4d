"""Checkpoints that are already FP8, in the spellings in which people have them."""

import json

import tensors as t
from cases import case, kinds

ALL = {"*": 0}
# Scales that have 32 bits are not those of compressed-tensors.
NOT_CT = {"*": 0, "compressed-tensors": 5}
PROJ = {"*_proj.weight": "carry", "lm_head.weight": "keep", "*norm.weight": "keep"}
REQUANTIZED = {"*_proj.weight": "quantize"}
CHANNEL = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
        }
    },
}


def described(m, **changes):
    m.config["quantization_config"] = {**t.BLOCK_FP8, **changes}


# Block FP8 in tiles of 128 x 128: carried bit for bit


@kinds(
    {
        "fp8-block-f32": {"export": NOT_CT},
        "fp8-block-bf16": {"export": ALL, "never": "for 0.1 dB"},
        "fp8-block-f16": {"export": ALL},
        "fp8-block-e8m0": {"export": ALL},
        "fp8-block-f64": {"convert": (0, 5)},
    },
    decide=PROJ,
)
def _(m, name):
    """Scales in any float dtype are carried as they are."""
    t.llama(m)
    dtype = name.rsplit("-", 1)[1].upper().replace("E8M0", "F8_E8M0")
    t.fp8(m, "*_proj.weight", dtype=dtype)
    described(m, **({"scale_fmt": "ue8m0"} if dtype == "F8_E8M0" else {}))


@kinds(
    {
        "fp8-scale-weight-scale": {},
        "fp8-scale-dot-scale": {},
        "fp8-scale-e8m0-dot-scale": {},
        "fp8-scale-qscale-weight": {},
    },
    decide=PROJ,
)
def _(m, name):
    """Scales named .weight_scale, .scale (DeepSeek-V4, GPTQModel) or .qscale_weight (Mistral): the
    names change in the export, the bits do not."""
    t.llama(m)
    spelling = {"weight-scale": "_scale", "dot-scale": ".scale", "qscale-weight": ".qscale_weight"}
    scale = next(s for end, s in spelling.items() if name.endswith(end))
    t.fp8(m, "*_proj.weight", scale, dtype="F8_E8M0" if "e8m0" in name else "F32")
    described(m)


@case("fp8-clipped", decide=PROJ, export={"hf": 0, "vllm": 1, "sglang": 1, "bf16": 0})
def _(m):
    """288 rows: the last tile of q, k and v is clipped, so those who join them cannot load them."""
    t.llama(m, h=288)
    t.fp8(m, "*_proj.weight")
    described(m)


@case("fp8-undescribed", decide=PROJ, export=NOT_CT)
def _(m):
    """Codes and scales without any quantization_config."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")


@case(
    "fp8-partly", decide={"*self_attn*": "keep", "*mlp*": "carry"}, says="wide|makers|not FP8|kept"
)
def _(m):
    """Attention was left in BF16 by the makers, who list it: it stays BF16, with a note."""
    t.llama(m)
    t.fp8(m, "*mlp.*_proj.weight")
    wide = [f"model.layers.0.self_attn.{n}_proj" for n in "qkvo"]
    described(m, modules_to_not_convert=["lm_head", *wide])


@case("fp8-in-text-config", decide=PROJ, export=NOT_CT)
def _(m):
    """quantization_config inside text_config: the export has one, at the top level."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    m.config["text_config"] = {"num_hidden_layers": 1, "quantization_config": t.BLOCK_FP8}


@case("fp8-twice-described", decide=PROJ, export=NOT_CT)
def _(m):
    """At the top level and inside text_config, with the same contents: the export has one."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    described(m)
    m.config["text_config"] = {"num_hidden_layers": 1, "quantization_config": t.BLOCK_FP8}


@case("fp8-contradicted", convert=(0, 5))
def _(m):
    """Two descriptions that disagree about the tiles: the shapes of the scales decide, or a refusal."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    described(m)
    inner = {**t.BLOCK_FP8, "weight_block_size": [64, 64]}
    m.config["text_config"] = {"num_hidden_layers": 1, "quantization_config": inner}


@case("fp8-modelopt-blocks", decide=PROJ, export=NOT_CT, absent="hf_quant_config.json")
def _(m):
    """ModelOpt's FP8_PB_WO: block FP8 under weight_scale, described by hf_quant_config.json alone, which
    is not exported."""
    t.llama(m)
    t.fp8(m, "*_proj.weight", "_scale")
    text = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8_PB_WO"}}
    m.files["hf_quant_config.json"] = json.dumps(text)


@case("fp8-description-only", convert=(0, 5))
def _(m):
    """The BF16 weights of a dequantized model whose config.json still says FP8: never two descriptions,
    never FP8 that is not there."""
    t.llama(m)
    described(m)


@case("fp8-names-mixed", decide=PROJ, export=NOT_CT)
def _(m):
    """Two spellings in one model, and scales in another shard than their weights."""
    t.llama(m)
    t.fp8(m, "*mlp*_proj.weight", ".scale")
    t.fp8(m, "*self_attn*_proj.weight")
    described(m)
    names = {
        "1": [n for n in m.tensors if "scale" in n],
        "2": [n for n in m.tensors if "scale" not in n],
    }
    return {f"model-0000{k}-of-00002.safetensors": held for k, held in names.items()}


@kinds(
    {
        "fp8-ct-block": {"export": ALL},
        "fp8-ct-block-kv": {"export": ALL},
        "fp8-ct-block-rotated": {
            "export": {"*": 5},
            "why": {"*": ["transform"]},
            "says": ("transform",),
        },
    },
    decide=PROJ,
)
def _(m, name):
    """llm-compressor's FP8_BLOCK; with scales of the KV cache; with rotated weights, which are wrong without
    the rotation of activations that only its description demands."""
    t.llama(m)
    t.fp8(m, "*_proj.weight", "_scale", dtype="BF16")
    form = json.loads(json.dumps(CHANNEL).replace("channel", "block"))
    form["config_groups"]["group_0"]["weights"]["block_structure"] = [128, 128]
    form["ignore"] = ["lm_head"]
    if name.endswith("kv"):
        for kind in "kv":
            m.f32(f"model.layers.0.self_attn.{kind}_proj.{kind}_scale", 1, value=0.02)
        form["kv_cache_scheme"] = {"num_bits": 8, "type": "float", "strategy": "tensor"}
    if name.endswith("rotated"):
        apply = [{"targets": ["Linear"], "location": "input"}]
        form["transform_config"] = {"config_groups": {"R3": {"type": "hadamard", "apply": apply}}}
    m.config["quantization_config"] = form


@case("fp8-embedding", decide={"*embed_tokens*": "carry"}, export={"*": 5, "bf16": 0})
def _(m):
    """An embedding in FP8 with scales: no runtime reads it."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    t.fp8(m, "*embed_tokens.weight")
    described(m)


@case("fp8-norm", convert=(0, 5), export={"*": 5})
def _(m):
    """A vector of FP8 without scales."""
    t.llama(m)
    m.raw("model.norm.weight", "F8_E4M3", (t.H,))


@case("fp8-experts-stacked", decide={"*experts.*": "carry"})
def _(m):
    """Stacks of experts with stacks of scales, without .weight."""
    t.moe(m)
    m.pop("*experts*")
    t.stacked_experts(m, "model.layers.0.mlp.experts.", 2)
    t.fp8(m, "*self_attn*_proj.weight")
    t.fp8(m, "*experts.*_proj")
    described(m)


@case("fp8-experts-gaps", convert=(0, 5))
def _(m):
    """Experts 0, 1 and 3: one was lost."""
    t.moe(m, count=4)
    m.pop("*experts.2.*")
    t.fp8(m, "*_proj.weight")
    described(m)


@case("fp8-one-expert-wide", decide={"*experts.1.up_proj.weight": "keep"}, export={"bf16": 0})
def _(m):
    """One of the experts is BF16: no runtime builds such a layer."""
    t.moe(m, count=2)
    wide = m.pop("*experts.1.up_proj.weight")
    t.fp8(m, "*_proj.weight")
    m.tensors.update(wide)
    described(m)


@case("fp8-false-ue8m0", decide=PROJ, export=NOT_CT)
def _(m):
    """scale_fmt says that scales are powers of two, and they are not: the export does not say it."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    described(m, scale_fmt="ue8m0")


# FP8 otherwise: never silently, and what is proposed works


@kinds(
    {
        "fp8-block-64": {},
        "fp8-block-64-text-config": {},
        "fp8-block-32": {},
        "fp8-channel": {},
        "fp8-channel-1d": {},
        "fp8-tensor": {},
        "fp8-tensor-1": {},
        "fp8-block-1": {},
        "fp8-mixed-tiles": {"convert": 5, "mended": ()},  # the config contradicts the tensors
        "fp8-comfy": {},
        "fp8-fbgemm": {},
        "fp8-quark": {},
        "fp8-modelopt": {"absent": "hf_quant_config.json"},
    },
    convert=(0, 5),
    mended="--requantize",
)
def _(m, name):
    """Other tiles: refused, --requantize quantizes again; the source's description goes."""
    t.llama(m)
    block = {"fp8-block-32": [32, 32], "fp8-block-1": [1, 128]}.get(name, [64, 64])
    if "block" in name:
        t.fp8(m, "*_proj.weight", block=block)
        described(m, weight_block_size=block)
        if "text-config" in name:
            inner = m.config.pop("quantization_config")
            m.config["text_config"] = {"num_hidden_layers": 1, "quantization_config": inner}
    elif name == "fp8-mixed-tiles":
        t.fp8(m, "*mlp*_proj.weight")
        t.fp8(m, "*self_attn*_proj.weight", "_scale", shape=lambda r, c: ())
        described(m)
    elif name == "fp8-comfy":
        t.fp8(m, "*_proj.weight", ".scale_weight", shape=lambda r, c: ())
        m.put("scaled_fp8", "F8_E4M3", (0,), b"")
    elif name in ("fp8-fbgemm", "fp8-quark", "fp8-modelopt"):
        names = [n.removesuffix("weight") for n in m.tensors if n.endswith("_proj.weight")]
        rows = name == "fp8-fbgemm"
        t.fp8(m, "*_proj.weight", "_scale", shape=lambda r, c: (r, 1) if rows else ())
        for n in names:
            m.f32(n + ("input_scale_ub" if rows else "input_scale"), value=0.01)
        if name == "fp8-modelopt":
            m.files["hf_quant_config.json"] = '{"quantization": {"quant_algo": "FP8"}}'
        else:
            m.config["quantization_config"] = {"quant_method": "fbgemm_fp8" if rows else "quark"}
    elif "channel" in name:
        shape = (lambda r, c: (r,)) if "1d" in name else (lambda r, c: (r, 1))
        t.fp8(m, "*_proj.weight", "_scale", dtype="BF16", shape=shape)
        m.config["quantization_config"] = CHANNEL
    else:
        t.fp8(m, "*_proj.weight", "_scale", shape=lambda r, c: (1,) if "-1" in name else ())
        m.config["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "dynamic"}


@kinds(
    {
        "fp8-static-activations": {},
        "fp8-static-qscale-act": {},
    },
    options="--requantize",
    decide=REQUANTIZED,
    export=ALL,
)
def _(m, name):
    """Per-tensor FP8 with scales of activations and of the KV cache: the exported scheme is dynamic,
    and the scales that belong to the old one are dropped, with a note."""
    t.llama(m)
    mistral = name.endswith("qscale-act")
    names = [n for n in m.tensors if n.endswith("_proj.weight")]
    t.fp8(m, "*_proj.weight", ".qscale_weight" if mistral else "_scale", shape=lambda r, c: ())
    for n in (n.removesuffix("weight") for n in names):
        m.f32(n + ("qscale_act" if mistral else "input_scale"), value=0.01)
        for kind in "kv":
            if f"{kind}_proj" in n:
                m.f32(f"{n}{kind}_scale", value=0.02)
    described(m, activation_scheme="static", kv_cache_scheme="static")
    del m.config["quantization_config"]["weight_block_size"]


@case("fp8-static-blocks", decide=PROJ, export=NOT_CT)
def _(m):
    """Block FP8 with input_scale: weights are carried, the export is dynamic without input_scale."""
    t.llama(m)
    names = [n for n in m.tensors if n.endswith("_proj.weight")]
    t.fp8(m, "*_proj.weight")
    for n in names:
        m.f32(n.removesuffix("weight") + "input_scale", value=0.01)
    described(m, activation_scheme="static")


@kinds(
    {
        "fp8-mxfp8": {"says": "mxfp8|32|U8|requantize"},
        "fp8-transposed": {"convert": 5, "says": r"expected shape|transposed"},
        "fp8-floor": {"convert": 5, "says": r"expected shape"},
        "fp8-two-scales": {"says": "two names"},
        "fp8-no-scales": {"says": "without scales"},
        "fp8-fnuz": {"says": "FNUZ", "export": {"*": 5}},
        "fp8-e5m2": {"says": "E5M2", "export": {"*": 5}},
    },
    convert=(0, 5),
)
def _(m, name):
    """Spellings that are not understood: named, and never exported as something else."""
    kind = name.removeprefix("fp8-")
    t.llama(m, h=288 if kind in ("transposed", "floor") else t.H)
    described(m)
    if kind == "mxfp8":
        t.fp8(m, "*_proj.weight", "_scale", (1, 32), "U8")
        form = json.loads(json.dumps(CHANNEL).replace("channel", "group"))
        form["format"] = "mxfp8-quantized"
        form["config_groups"]["group_0"]["weights"]["group_size"] = 32
        m.config["quantization_config"] = form
    elif kind == "transposed":
        t.fp8(m, "*_proj.weight", shape=lambda r, c: (t.up(c, 128), t.up(r, 128)))
    elif kind == "floor":
        t.fp8(m, "*_proj.weight", shape=lambda r, c: (r // 128, c // 128))
    elif kind == "two-scales":
        names = [(n, x[1]) for n, x in m.tensors.items() if n.endswith("_proj.weight")]
        t.fp8(m, "*_proj.weight")
        for n, (rows, cols) in names:
            t.scales(m, n + "_scale", "F32", (t.up(rows, 128), t.up(cols, 128)))
    elif kind == "no-scales":
        t.fp8(m, "*_proj.weight", None)
        del m.config["quantization_config"]
    else:
        t.fp8(m, "*_proj.weight", code="F8_E4M3FNUZ" if kind == "fnuz" else "F8_E5M2")


# Heads


@case("fp8-head", decide={"lm_head.weight": "carry"}, export={"*": 5, "bf16": 0})
def _(m):
    """lm_head in FP8: every runtime builds it without scales. --dequantize is proposed."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    t.fp8(m, "lm_head.weight")
    described(m)


@case(
    "fp8-head-nested",
    decide={"language_model.lm_head.weight": "carry"},
    export={"*": 5, "bf16": 0},
)
def _(m):
    """The same below language_model."""
    t.llama(m)
    t.fp8(m, "*_proj.weight")
    t.fp8(m, "lm_head.weight")
    m.tensors = {"language_model." + n: x for n, x in m.tensors.items()}
    m.config.update(model_type="kimi_vl", architectures=["KimiVLForConditionalGeneration"])
    described(m)


@case(
    "fp8-mtp-head",
    decide={"*shared_head.head.weight": "carry"},
    export={"vllm": 5, "sglang": 5, "areal": 5, "bf16": 0},
    why={"vllm": ["shared_head.head", "dequantize"], "sglang": ["shared_head.head"]},
)
def _(m):
    """The head of the MTP layer in FP8: vLLM and SGLang build it without scales."""
    t.glm_moe(m, layers=3)
    t.fp8(m, "*_proj.weight")
    p = "model.layers.2."
    m.weights(p, {"eh_proj": (t.H, 2 * t.H), "enorm": (t.H,), "hnorm": (t.H,)})
    m.weights(p, {"embed_tokens": (t.VOCAB, t.H), "shared_head.head": (t.VOCAB, t.H)})
    t.norms(m, p, "shared_head.norm")
    m.config.update(num_hidden_layers=2, num_nextn_predict_layers=1)
    t.fp8(m, "*shared_head.head.weight")
    described(m)


@case(
    "fp8-indexer",
    decide={"*indexer.w[qk]*.weight": "carry", "*weights_proj*": "keep"},
    export={"hf": 0, "vllm": 0, "sglang": 0, "bf16": 0},
)
def _(m):
    """DeepSeek-V3.2: the indexer's wq_b and wk are FP8 in releases, weights_proj is not."""
    indexer_model(m)
    wide = m.pop("*weights_proj.weight")
    t.fp8(m, "*_proj.weight")
    m.tensors.update(wide)
    for pattern in ("*_proj_with_mqa.weight", "*indexer.wq_b.weight", "*indexer.wk.weight"):
        t.fp8(m, pattern)
    described(m)


def indexer_model(m):
    """One dense layer of DeepSeek-V3.2."""
    t.outside(m)
    p = "model.layers.0."
    t.mla(m, p + "self_attn.")
    m.weights(
        p + "self_attn.indexer.", {"wq_b": (256, 128), "wk": (128, t.H), "weights_proj": (2, t.H)}
    )
    for end in ("weight", "bias"):
        m.f32(f"{p}self_attn.indexer.k_norm.{end}", 128)
    t.mlp(m, p + "mlp.")
    t.norms(m, p)
    m.config.update(model_type="deepseek_v32", architectures=["DeepseekV32ForCausalLM"])
    m.config.update(num_key_value_heads=4, index_n_heads=2, index_head_dim=128, index_topk=64)
    m.config.update(first_k_dense_replace=1, n_routed_experts=8)
