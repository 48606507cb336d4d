#!/usr/bin/python3
"""Write a small checkpoint that another tool has quantized, in whole or in part, without numpy.

    quantized_checkpoint.py DIR KIND       KIND: one of those below; --list prints them

A Llama of one layer (hidden 128, intermediate 256), in some kinds with two experts. Values are random;
names, dtypes, shapes and descriptions are those that the tool writes. The same KIND always gives the
same bytes.
"""

import json
import os
import random
import struct
import sys

import st_write

H, I, VOCAB = 128, 256, 40
ATTENTION = {f"self_attn.{n}_proj": (H, H) for n in "qkvo"}
MLP = {"gate_proj": (I, H), "up_proj": (I, H), "down_proj": (H, I)}
LAYER = "model.layers.0."
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": H,
    "intermediate_size": I,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


def up(a, b):
    return -(-a // b)


class Model:
    """Tensors by name, the config, and other files."""

    def __init__(self, kind):
        self.rng = random.Random(kind)
        self.tensors = {}
        self.config = dict(CONFIG)
        self.files = {}
        for name, rows in (("model.embed_tokens", VOCAB), ("lm_head", VOCAB)):
            self.bf16(name + ".weight", (rows, H))
        for name in ("model.norm", LAYER + "input_layernorm", LAYER + "post_attention_layernorm"):
            self.bf16(name + ".weight", (H,))

    def put(self, name, dtype, shape, data):
        assert len(data) == st_write.tensor_bytes(dtype, shape), name
        self.tensors[name] = (dtype, list(shape), data)

    def raw(self, name, dtype, shape):
        self.put(name, dtype, shape, self.rng.randbytes(st_write.tensor_bytes(dtype, shape)))

    def zeros(self, name, dtype, shape):
        self.put(name, dtype, shape, bytes(st_write.tensor_bytes(dtype, shape)))

    def bf16(self, name, shape):
        """Magnitudes between 2^-9 and 2^-2."""
        data = bytearray(self.rng.randbytes(st_write.tensor_bytes("BF16", shape)))
        for i in range(1, len(data), 2):
            data[i] = data[i] & 0x80 | 0x3B + (data[i] & 3)
        self.put(name, "BF16", shape, bytes(data))

    def scale(self, name, dtype, shape):
        """Positive and around 2^-9 to 2^-7."""
        count = st_write.tensor_bytes(dtype, shape) * 8 // st_write.BITS[dtype]
        values = [0.002 + self.rng.random() * 0.006 for _ in range(count)]
        if dtype == "F32":
            data = struct.pack(f"<{count}f", *values)
        elif dtype == "F16":
            data = struct.pack(f"<{count}e", *values)
        elif dtype == "BF16":
            data = b"".join(struct.pack("<f", v)[2:] for v in values)
        else:
            data = bytes(118 + int(v * 400) for v in values)
        self.put(name, dtype, shape, data)

    def fp8(self, name, shape, dtype="F8_E4M3"):
        """Any code but those that are NaN or infinite in one of the formats."""
        data = self.rng.randbytes(st_write.tensor_bytes(dtype, shape))
        odd = bytes(b & 0xBB if b & 0x7F >= 0x7C or b == 0x80 else b for b in range(256))
        self.put(name, dtype, shape, data.translate(odd))

    def wide(self, modules, prefix=LAYER):
        for name, shape in modules.items():
            self.bf16(f"{prefix}{name}.weight", shape)

    def block_fp8(self, modules, end="_scale_inv", dtype="F32", tile=128, prefix=LAYER):
        for name, (r, c) in modules.items():
            self.fp8(f"{prefix}{name}.weight", (r, c))
            suffix = f".weight{end}" if end[0] == "_" else "." + end
            self.scale(prefix + name + suffix, dtype, (up(r, tile), up(c, tile)))


def each(modules, prefix=LAYER):
    return [(f"{prefix}{name}.", *shape) for name, shape in modules.items()]


DENSE = {"mlp." + n: s for n, s in MLP.items()}
EXPERTS = {f"mlp.experts.{e}.{n}": s for e in range(2) for n, s in MLP.items()}
LINEAR = {**ATTENTION, **DENSE}


def mixture(m):
    m.config.update(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", num_experts=2,
                    num_experts_per_tok=1, moe_intermediate_size=I)
    m.bf16(LAYER + "mlp.gate.weight", (2, H))


def nvfp4(m):
    """ModelOpt: experts in NVFP4, attention left alone, described only in hf_quant_config.json."""
    mixture(m)
    m.wide(ATTENTION)
    for p, r, c in each(EXPERTS):
        m.raw(p + "weight", "U8", (r, c // 2))
        m.fp8(p + "weight_scale", (r, c // 16))
        m.scale(p + "weight_scale_2", "F32", ())
        m.scale(p + "input_scale", "F32", ())
    m.files["hf_quant_config.json"] = {
        "producer": {"name": "modelopt", "version": "0.29.0"},
        "quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]},
    }


def mixed(m):
    """compressed-tensors: attention in block FP8, experts in NVFP4."""
    mixture(m)
    m.block_fp8(ATTENTION, "_scale", "BF16")
    for p, r, c in each(EXPERTS):
        m.raw(p + "weight_packed", "U8", (r, c // 2))
        m.fp8(p + "weight_scale", (r, c // 16))
        m.scale(p + "weight_global_scale", "F32", (1,))
    block = {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128]}
    groups = {
        "group_0": {"format": "float-quantized", "weights": block},
        "group_1": {"format": "nvfp4-pack-quantized", "weights": {"num_bits": 4, "type": "float"}},
    }
    m.config["quantization_config"] = {"quant_method": "compressed-tensors",
                                       "format": "mixed-precision", "config_groups": groups}


def gptq(m, described="quantize_config.json"):
    """AutoGPTQ: MLP in four bits, attention left alone."""
    m.wide(ATTENTION)
    for p, r, c in each(DENSE):
        m.raw(p + "qweight", "I32", (c // 8, r))
        m.zeros(p + "qzeros", "I32", (c // 32, r // 8))
        m.scale(p + "scales", "F16", (c // 32, r))
        m.zeros(p + "g_idx", "I32", (c,))
    if described:
        m.files[described] = {"bits": 4, "group_size": 32, "desc_act": False}


def undescribed(m):
    """The same without a word."""
    gptq(m, None)


def bnb(m):
    for p, r, c in each(LINEAR):
        m.raw(p + "weight", "U8", (r * c // 2, 1))
        m.raw(p + "weight.absmax", "U8", (r * c // 64,))
        m.scale(p + "weight.quant_map", "F32", (16,))
        m.raw(p + "weight.quant_state.bitsandbytes__nf4", "U8", (80,))
    m.config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}


def int4(m):
    """compressed-tensors: experts in four bits, described in text_config."""
    mixture(m)
    m.wide(ATTENTION)
    for p, r, c in each(EXPERTS):
        m.raw(p + "weight_packed", "I32", (r, c // 8))
        m.scale(p + "weight_scale", "BF16", (r, c // 32))
        m.zeros(p + "weight_shape", "I32", (2,))
    weights = {"num_bits": 4, "group_size": 32, "strategy": "group", "type": "int"}
    m.config["text_config"] = {"num_hidden_layers": 1, "quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}}


def w4afp8(m):
    mixture(m)
    m.block_fp8(ATTENTION)
    for p, r, c in each(EXPERTS):
        m.raw(p + "weight", "I8", (r, c // 2))
        m.scale(p + "weight_scale_inv", "BF16", (r, up(c, 128)))
        m.scale(p + "input_scale", "F32", (1,))
    m.config["quantization_config"] = {**FP8, "quant_method": "w4afp8"}


def mxfp4(m):
    """As gpt-oss has it."""
    mixture(m)
    m.wide(ATTENTION)
    for name, (r, c) in {"gate_up_proj": (2 * I, H), "down_proj": (H, I)}.items():
        p = f"{LAYER}mlp.experts.{name}_"
        m.raw(p + "blocks", "U8", (2, r, c // 32, 16))
        m.raw(p + "scales", "U8", (2, r, c // 32))
        m.bf16(p + "bias", (2, r))
    m.config["quantization_config"] = {"quant_method": "mxfp4"}


def mxfp8(m):
    for p, r, c in each(LINEAR):
        m.fp8(p + "weight", (r, c))
        m.scale(p + "weight_scale", "U8", (r, c // 32))


def fnuz(m):
    m.wide(ATTENTION)
    for p, r, c in each(DENSE):
        m.fp8(p + "weight", (r, c), "F8_E4M3FNUZ")
        m.scale(p + "weight_scale_inv", "F32", (up(r, 128), up(c, 128)))
    m.config["quantization_config"] = FP8


def e5m2(m):
    for p, r, c in each(LINEAR):
        m.fp8(p + "weight", (r, c), "F8_E5M2")
        m.scale(p + "weight_scale", "F32", ())


def plaincast(m):
    for p, r, c in each(LINEAR):
        m.fp8(p + "weight", (r, c))


def per_tensor(m):
    """AutoFP8: one scale for each tensor, static scales of activations and of the KV cache."""
    for p, r, c in each(LINEAR):
        m.fp8(p + "weight", (r, c))
        m.scale(p + "weight_scale", "F32", ())
        m.scale(p + "input_scale", "F32", ())
    m.scale(LAYER + "self_attn.k_proj.k_scale", "F32", ())
    m.scale(LAYER + "self_attn.v_proj.v_scale", "F32", ())
    m.config["quantization_config"] = {"quant_method": "fp8", "activation_scheme": "static"}


def kv_scales(m):
    """Block FP8 with scales of activations and of the KV cache."""
    m.block_fp8(LINEAR)
    for p, _, _ in each(LINEAR):
        m.scale(p + "input_scale", "F32", (1,))
    for name in ("self_attn.k_proj.k_scale", "self_attn.v_proj.v_scale", "self_attn.q_scale"):
        m.scale(LAYER + name, "F32", ())
    m.config["quantization_config"] = FP8


def dot_scale(m):
    m.block_fp8(LINEAR, "scale", "F8_E8M0")
    m.config["quantization_config"] = {**FP8, "scale_fmt": "ue8m0"}


def mistral(m):
    m.block_fp8(LINEAR, "qscale_weight", "BF16")
    for p, _, _ in each(LINEAR):
        m.scale(p + "qscale_act", "F32", ())
    m.files["params.json"] = {"dim": H, "quantization": {"qformat_weight": "fp8_e4m3"}}


def comfy(m):
    for p, r, c in each(LINEAR):
        m.fp8(p + "weight", (r, c))
        m.scale(p + "scale_weight", "F32", ())
    m.put("scaled_fp8", "F8_E4M3", (0,), b"")


def nested(m):
    """Block FP8, described in text_config and, in other words, in hf_quant_config.json."""
    m.block_fp8(LINEAR)
    m.config["text_config"] = {"quantization_config": FP8, "num_hidden_layers": 1}
    m.files["hf_quant_config.json"] = {"quantization": {"quant_algo": "FP8_PB_WO"}}


def nested64(m):
    m.block_fp8(LINEAR, tile=64)
    m.config["text_config"] = {"quantization_config": {**FP8, "weight_block_size": [64, 64]}}


def stale(m):
    """All numbers are plain, but the config says otherwise."""
    m.wide(LINEAR)
    m.config["quantization_config"] = {"quant_method": "awq", "bits": 4}


def stray(m):
    """Plain weights, and scales that were left behind."""
    m.wide(LINEAR)
    m.scale(LAYER + "mlp.up_proj.weight_scale", "F32", (I, 1))


KINDS = (nvfp4, mixed, gptq, undescribed, bnb, int4, w4afp8, mxfp4, mxfp8, fnuz, e5m2, plaincast,
         per_tensor, kv_scales, dot_scale, mistral, comfy, nested, nested64, stale, stray)


def write(directory, kind):
    m = Model(kind.__name__)
    kind(m)
    os.makedirs(directory)
    tensors = st_write.file_order([(n, d, s) for n, (d, s, _) in m.tensors.items()])
    st_write.write_file(os.path.join(directory, "model.safetensors"),
                        [(n, d, s, m.tensors[n][2]) for n, d, s in tensors], {"format": "pt"})
    for name, value in {"config.json": m.config, **m.files}.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=2)


def main():
    kinds = {k.__name__: k for k in KINDS}
    if sys.argv[1:] == ["--list"]:
        print(*kinds, sep="\n")
        return 0
    if len(sys.argv) != 3 or sys.argv[2] not in kinds:
        print(__doc__, file=sys.stderr)
        return 2
    write(sys.argv[1], kinds[sys.argv[2]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
