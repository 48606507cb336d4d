"""FP8 checkpoints as other tools make them: the tiles of 128 x 128, but another rule for scales or rounding.

    write(source, rule, quantized, directory)        RULES has the names

What octavo would quantize is quantized, everything else is copied. octavo carries such codes as they are, and the
forward pass compares them with those of its own definition: a rule that is as good passes, a worse one does not.
"""

import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "interop")]
import st_write  # noqa: E402
from corner_checkpoint import to_bf16  # noqa: E402
from quantizer_np import BOUNDARIES, MAGNITUDES  # noqa: E402

TILE = 128
QUANTIZATION = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "weight_block_size": [TILE, TILE],
}


def nearest(x, _):
    return np.searchsorted(BOUNDARIES, x, side="right")


def toward_zero(x, _):
    return np.searchsorted(MAGNITUDES, x, side="right") - 1


def stochastic(x, rng):
    """Up or down, with probabilities that make the mean right."""
    low = np.minimum(toward_zero(x, rng), len(MAGNITUDES) - 2)
    step = MAGNITUDES[low + 1] - MAGNITUDES[low]
    return low + (rng.random(x.shape, np.float32) * step < x - MAGNITUDES[low])


def scale_of(largest, dtype="F32"):
    return lambda amax: (amax / np.float32(largest)).astype(np.float32), dtype


def power_of_two(amax):
    """The least power of two from amax / 448 up."""
    fraction, exponent = np.frexp(amax / np.float32(448))
    return np.ldexp(np.float32(1), exponent - (fraction == 0.5)).astype(np.float32)


# name: what it does, the scale, its dtype, the rounding, whether its error is at most 1.05 times the least (None: that
# depends on the weights)
RULES = {
    "bf16": ("scales rounded to BF16", *scale_of(448, "BF16"), nearest, True),
    "f16": ("scales rounded to F16", *scale_of(448, "F16"), nearest, True),
    "amax/240": ("scales of amax / 240", *scale_of(240), nearest, None),
    "power": ("scales rounded up to powers of two", power_of_two, "F32", nearest, True),
    "e8m0": ("the same, stored as E8M0", power_of_two, "F8_E8M0", nearest, True),
    "amax/224": ("scales of amax / 224: one bit of range is lost", *scale_of(224), nearest, True),
    "truncate": ("rounding toward zero", *scale_of(448), toward_zero, False),
    "stochastic": ("stochastic rounding", *scale_of(448), stochastic, False),
}


def as_stored(scales, dtype):
    """The bytes of scales, and what they stand for."""
    if dtype == "BF16":
        bits = to_bf16(scales)
        return bits.tobytes(), (bits.astype(np.uint32) << 16).view(np.float32)
    if dtype == "F16":
        half = scales.astype("<f2")
        return half.tobytes(), half.astype(np.float32)
    if dtype == "F8_E8M0":
        return (np.frexp(scales)[1] + 126).astype(np.uint8).tobytes(), scales
    return scales.tobytes(), scales


def over_tiles(x):
    """The largest magnitude of every tile."""
    rows, cols = (range(0, n, TILE) for n in x.shape)
    return np.maximum.reduceat(np.maximum.reduceat(np.abs(x), rows, 0), cols, 1)


def quantize(x, rule, rng):
    """Codes, the bytes of scales and their shape."""
    _, scale, dtype, rounding, _ = RULES[rule]
    amax = over_tiles(x)
    stored, scales = as_stored(np.where(amax > 0, scale(amax), np.float32(1)), dtype)
    spread = np.repeat(np.repeat(scales, TILE, 0)[: x.shape[0]], TILE, 1)[:, : x.shape[1]]
    codes = rounding(np.minimum(np.abs(x) / spread, np.float32(448)), rng).astype(np.uint8)
    return codes | (np.signbit(x).astype(np.uint8) << 7), stored, list(scales.shape)


def read_raw(directory):
    """{name: (dtype, shape, bytes)} of all shards."""
    tensors = {}
    for shard in sorted(f for f in os.listdir(directory) if f.startswith("model") and f.endswith(".safetensors")):
        with open(os.path.join(directory, shard), "rb") as f:
            raw = f.read()
        start = 8 + int.from_bytes(raw[:8], "little")
        for name, entry in json.loads(raw[8:start]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                tensors[name] = entry["dtype"], entry["shape"], raw[start + begin : start + end]
    return tensors


def widen(dtype, shape, data):
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32).reshape(shape)
    return np.frombuffer(data, {"F16": "<f2", "F32": "<f4"}[dtype]).astype(np.float32).reshape(shape)


def write(source, rule, quantized, directory):
    """`quantized(name)`: whether octavo quantizes a tensor of the source."""
    rng = np.random.default_rng(1)
    tensors = []
    for name, (dtype, shape, data) in read_raw(source).items():
        if not quantized(name):
            tensors.append((name, dtype, shape, data))
            continue
        codes, stored, tiles = quantize(widen(dtype, shape, data), rule, rng)
        tensors.append((name, "F8_E4M3", shape, codes.tobytes()))
        tensors.append((name + "_scale_inv", RULES[rule][2], tiles, stored))
    order = {t[0]: i for i, t in enumerate(st_write.file_order([t[:3] for t in tensors]))}
    tensors.sort(key=lambda t: order[t[0]])
    os.makedirs(directory)
    st_write.write_file(os.path.join(directory, "model.safetensors"), tensors, {"format": "pt"})
    with open(os.path.join(source, "config.json"), encoding="utf-8") as f:
        config = {**json.load(f), "quantization_config": QUANTIZATION}
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2)
