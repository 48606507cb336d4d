"""Tensors of a safetensors checkpoint as numbers, and FP8 with its scales, for check_export.py.

Written from the definitions of the formats; shares nothing with octavo, nor with its other readers.
"""

import json
import os
from collections import namedtuple

import numpy as np

Tensor = namedtuple("Tensor", "dtype shape data")
INDEXES = ("model.safetensors.index.json", "consolidated.safetensors.index.json")
FP8 = "F8_E4M3"
PLAIN = ("F64", "F32", "F16", "BF16")
# How the scales of a weight are named: added to its name, or in place of "weight".
ADDED = ("_scale_inv", "_scale")
INSTEAD = ("scale", "scale_weight", "qscale_weight")
# What belongs to a scheme of activations or of the KV cache.
ACTIVATION = (
    "input_scale",
    "input_scale_ub",
    "qscale_act",
    "activation_scale",
    "k_scale",
    "v_scale",
    "output_scale",
)


def read_header(path):
    with open(path, "rb") as f:
        size = int.from_bytes(f.read(8), "little")
        header = json.loads(f.read(size))
    header.pop("__metadata__", None)
    return header, 8 + size


def shard_names(directory):
    for index in INDEXES:
        if os.path.exists(os.path.join(directory, index)):
            with open(os.path.join(directory, index), encoding="utf-8") as f:
                return sorted(set(json.load(f)["weight_map"].values()))
    found = [n for n in os.listdir(directory) if n.endswith(".safetensors") and n[0] != "."]
    found = [n for n in found if n != "golden.safetensors"]
    return ["model.safetensors"] if "model.safetensors" in found else sorted(found)


def read(directory):
    """{name: Tensor}, of all shards."""
    tensors = {}
    for shard in shard_names(directory):
        path = os.path.join(directory, shard)
        header, start = read_header(path)
        whole = np.memmap(path, np.uint8, "r") if os.path.getsize(path) > start else b""
        for name, entry in header.items():
            assert name not in tensors, f"{name} is in two shards"
            begin, end = entry["data_offsets"]
            data = whole[start + begin : start + end]
            tensors[name] = Tensor(entry["dtype"], tuple(entry["shape"]), bytes(data))
    return tensors


def e4m3_table():
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, code & 7
    value = np.where(exponent > 0, (8 + mantissa) * 2.0 ** (exponent - 10.0), mantissa * 2.0**-9)
    value[(code & 127) == 127] = np.nan
    return np.where(code & 128, -value, value)


E4M3 = e4m3_table()


def numbers(t):
    """A tensor of floating-point numbers as float64."""
    if t.dtype == "BF16":
        x = (np.frombuffer(t.data, "<u2").astype("<u4") << 16).view("<f4")
    elif t.dtype == FP8:
        x = E4M3[np.frombuffer(t.data, np.uint8)]
    elif t.dtype in ("F8_E8M0", "U8"):
        x = 2.0 ** (np.frombuffer(t.data, np.uint8).astype(float) - 127)
    else:
        x = np.frombuffer(t.data, {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[t.dtype])
    return x.astype(float).reshape(t.shape)


def scale_names(name):
    """The names under which scales of a weight are known."""
    base = name.removesuffix("weight") if name.endswith(".weight") else name + "."
    return [name + s for s in ADDED] + [base + s for s in INSTEAD]


def scales_of(name, tensors):
    return next((n for n in scale_names(name) if n in tensors), None)


def spread(scales, shape, block=None):
    """Scales of tiles, rows, groups or the whole, one for each element of the last two dimensions."""
    if scales.size == 1:
        return np.broadcast_to(scales.reshape((1,) * len(shape)), shape)
    if scales.ndim == len(shape) - 1:
        scales = scales[..., None]
    for axis in (-2, -1):
        size, count = shape[axis], scales.shape[axis]
        step = size if count == 1 else block[axis] if block else 128
        if -(-size // step) != count:
            steps = [s for s in (16, 32, 64, 128, 256, 1) if -(-size // s) == count]
            if not steps:
                raise ValueError(f"scales of shape {scales.shape} for {shape}")
            step = steps[0]
        scales = np.take(np.repeat(scales, step, axis), np.arange(size), axis)
    return scales


def values(name, tensors, block=None):
    """The numbers that a weight stands for, whether it is plain or FP8 with scales."""
    t = tensors[name]
    scale = scales_of(name, tensors) if t.dtype == FP8 else None
    if scale is None:
        return numbers(t)
    wide = numbers(tensors[scale])
    return (numbers(t).astype("<f4") * spread(wide, t.shape, block).astype("<f4")).astype(float)


def to_bf16(x):
    bits = x.astype("<f4").view("<u4").astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2").tobytes()


def largest_of_tiles(x):
    """The largest magnitude of each tile of 128 x 128, for each element."""
    rows, cols = (-(-d // 128) for d in x.shape[-2:])
    padded = np.zeros((*x.shape[:-2], rows * 128, cols * 128))
    padded[..., : x.shape[-2], : x.shape[-1]] = np.abs(x)
    tiles = padded.reshape(*x.shape[:-2], rows, 128, cols, 128).max(axis=(-3, -1))
    return spread(tiles, x.shape)
