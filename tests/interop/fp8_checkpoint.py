#!/usr/bin/python3
"""Small checkpoints that are already FP8, of all the kinds that spec/quant.md section 8 defines.

    fp8_checkpoint.py DIR      write each kind to DIR/NAME

As a module: KINDS lists them; write(kind, directory) makes one, Maker makes others. The codes are all
codes except NaN, the scales any positive numbers of their dtype.
"""

import json
import os
import sys
import zlib
from dataclasses import dataclass, field

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import packed_format as pf  # noqa: E402
import st_write  # noqa: E402
from corner_checkpoint import to_bf16  # noqa: E402

HIDDEN, INNER, EXPERTS = 320, 200, 3
BLOCK = (128, 128)
CODES = np.array([c for c in range(256) if c & 0x7F != 0x7F], np.uint8)
INDEX = "model.safetensors.index.json"


def scale_bytes(rng, dtype, count, pow2):
    """Positive scales around 2^-10; powers of two if `pow2`, and always in F8_E8M0."""
    exponents = rng.integers(-16, -4, count)
    if dtype == "F8_E8M0":
        return (exponents + 127).astype(np.uint8).tobytes()
    mantissas = 1 if pow2 else 1 + rng.random(count)
    x = (np.ldexp(1.0, exponents) * mantissas).astype(np.float32)
    if dtype == "BF16":
        return to_bf16(x).tobytes()
    return x.astype("<f2" if dtype == "F16" else "<f4").tobytes()


class Maker:
    """Tensors under construction. The style (tile, dtype, suffix, pow2) is that of the scales."""

    def __init__(self, name, tile=BLOCK, dtype="F32", suffix="_scale_inv", pow2=False):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.tile, self.dtype, self.suffix, self.pow2 = tile, dtype, suffix, pow2
        self.tensors = []

    def add(self, name, dtype, shape, data):
        self.tensors.append((name, dtype, list(shape), data))

    def plain(self, name, *shape, dtype="BF16"):
        x = (self.rng.standard_normal(shape) * 0.02).astype(np.float32)
        self.add(name, dtype, shape, to_bf16(x).tobytes() if dtype == "BF16" else x.tobytes())

    def fp8(self, name, shape, scale_shape=None, dtype=None, suffix=None):
        """Codes and their scales; by default in the shape that follows from the tile."""
        shape = list(shape)
        if scale_shape is None:
            tiles = [pf.ceil_div(d, t) for d, t in zip(shape[-2:], self.tile)]
            scale_shape = shape[:-2] + tiles
        self.add(name, "F8_E4M3", shape, self.rng.choice(CODES, pf.product(shape)).tobytes())
        dtype = dtype or self.dtype
        data = scale_bytes(self.rng, dtype, pf.product(scale_shape), self.pow2)
        self.add(name + (suffix or self.suffix), dtype, scale_shape, data)

    def layer(self, i, experts="list", mixed=True):
        """Attention and experts as a model has them; if `mixed`, one matrix is not FP8."""
        p = f"model.layers.{i}."
        for name in ("input_layernorm", "post_attention_layernorm"):
            self.plain(p + name + ".weight", HIDDEN)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            self.fp8(f"{p}self_attn.{name}.weight", (HIDDEN, HIDDEN))
        self.plain(p + "mlp.gate.weight", EXPERTS, HIDDEN)
        self.plain(p + "mlp.gate.e_score_correction_bias", EXPERTS, dtype="F32")
        if experts == "list":
            for e in range(EXPERTS):
                self.mlp(f"{p}mlp.experts.{e}.")
        else:
            self.fp8(p + "mlp.experts.gate_up_proj", (EXPERTS, 2 * INNER, HIDDEN))
            self.fp8(p + "mlp.experts.down_proj", (EXPERTS, HIDDEN, INNER))
        self.mlp(p + "mlp.shared_experts.")
        if mixed:
            self.plain(p + "linear_attn.out_proj.weight", HIDDEN, INNER)

    def mlp(self, prefix):
        for name in ("gate_proj", "up_proj"):
            self.fp8(f"{prefix}{name}.weight", (INNER, HIDDEN))
        self.fp8(prefix + "down_proj.weight", (HIDDEN, INNER))

    def model(self, layers=2, **how):
        self.plain("model.embed_tokens.weight", 64, HIDDEN)
        for i in range(layers):
            self.layer(i, **how)
        self.plain("model.norm.weight", HIDDEN)
        self.plain("lm_head.weight", 64, HIDDEN)


# Configurations


def deepseek_config(tile=BLOCK, **more):
    return {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": list(tile),
        **more,
    }


def compressed_config(**weights):
    group = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", **weights}}
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}}


def config_text(quantization):
    """A config.json in an unusual spelling: whatever is not replaced must be preserved."""
    own = json.dumps(quantization, indent=4)
    member = f' "quantization_config" : {own} ,\n' if quantization else ""
    text = f'{{ "model_type":"deepseek_v3",\n{member}\t"rope_theta": 1.00E+4,"note":"\\u00e9 é }}"\n}}\n'
    return text.encode()


# Kinds


@dataclass
class Kind:
    name: str
    fill: object  # called with the Maker
    quantization: dict  # of the config; None: none
    style: dict = field(default_factory=dict)
    requantize: bool = False  # whether that is required
    config: bool = True  # whether there is a config.json


def fill_model(m):
    m.model()


def fill_pure(m):
    m.model(mixed=False)


def fill_fused(m):
    m.model(layers=1, experts="fused")


def fill_experts(m):
    """Experts that agree in some things only."""
    for p, changes in (
        ("w1", [{}, {"suffix": "_scale"}]),  # a stack nevertheless
        ("w2", [{}, {"dtype": "BF16"}]),
        ("w3", [{"dtype": "F8_E8M0"}] * 2),
        ("up_proj", [{"dtype": "F8_E8M0"}, {"dtype": "F16"}, {"dtype": "F32"}]),
    ):
        for e, change in enumerate(changes):
            m.fp8(f"model.layers.0.mlp.experts.{e}.{p}.weight", (130, 140), **change)
    m.fp8("model.layers.0.extra", (3, 130, 140))  # neither experts nor a known linear layer
    m.fp8("lm_head.weight", (70, 140))
    m.plain("model.layers.0.act_scale", 7)
    m.plain("model.layers.0.self_attn.q_proj.weight", 130, 140)
    m.plain("model.layers.0.self_attn.q_proj.weight_scale", 2, 2)  # not that of FP8
    m.add("model.layers.0.self_attn.k_proj.weight", "F8_E4M3", [0, 5], b"")
    m.add("model.layers.0.norm.weight", "F8_E4M3", [40], bytes(range(40)))


def fill_rows(m):
    """Scales of a row, of a tensor, and of 128 x 128, in one checkpoint."""
    shape, p = (200, 300), "model.layers.0."
    shapes = {"q_proj": [200, 1], "k_proj": [200], "v_proj": [], "o_proj": [1], "g_proj": [1, 1]}
    for k, (name, scales) in enumerate(shapes.items()):
        dtype = ("F32", "BF16", "F16", "F8_E8M0", "F32")[k]
        m.fp8(f"{p}self_attn.{name}.weight", shape, scales, dtype)
    m.fp8(p + "self_attn.q_a_proj.weight", shape)
    m.fp8(p + "self_attn.q_b_proj.weight", (100, 120), [1])
    m.fp8(p + "self_attn.kv_b_proj.weight", (100, 120), [1, 1])  # is 128 x 128 already
    m.fp8(p + "mlp.experts.gate_up_proj", (2, 200, 130), [2, 200, 1])
    for e, scales in enumerate(([200, 1], [], [200])):
        m.fp8(f"{p}mlp.experts.{e}.w1.weight", shape, scales, ("F32", "BF16", "F16")[e])


def fill_bands(m):
    """Several chunks per matrix, and tiles that end at no chunk boundary."""
    m.fp8("model.layers.0.self_attn.q_proj.weight", (600, 8192))
    m.fp8("model.layers.0.mlp.experts.down_proj", (2, 300, 8192))
    for e in range(2):
        m.fp8(f"model.layers.0.mlp.experts.{e}.w1.weight", (130, 200))


def fill_values(m):
    """Scales at the ends of the range of float32 and E8M0, codes of one value."""
    f32 = np.float32([2.0**-149, 2.0**-126, 7e35, 1.0, 0.0, -0.5]).tobytes()
    for k, name in enumerate(("q_proj", "k_proj", "v_proj")):
        m.fp8(f"model.layers.0.self_attn.{name}.weight", (256, 384))
        scales = (f32, f32, bytes([0, 1, 127, 120, 100, 245]))[k]
        dtype = "F8_E8M0" if k == 2 else "F32"
        m.tensors[-1] = (m.tensors[-1][0], dtype, [2, 3], scales)


CHANNEL = {"strategy": "channel"}
KINDS = [
    Kind("deepseek", fill_model, deepseek_config()),
    Kind("deepseek-pow2", fill_pure, deepseek_config(scale_fmt="ue8m0"), {"pow2": True}),
    Kind("e8m0", fill_model, deepseek_config(scale_fmt="ue8m0"), {"dtype": "F8_E8M0"}),
    Kind("qwen", fill_pure, deepseek_config(), {"dtype": "BF16"}),
    Kind(
        "compressed",
        fill_pure,
        compressed_config(strategy="block", block_structure=[128, 128]),
        {"dtype": "BF16", "suffix": "_scale"},
    ),
    Kind("half", fill_model, None, {"dtype": "F16", "suffix": "_scale"}),
    Kind("fused", fill_fused, deepseek_config()),
    Kind("experts", fill_experts, deepseek_config()),
    Kind("bare", fill_experts, None, {"dtype": "BF16"}, config=False),
    Kind("values", fill_values, None),
    Kind("tiles-64x64", fill_fused, deepseek_config((64, 64)), {"tile": (64, 64)}, True),
    Kind("tiles-128x64", fill_model, deepseek_config((128, 64)), {"tile": (128, 64)}, True),
    Kind(
        "tiles-256x32",
        fill_model,
        compressed_config(strategy="block", block_structure=[256, 32]),
        {"tile": (256, 32), "dtype": "BF16", "suffix": "_scale"},
        True,
    ),
    Kind("rows", fill_rows, compressed_config(**CHANNEL), {"suffix": "_scale"}, True),
    Kind("bands", fill_bands, deepseek_config((100, 96)), {"tile": (100, 96)}, True),
    Kind(
        "bands-1000",
        fill_bands,
        deepseek_config((1000, 1)),
        {"tile": (1000, 1), "dtype": "F16"},
        True,
    ),
    Kind("bands-carried", fill_bands, None, {"dtype": "BF16"}),
]


# Files


def write_tensors(directory, tensors, shards=3):
    """The tensors, distributed over `shards` shards, with an index."""
    os.makedirs(directory)
    weight_map = {}
    for k in range(shards):
        part = tensors[k::shards]
        order = [t[0] for t in st_write.file_order([t[:3] for t in part])]
        part.sort(key=lambda t: order.index(t[0]))
        name = f"model-{k + 1:05}-of-{shards:05}.safetensors"
        st_write.write_file(os.path.join(directory, name), part, {"format": "pt"})
        weight_map.update({t[0]: name for t in part})
    write_text(directory, INDEX, json.dumps({"metadata": {}, "weight_map": weight_map}).encode())


def write_text(directory, name, data):
    with open(os.path.join(directory, name), "wb") as f:
        f.write(data)


def write(kind, directory):
    m = Maker(kind.name, **kind.style)
    kind.fill(m)
    write_tensors(directory, m.tensors)
    if kind.config:
        write_text(directory, "config.json", config_text(kind.quantization))


def main():
    for kind in KINDS:
        write(kind, os.path.join(sys.argv[1], kind.name))


if __name__ == "__main__":
    main()
