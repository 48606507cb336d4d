#!/usr/bin/python3
"""Write the small checkpoint whose packed file patch_packed.py corrupts:
small_checkpoint.py DIR

One record of each kind: kept, codes from BF16, F16 and F32, a stack of codes, a kept stack, three
dimensions, two chunks, no bytes, no dimensions; FP8 that is carried, alone and in a stack.
"""

import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import st_write  # noqa: E402

STACK = "model.layers.0.mlp.experts.*.w1.weight"
MATRIX = "model.layers.1.self_attn.q_proj.weight"
BATCH = "model.layers.1.mlp.experts.gate_up_proj"
CARRIED = "model.layers.1.self_attn.o_proj.weight"
CARRIED_STACK = "model.layers.0.mlp.experts.*.w2.weight"
KEPT_STACK = "model.layers.0.mlp.experts.*.mixer"
LONE_EXPERT = (
    "model.layers.0.mlp.experts.0.w7.weight"  # one letter from a name that STACK represents
)
NORM_A, NORM_B = "model.layers.0.norm_a.weight", "model.layers.0.norm_b.weight"
# Without these rules they would be kept, because the checkpoint has FP8 (reason `spared`).
RULES = [{"action": "quantize", "match": name} for name in (MATRIX, STACK, BATCH)]
TWO_CHUNKS = "model.layers.1.two_chunks"
EMPTY = "model.layers.1.empty"


def encode(dtype, x):
    if dtype == "BF16":
        return (x.view(np.uint32) >> 16).astype("<u2").tobytes()
    return x.astype("<f2" if dtype == "F16" else "<f4").tobytes()


def tensors():
    """[(name, dtype, shape, bytes)]"""
    rng = np.random.default_rng(5)

    def normal(name, dtype, *shape):
        x = (rng.standard_normal(shape) * 0.02).astype(np.float32)
        return name, dtype, list(shape), encode(dtype, x)

    out = [
        normal("model.embed_tokens.weight", "BF16", 16, 24),
        normal(MATRIX, "F32", 200, 130),
        normal(BATCH, "F16", 2, 140, 150),
        normal(LONE_EXPERT, "F32", 5),
        normal(NORM_A, "BF16", 24),
        normal(NORM_B, "BF16", 24),
        (TWO_CHUNKS, "U8", [2100001], rng.integers(0, 256, 2100001, np.uint8).tobytes()),
        (EMPTY, "BF16", [0, 4], b""),
        ("model.layers.1.scalar", "F64", [], bytes(range(8))),
    ]
    for e in range(3):
        out.append(normal(STACK.replace("*", str(e)), "BF16", 130, 20))
    out += fp8(rng, CARRIED, "BF16", "_scale", encode("BF16", np.full(4, 0.01, np.float32)))
    for e in range(2):
        out += fp8(
            rng, CARRIED_STACK.replace("*", str(e)), "F8_E8M0", "_scale_inv", bytes(range(118, 122))
        )
    for e in range(2):
        out.append(normal(KEPT_STACK.replace("*", str(e)), "F32", 2, 3))
    return out


def fp8(rng, name, dtype, suffix, scales):
    """Finite codes, and their scales."""
    codes = rng.integers(0, 127, (200, 130), np.uint8)
    return [
        (name, "F8_E4M3", list(codes.shape), codes.tobytes()),
        (name + suffix, dtype, [2, 2], scales),
    ]


def write(directory):
    os.makedirs(directory)
    found = tensors()
    order = [t[0] for t in st_write.file_order([t[:3] for t in found])]
    found.sort(key=lambda t: order.index(t[0]))
    st_write.write_file(os.path.join(directory, "model.safetensors"), found, {"format": "pt"})
    for name, data in (("config.json", b'{"model_type":"small"}\n'), ("LICENSE", b"x" * 700)):
        with open(os.path.join(directory, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    write(sys.argv[1])
