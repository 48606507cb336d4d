"""Checkpoints that another method has quantized, in whole or in part.

What all have in common: convert says which method it was, carries the tensors bit for bit and adds no
FP8 to what its makers left wide; no runtime gets an export (exit 5), because octavo's config could not
describe it; the message names the method and the way out, the checkpoint itself.
"""

import json

import tensors as t
from cases import case, kinds

REFUSED = {"*": 5}
LEFT = {"*": "left"}


def refused(*method, **more):
    words = {"*": (*method, r"the checkpoint itself")}
    return {"export": REFUSED, "why": words, "decide": LEFT, "says": method, **more}


def compressed(form, **groups):
    """quantization_config of compressed-tensors."""
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "ignore": ["lm_head", "re:.*mlp.gate$"],
        "config_groups": groups,
    }


def group(form, targets, **weights):
    base = {"symmetric": True, "type": "float", "dynamic": False}
    return {"format": form, "targets": targets, "weights": {**base, **weights}}


INT4 = group("pack-quantized", ["Linear"], num_bits=4, type="int", strategy="group", group_size=32)
NVFP4 = group("nvfp4-pack-quantized", ["re:.*experts.*_proj$"], num_bits=4, group_size=16)
CT_BLOCK = group(
    "float-quantized",
    ["re:.*self_attn.*_proj$"],
    num_bits=8,
    strategy="block",
    block_structure=[128, 128],
)


def modelopt(algorithm, **more):
    text = {"producer": {"name": "modelopt", "version": "0.29.0"}}
    text["quantization"] = {"quant_algo": algorithm, "group_size": 16, **more}
    return json.dumps(text)


# compressed-tensors


@case(
    "ct-mixed-nvfp4", **refused("nvfp4", decide={"*experts*": "left", "*self_attn*proj*": "carry"})
)
def _(m):
    """Block FP8 attention is carried; the NVFP4 experts may not pass for plain numbers."""
    t.moe(m)
    t.fp8(m, "*self_attn*_proj.weight", "_scale", dtype="BF16")
    t.nvfp4(
        m, "*experts*_proj.weight", "weight_packed", "weight_global_scale", "input_global_scale"
    )
    m.config["quantization_config"] = compressed("mixed-precision", group_0=CT_BLOCK, group_1=NVFP4)


@case("ct-mixed-int4-one-shard", **refused("pack-quantized|int4|compressed-tensors"))
def _(m):
    """Only one expert, in the second shard, is quantized."""
    t.moe(m)
    t.pack_quantized(m, "*experts.1.up_proj.weight")
    m.config["quantization_config"] = compressed("pack-quantized", group_0=INT4)
    return m.halves()


@kinds(
    {
        "kimi-int4-text-config": {},
        "kimi-int4-thinker-config": {},
        "kimi-int4-language-config": {},
        "kimi-int4-depth-3": {},
    },
    **refused("int4|pack-quantized|compressed-tensors"),
)
def _(m, name):
    """The description is inside the config of the text model, as in Kimi-K2.5."""
    t.moe(m, prefix="language_model.model.")
    t.pack_quantized(m, "*experts*_proj.weight")
    inner = {"num_hidden_layers": 1}
    inner["quantization_config"] = compressed("pack-quantized", group_0=INT4)
    keys = {
        "kimi-int4-text-config": ["text_config"],
        "kimi-int4-thinker-config": ["thinker_config", "text_config"],
        "kimi-int4-language-config": ["language_config"],
        "kimi-int4-depth-3": ["llm_config", "language_model", "text_config"],
    }
    for key in reversed(keys[name]):
        inner = {key: inner}
    m.config.update(inner)


@case("ct-int4-undescribed", **refused("int4|weight_packed|packed"))
def _(m):
    """Nothing describes them: the tensors alone show it."""
    t.moe(m)
    t.pack_quantized(m, "*experts*_proj.weight")


@case("ct-int8-channel", **refused("int8|I8|compressed-tensors"))
def _(m):
    """W8A8: I8 weights with one scale a row."""
    t.llama(m)
    for name, (_, (rows, cols), _) in m.pop("*_proj.weight").items():
        m.raw(name, "I8", (rows, cols))
        t.scales(m, name + "_scale", "BF16", (rows, 1))
    group_0 = group("int-quantized", ["Linear"], num_bits=8, type="int", strategy="channel")
    m.config["quantization_config"] = compressed("int-quantized", group_0=group_0)


# ModelOpt


@case("modelopt-nvfp4-experts", **refused("nvfp4", absent="hf_quant_config.json"))
def _(m):
    """Experts in NVFP4, attention left in BF16 by its makers; only hf_quant_config.json says so."""
    t.moe(m)
    t.nvfp4(m, "*experts*_proj.weight")
    kept = ["lm_head", "model.layers.0.self_attn*", "model.layers.0.mlp.gate"]
    m.files["hf_quant_config.json"] = modelopt("NVFP4", exclude_modules=kept)


@case("modelopt-nvfp4-dense", **refused("nvfp4"))
def _(m):
    """The same in a dense model with two layers."""
    t.llama(m, layers=2)
    t.nvfp4(m, "*mlp.*_proj.weight")
    m.files["hf_quant_config.json"] = modelopt("NVFP4", exclude_modules=["lm_head", "*self_attn*"])


@case("modelopt-nvfp4-undescribed", **refused("nvfp4|weight_scale_2|U8"))
def _(m):
    """The side file was lost: weight_scale_2 and U8 weights show it."""
    t.llama(m)
    t.nvfp4(m, "*mlp.*_proj.weight")


@case("modelopt-mixed", **refused("nvfp4|mixed"))
def _(m):
    """MIXED_PRECISION with quantized_layers: FP8 for attention, NVFP4 for the MLP."""
    t.llama(m)
    t.fp8(m, "*self_attn*_proj.weight", "_scale", shape=lambda r, c: ())
    t.nvfp4(m, "*mlp.*_proj.weight")
    layers = {
        n.removesuffix(".weight"): {"quant_algo": "NVFP4" if "mlp" in n else "FP8"}
        for n in m.tensors
        if n.endswith("_proj.weight")
    }
    m.files["hf_quant_config.json"] = modelopt("MIXED_PRECISION", quantized_layers=layers)


# GPTQ, AWQ, bitsandbytes and others


@case("gptq-side-file", **refused("gptq", absent="quantize_config.json"))
def _(m):
    """AutoGPTQ: quantize_config.json, MLP in INT4, attention in BF16."""
    t.llama(m, layers=2)
    t.gptq(m, "*mlp.*_proj.weight")
    m.files["quantize_config.json"] = '{"bits": 4, "group_size": 128, "desc_act": false}'


@case("gptq-all", **refused("gptq", decide={"*": "left"}))
def _(m):
    """Nothing is left to quantize, which is not an error: everything is carried."""
    t.llama(m)
    t.gptq(m, "*_proj.weight")
    m.config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128}


@case("gptq-undescribed", **refused("gptq|qweight"))
def _(m):
    """qweight, qzeros and g_idx show it."""
    t.llama(m)
    t.gptq(m, "*mlp.down_proj.weight")


@case("awq", **refused("awq", decide={"*": "left"}))
def _(m):
    """As GPTQ without g_idx."""
    t.llama(m)
    t.gptq(m, "*_proj.weight", awq=True)
    m.config["quantization_config"] = {"quant_method": "awq", "bits": 4, "zero_point": True}


@case("bitsandbytes-nf4", **refused("bitsandbytes|nf4"))
def _(m):
    """U8 weights with absmax, quant_map and quant_state."""
    t.llama(m)
    t.bitsandbytes(m, "*_proj.weight")
    m.config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}


@case("bitsandbytes-int8", **refused("bitsandbytes|int8"))
def _(m):
    """I8 weights with SCB."""
    t.llama(m)
    t.bitsandbytes(m, "*mlp.*_proj.weight", bits=8)
    m.config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_8bit": True}


@case("quanto", **refused("quanto|_data"))
def _(m):
    """weight._data and weight._scale, no description in config.json."""
    t.llama(m)
    for name, (_, (rows, cols), _) in m.pop("*mlp.*_proj.weight").items():
        m.raw(name + "._data", "I8", (rows, cols))
        t.scales(m, name + "._scale", "BF16", (rows, 1))


@case("hqq", **refused("hqq|W_q"))
def _(m):
    """W_q with scale and zero."""
    t.llama(m)
    for name, (_, (rows, cols), _) in m.pop("*mlp.*_proj.weight").items():
        b = name.removesuffix("weight")
        m.raw(b + "W_q", "U8", (rows * cols // 128, 64))
        t.scales(m, b + "scale", "BF16", (rows * cols // 64, 1))
        t.scales(m, b + "zero", "BF16", (rows * cols // 64, 1))
    m.config["quantization_config"] = {"quant_method": "hqq"}


# FP4 beside FP8


@case("w4afp8", **refused("w4afp8|int4", decide={"*experts*": "left", "*self_attn*proj*": "carry"}))
def _(m):
    """INT4 experts as I8 with weight_scale_inv, beside block FP8."""
    t.moe(m)
    for name, (_, (rows, cols), _) in m.pop("*experts*_proj.weight").items():
        m.raw(name, "I8", (rows, cols // 2))
        t.scales(m, name + "_scale_inv", "BF16", (rows, cols // 128))
        m.f32(name.removesuffix("weight") + "input_scale", 1, value=0.01)
    t.fp8(m, "*self_attn*_proj.weight")
    config = {
        "quant_method": "w4afp8",
        "weight_block_size": [128, 128],
        "activation_scheme": "static",
    }
    m.config["quantization_config"] = config


@case("mxfp4-gpt-oss", **refused("mxfp4"))
def _(m):
    """Experts as *_blocks and *_scales; attention stays BF16."""
    t.llama(m)
    m.pop("*mlp*")
    p = "model.layers.0.mlp."
    m.weights(p, {"router": (2, t.H)})
    for name, rows, cols in (("gate_up_proj", 1024, t.H), ("down_proj", t.H, 512)):
        m.raw(f"{p}experts.{name}_blocks", "U8", (2, rows, cols // 32, 16))
        m.raw(f"{p}experts.{name}_scales", "U8", (2, rows, cols // 32), 120)
        m.bf16(f"{p}experts.{name}_bias", 2, rows)
    m.config.update(architectures=["GptOssForCausalLM"], model_type="gpt_oss", num_local_experts=2)
    wide = [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ]
    m.config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": wide}


@case(
    "mxfp4-deepseek-v4",
    **refused("fp4|I8", decide={"*experts*": "left", "*self_attn*proj*": "left"}),
)
def _(m):
    """Two FP4 values in each I8, scales named .scale, beside block FP8 with the same name of scales."""
    t.moe(m)
    for name, (_, (rows, cols), _) in m.pop("*experts*_proj.weight").items():
        m.raw(name, "I8", (rows, cols // 2))
        t.scales(m, name.removesuffix("weight") + "scale", "F8_E8M0", (rows, cols // 32))
    t.fp8(m, "*self_attn*_proj.weight", ".scale", dtype="F8_E8M0")
    m.config["quantization_config"] = {**t.BLOCK_FP8, "scale_fmt": "ue8m0"}
    m.config["expert_dtype"] = "fp4"


@case("u8-weights-unknown", **refused("unknown method"))
def _(m):
    """Integers where a linear weight should be, by an unknown method."""
    t.llama(m)
    for name, (_, shape, _) in m.pop("*mlp.*_proj.weight").items():
        m.raw(name, "U8", shape)


@case("unknown-method", says="fancyquant", export=REFUSED, why={"*": ["fancyquant"]})
def _(m):
    """A quant_method that octavo has never heard of, with tensors that look plain."""
    t.llama(m)
    m.config["quantization_config"] = {"quant_method": "fancyquant", "bits": 3}


LOW = {"odd-f4": ("F4", (4, 6)), "odd-e8m0": ("F8_E8M0", (7,)), "odd-fnuz": ("F8_E4M3FNUZ", (5, 5))}


@kinds({"odd-f4": refused("FP4"), "odd-e8m0": refused("E8M0"), "odd-fnuz": refused("FNUZ")})
def _(m, name):
    """One tensor of a dtype that only quantization has."""
    t.llama(m)
    m.raw("model.extra", *LOW[name])


@case("ct-compression-config", **refused("int4|pack-quantized"))
def _(m):
    """The older key of compressed-tensors."""
    t.llama(m)
    t.pack_quantized(m, "*mlp.*_proj.weight")
    m.config["compression_config"] = compressed("pack-quantized", group_0=INT4)


@case("modelopt-in-config", **refused("nvfp4"))
def _(m):
    """ModelOpt's description inside config.json."""
    t.llama(m)
    t.nvfp4(m, "*mlp.*_proj.weight")
    m.config["quantization_config"] = {"quant_method": "modelopt", "quant_algo": "NVFP4"}


@case("both-forms", **refused("int4|packed"))
def _(m):
    """The plain weights were left beside the packed ones."""
    t.llama(m)
    plain = dict(m.tensors)
    t.pack_quantized(m, "*mlp.*_proj.weight")
    m.tensors.update(plain)


@case(
    "gptq-and-a-rule",
    **refused("gptq", decide={"*self_attn*": "quantize", "*mlp*": "left"}),
    options=("--quantize", "*self_attn*_proj.weight"),
)
def _(m):
    """What its makers left wide is quantized only where a rule asks; the export is refused all the same."""
    t.llama(m)
    t.gptq(m, "*mlp.*_proj.weight")
    m.config["quantization_config"] = {"quant_method": "gptq", "bits": 4}


@kinds(
    {
        "exl3": refused("exl3|integers"),
        "aqlm": refused("aqlm|integers"),
        "bitnet": refused("bitnet|integers"),
        "eetq": refused("eetq|integers"),
        "auto-round": refused("auto-?round|gptq"),
    }
)
def _(m, name):
    """Rarer methods, described by config.json."""
    t.llama(m)
    m.config["quantization_config"] = {"quant_method": name}
    if name == "auto-round":
        t.gptq(m, "*mlp.*_proj.weight")
        return
    for tensor, (_, (rows, cols), _) in m.pop("*mlp.*_proj.weight").items():
        b = tensor.removesuffix("weight")
        if name == "exl3":
            m.raw(b + "trellis", "I16", (cols // 16, rows // 16, 48))
            t.scales(m, b + "suh", "F16", (cols,))
            t.scales(m, b + "svh", "F16", (rows,))
        elif name == "aqlm":
            m.raw(b + "codes", "I8", (rows, cols // 8, 1))
            t.scales(m, b + "codebooks", "F16", (1, 256, 1, 8))
            t.scales(m, b + "scales", "F16", (rows, 1, 1, 1))
        elif name == "bitnet":
            m.raw(b + "weight", "U8", (rows // 4, cols))
            t.scales(m, b + "weight_scale", "BF16", (1,))
        else:
            m.raw(b + "weight", "I8", (cols, rows))
            t.scales(m, b + "weight_scales", "F16", (rows,))


@case(
    "scales-of-plain-weights",
    export=REFUSED,
    why={"*": ("q_proj.scale", "scales of a weight")},
)
def _(m):
    """A plain weight next to what is named like its scales: once the weight is FP8, a reader could take
    these for its scales."""
    t.llama(m)
    m.f32("model.layers.0.self_attn.q_proj.scale", 1, value=0.01)


# What only looks so


@kinds(
    {
        "plain-null-description": {},
        "plain-empty-description": {"decide": {}, "export": {"*": 5}},
        "plain-nested-null-description": {},
        "plain-described-in-a-string": {},
        "plain-scales": {},
        "plain-integers": {},
        "plain-kv-scales": {"export": {"vllm": 0, "bf16": 0}},
    },
    decide={"*_proj.weight": "quantize"},
    export={"*": 0},
)
def _(m, name):
    """Nobody has quantized these: they are taken like any other model."""
    t.llama(m)
    p = "model.layers.0."
    if name == "plain-null-description":
        m.config["quantization_config"] = None
    elif name == "plain-empty-description":
        m.config["quantization_config"] = {}
    elif name == "plain-nested-null-description":
        m.config["text_config"] = {"quantization_config": None}
    elif name == "plain-described-in-a-string":
        m.config["note"] = '"quantization_config": {"quant_method": "gptq"}, \\"'
    elif name == "plain-scales":
        for scale in ("mlp.layer_scale", "self_attn.scale", "mlp.router.per_expert_scale"):
            m.bf16(p + scale, 4)
        m.bf16(p + "mlp.expert_scales", 4, 4)
    elif name == "plain-integers":
        m.raw(p + "self_attn.rotary_emb.position_ids", "I64", (1, 64))
        m.raw(p + "mlp.gate.tid2eid", "I64", (t.VOCAB, 2))
        m.raw(p + "self_attn.bias", "BOOL", (1, 1, 8, 8), 1)
    else:
        for kind in "kv":
            m.f32(f"{p}self_attn.{kind}_proj.{kind}_scale", 1, value=0.02)
