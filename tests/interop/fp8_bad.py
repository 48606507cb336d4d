"""FP8 checkpoints that must be refused (spec/quant.md section 8), and how.

CASES lists them. The second writer must refuse each as well, except those about a rule, which it
does not check. CARRIED lists FP8 that convert only copies.
"""

import struct
from dataclasses import dataclass, field

import fp8_checkpoint
from fp8_checkpoint import compressed_config, deepseek_config

LAYER = "model.layers.0."
W = LAYER + "self_attn.q_proj.weight"
EXPERTS = LAYER + "mlp.experts.gate_up_proj"
SHAPE, TILES = (200, 300), [2, 3]
NAN, INFINITE = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))
HALF_NAN, HALF_INFINITE, BF16_NAN = b"\x01\xfc", b"\x00\x7c", b"\xc0\x7f"


@dataclass
class Bad:
    name: str
    fill: object  # called with a Maker
    says: list  # what the message must contain
    quantization: dict = None
    options: list = field(default_factory=list)
    status: int = 5

    def write(self, directory):
        m = fp8_checkpoint.Maker(self.name)
        m.plain(LAYER + "mlp.up_proj.weight", 64, 64)
        self.fill(m)
        fp8_checkpoint.write_tensors(directory, m.tensors, shards=2)
        text = fp8_checkpoint.config_text(self.quantization)
        fp8_checkpoint.write_text(directory, "config.json", text)


def pair(shape=SHAPE, scale_shape=None, dtype="F32", suffix="_scale_inv", name=W):
    return lambda m: m.fp8(name, shape, scale_shape, dtype, suffix)


def alone(name, dtype="F8_E4M3", shape=SHAPE):
    """A tensor of zeros without scales."""
    bits = {"F8_E4M3": 8, "F8_E5M2": 8, "BF16": 16, "F32": 32}[dtype]
    size = bits // 8
    for d in shape:
        size *= d
    return lambda m: m.add(name, dtype, list(shape), bytes(size))


def both(*fills):
    return lambda m: [fill(m) for fill in fills]


def spoiled(which, at, data, **how):
    """A pair with some bytes of the codes (which = -2) or scales (-1) replaced."""

    def fill(m):
        pair(**how)(m)
        name, dtype, shape, old = m.tensors[which]
        raw = bytearray(old)
        raw[at : at + len(data)] = data
        m.tensors[which] = (name, dtype, shape, bytes(raw))

    return fill


def scales_of_dtype(dtype, size):
    return both(alone(W), lambda m: m.add(W + "_scale_inv", dtype, TILES, bytes(6 * size)))


ORPHAN = LAYER + "mlp.down_proj.weight_scale_inv"
ALLOWED = ["--requantize"]

NAMES = [
    Bad("orphan scales", alone(ORPHAN, "F32", TILES), [ORPHAN]),
    Bad("scales of BF16", both(alone(W, "BF16"), alone(W + "_scale_inv", "F32", TILES)), [W]),
    Bad("no scales", alone(W), [W]),
    Bad("no scales of experts", alone(EXPERTS, shape=(2, 20, 30)), [EXPERTS]),
    Bad(
        "both names",
        both(pair(), alone(W + "_scale", "F32", TILES)),
        [W, W + "_scale_inv and another"],
    ),
    Bad("a rule to quantize", pair(), [W], options=["--quantize", W], status=2),
    Bad(
        "scales of a kept tensor that is not FP8",
        both(alone(W, "BF16"), alone(W + "_scale_inv", "F32", TILES)),
        [W],
        options=["--keep", W],
    ),
]

SHAPES = [
    Bad(
        f"scales of shape {scales} for {shape}",
        pair(shape, scales, name=name),
        [name + "_scale_inv"],
        options=ALLOWED,
    )
    for name, shape, scales in (
        (W, SHAPE, [3, 2]),
        (W, SHAPE, [2, 2]),
        (W, SHAPE, [2, 4]),
        (W, SHAPE, [6]),
        (W, SHAPE, [2, 3, 1]),
        (W, SHAPE, [1, 2, 3]),
        (W, SHAPE, [300]),
        (W, SHAPE, [1, 300]),
        (W, SHAPE, [200, 2]),
        (W, SHAPE, [1, 1, 1]),
        (W, SHAPE, [4, 5]),  # of 64 x 64, which no config states
        (EXPERTS, (2, 200, 300), [2, 3]),
        (EXPERTS, (2, 200, 300), [3, 2, 3]),
        (EXPERTS, (2, 200, 300), [2]),
        (EXPERTS, (2, 200, 300), [2, 1, 1]),
        (EXPERTS, (2, 200, 300), [2, 200]),
        (EXPERTS, (2, 200, 300), []),
    )
] + [
    Bad(
        f"scales of shape {scales} where the config says {tile}",
        pair(SHAPE, scales),
        [W + "_scale_inv"],
        config,
        ALLOWED,
    )
    for scales, tile, config in (
        ([2, 3], "64 x 64", deepseek_config((64, 64))),
        ([4, 5], "128 x 128", deepseek_config()),
        ([200, 1], "128 x 128", deepseek_config()),
        ([200], "128 x 128", deepseek_config()),
        ([], "128 x 128", deepseek_config()),
        ([1, 1], "128 x 128", compressed_config(block_structure=[128, 128])),
        ([4, 5], "128 x 64", compressed_config(block_structure=[128, 64])),
    )
]

DTYPES = [
    Bad(f"scales of dtype {dtype}", scales_of_dtype(dtype, size), [W + "_scale_inv", dtype])
    for dtype, size in (("F64", 8), ("F8_E4M3", 1), ("F8_E5M2", 1), ("I32", 4))
]

# FP8 that is copied as it is, and that no export can describe.
CARRIED = [
    Bad("E5M2", both(alone(W, "F8_E5M2"), alone(W + "_scale_inv", "F32", TILES)), ["F8_E5M2"], status=0),
    Bad("MXFP8", scales_of_dtype("U8", 1), ["MXFP8"], status=0),
    Bad(
        "FP8 of one dimension",
        both(alone(W, shape=[9]), alone(W + "_scale_inv", "F32", [1])),
        [],
        status=0,
    ),
    Bad(
        "FP8 without elements",
        both(alone(W, shape=[0, 9]), alone(W + "_scale_inv", "F32", [0, 1])),
        [],
        status=0,
    ),
]

VALUES = [
    Bad("a NaN among codes", spoiled(-2, 777, b"\x7f"), [W, "777"]),
    Bad("NaNs among codes", spoiled(-2, 777, b"\xff\x7f"), [W, "777", "2"]),
    Bad(
        "a NaN among codes, requantized",
        spoiled(-2, 301, b"\x7f", scale_shape=[200, 1]),
        [W, "301"],
        options=ALLOWED,
    ),
    Bad("a NaN scale", spoiled(-1, 16, NAN), [W + "_scale_inv", "4"]),
    Bad("an infinite scale", spoiled(-1, 20, INFINITE), [W + "_scale_inv", "5"]),
    Bad("a NaN scale in BF16", spoiled(-1, 2, BF16_NAN, dtype="BF16"), [W + "_scale_inv", "1"]),
    Bad(
        "a NaN scale in F16", spoiled(-1, 2, HALF_NAN, dtype="F16", suffix="_scale"), [W + "_scale"]
    ),
    Bad("an infinite scale in F16", spoiled(-1, 2, HALF_INFINITE, dtype="F16"), [W + "_scale_inv"]),
    Bad("a NaN scale in E8M0", spoiled(-1, 3, b"\xff", dtype="F8_E8M0"), [W + "_scale_inv", "3"]),
    Bad("a NaN scale, requantized", spoiled(-1, 0, NAN, scale_shape=[]), [W, "0"], options=ALLOWED),
    Bad(
        "an infinite number",
        spoiled(-1, 0, struct.pack("<f", 3e38), scale_shape=[1]),
        [W],
        options=ALLOWED,
    ),
]

TILES_REFUSED = [
    Bad("tiles of 64", pair(SHAPE, [4, 5]), [W, "--requantize"], deepseek_config((64, 64))),
    Bad("tiles of a row", pair(SHAPE, [200, 1]), [W, "--requantize"]),
    Bad(
        "tiles of an expert's row",
        pair((2, 200, 300), [2, 200, 1], name=EXPERTS),
        [EXPERTS, "--requantize"],
    ),
    Bad("one tile", pair(SHAPE, []), [W, "--requantize"], compressed_config(strategy="tensor")),
    Bad("F32 for ue8m0", pair(), [W, "--requantize"], options=["--scales", "ue8m0"]),
    Bad(
        "BF16 for ue8m0",
        pair(dtype="BF16"),
        [W, "--requantize"],
        options=["--scales", "ue8m0"],
    ),
]

CASES = NAMES + SHAPES + DTYPES + VALUES + TILES_REFUSED
