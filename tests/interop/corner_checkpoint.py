#!/usr/bin/python3
"""Write a checkpoint (25 MB) with every corner case of spec/quant.md and spec/format.md that a good file
can have.

    corner_checkpoint.py DIR [DTYPES_DIR]

DTYPES_DIR gets a checkpoint of its own with every dtype: some of them occur only where another method has
quantized, and in such a checkpoint nothing is quantized. DIR has the rest. All finite BF16 and F16 values under a set of scales, float32 at every decision boundary of every
code, tiles at the edges of the scale rule; dtypes of plain numbers; ranks 0 to 6; empty tensors; clipped tiles;
experts as stacks, with gaps, in three dimensions; several chunks per slice; long and awkward names;
awkward embedded files.
"""

import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import quantizer_np as quantizer  # noqa: E402
import st_write  # noqa: E402

RNG = np.random.default_rng(20)
LARGEST = float(np.finfo(np.float32).max)


def to_bf16(x):
    """Nearest BF16, ties to even; the top half of a float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def encode(dtype, x):
    """Bytes of a float32 array in a source dtype."""
    if dtype == "BF16":
        return to_bf16(x).tobytes()
    return np.ascontiguousarray(x).astype("<f2" if dtype == "F16" else "<f4").tobytes()


def all_values(dtype):
    patterns = np.arange(1 << 16, dtype=np.uint16)
    with np.errstate(invalid="ignore"):  # signalling NaNs, dropped below
        x = (
            patterns.view(np.float16).astype(np.float32)
            if dtype == "F16"
            else (patterns.astype(np.uint32) << 16).view(np.float32)
        )
    return np.where(np.isfinite(x), x, 0)


def sweep(dtype, amax):
    """256 x 256: every value of the dtype up to amax, with amax in each of the four tiles so that
    it sets the scale."""
    x = all_values(dtype)
    x = np.where(np.abs(x) <= np.float32(amax), x, np.float32(0)).reshape(4, 128, 128)
    x[:, 5, 7] = amax
    return quantizer.paste(x.reshape(2, 2, 128, 128), (256, 256))


def boundary_values(scale):
    """Every decision boundary times a power of two, with both neighbors and both signs, and 448 to
    set the scale."""
    b = quantizer.BOUNDARIES
    middle = (quantizer.MAGNITUDES[:-1] + quantizer.MAGNITUDES[1:]) / np.float32(2)
    points = np.concatenate([b, middle, quantizer.MAGNITUDES])
    points = np.concatenate(
        [points, np.nextafter(points, np.float32(np.inf)), np.nextafter(points, np.float32(0))]
    )
    points = np.minimum(points, np.float32(448))
    return np.concatenate([points, -points]) * np.float32(scale)


def filled(shape, values):
    x = np.zeros(shape, np.float32)
    x.flat[: len(values)] = values
    return x


def edge_tiles():
    """One tile for each amax at an edge of the scale rule, under its other values: [128, 128 *
    n]."""
    tiny = 2.0**-149
    edges = [
        225 * tiny,
        224 * tiny,
        223 * tiny,
        tiny,
        448 * 2.0**-126,
        447.9 * 2.0**-126,
        LARGEST,
        448,
        0,
    ]
    for k in (-120, -8, 0, 8, 120):
        at = np.float32(1.75 * 2.0**k)
        edges += [at, np.nextafter(at, np.float32(0)), np.nextafter(at, np.float32(np.inf))]
    tiles = []
    for amax in edges:
        tile = (RNG.uniform(-1, 1, (128, 128)) * amax).astype(np.float32)
        tile[0, :4] = amax, -amax, 0.0, -0.0
        tiles.append(tile)
    tiles.append(np.full((128, 128), -0.0, np.float32))
    return np.concatenate(tiles, axis=1)


def normal(*shape):
    return (RNG.standard_normal(shape) * 0.02).astype(np.float32)


class Maker:
    """Collects [(name, dtype, shape, bytes)]."""

    def __init__(self):
        self.tensors = []

    def add(self, name, dtype, x):
        self.tensors.append((name, dtype, list(x.shape), encode(dtype, x)))

    def raw(self, name, dtype, shape):
        data = RNG.integers(0, 256, st_write.tensor_bytes(dtype, shape), np.uint8).tobytes()
        self.tensors.append((name, dtype, shape, data))


def add_values(m):
    amaxes = [
        LARGEST * 0.99,
        448,
        1,
        1.75,
        0.0271,
        1e-30,
        2.0**-118,
        123.456,
        2.0**-133,
        7e-5,
        3e38,
        57344,
    ]
    for i, amax in enumerate(amaxes):
        exact = (to_bf16(np.float32([amax])).astype(np.uint32) << 16).view(np.float32)[0]
        m.add(f"model.layers.0.mlp.experts.{i}.up_proj.weight", "BF16", sweep("BF16", exact))
    for i, amax in enumerate([65504, 448, 2.0**-24, 0.02]):
        m.add(
            f"model.layers.0.mlp.experts.{i}.down_proj.weight",
            "F16",
            sweep("F16", np.float32(np.float16(amax))),
        )
    for i, scale in enumerate([1, 2.0**-100, 2.0**100]):
        m.add(
            f"model.layers.0.mlp.experts.{i}.gate_proj.weight",
            "F32",
            filled((128, 130), boundary_values(scale)),
        )
    m.add("model.layers.0.self_attn.o_proj.weight", "F32", edge_tiles())


def add_shapes(m):
    for i, shape in enumerate(
        [(1, 1), (1, 129), (129, 1), (127, 385), (128, 128), (256, 128), (383, 129)]
    ):
        for dtype in ("BF16", "F16", "F32"):
            m.add(f"model.layers.1.block{i}.{dtype}.q_proj.weight", dtype, normal(*shape))
    m.add("model.layers.2.self_attn.q_proj.weight", "BF16", normal(300, 8192))  # two chunks
    m.add(
        "model.layers.2.self_attn.k_proj.weight", "F32", normal(260, 8200)
    )  # a chunk whose size is not a power of two
    m.add(
        "model.layers.2.mlp.experts.gate_up_proj", "BF16", normal(2, 130, 16384)
    )  # two chunks per slice
    m.add("model.layers.2.mlp.experts.down_proj", "BF16", normal(1, 130, 140))
    m.add("model.layers.2.mlp.experts.bias_up_proj", "BF16", normal(2, 7))
    m.raw("model.layers.2.large_buffer", "U8", [2100001])  # two chunks, odd length


def add_experts(m):
    for i in range(12):  # ten and eleven sort before two as bytes, not as numbers
        m.add(f"model.layers.3.mlp.experts.{i}.w1.weight", "BF16", normal(40, 50))
        m.add(f"model.layers.3.mlp.experts.{i}.mixer", "F32", normal(2, 3))
        m.add(f"model.layers.3.mlp.experts.{i}.bias", "BF16", normal(5))
        m.raw(f"model.layers.3.mlp.experts.{i}.empty", "BF16", [0, 4])
    for i in (0, 1, 3):
        m.add(f"model.layers.4.mlp.experts.{i}.w1.weight", "BF16", normal(9, 10))  # a gap
    for i in range(3):
        m.add(
            f"model.layers.5.mlp.experts.{i}.w1.weight", "BF16", normal(9, 10 + i)
        )  # shapes differ
        m.add(
            f"model.layers.5.mlp.experts.{i}.w2.weight", ["BF16", "F32", "BF16"][i], normal(9, 10)
        )
    m.add("model.layers.6.mlp.experts.0.w1.weight", "BF16", normal(9, 10))  # alone
    for i in range(2):
        m.add(f"model.layers.7.experts.{i}.experts.{i}.w1.weight", "BF16", normal(9, 10))


def add_dtypes(m):
    for dtype in st_write.BITS:
        m.raw(f"model.layers.8.buffers.{dtype}", dtype, [4, 8])
    m.raw("model.layers.8.self_attn.q_norm.weight", "F8_E4M3", [4, 8])
    m.raw("model.layers.8.self_attn.k_proj.weight", "I8", [4, 8])


def add_plain_dtypes_and_names(m):
    for dtype in st_write.BITS:
        if dtype[:2] not in ("F4", "F6", "F8"):
            m.raw(f"model.layers.8.buffers.{dtype}", dtype, [4, 8])
    for shape in ([], [0], [3, 0, 2], [1, 1, 1, 1, 1, 1], [2, 1, 3, 1, 2, 2]):
        m.raw("model.layers.8.rank." + "x".join(map(str, shape)), "F32", shape)
    m.raw("model.layers.8.self_attn.v_proj.weight", "BF16", [0, 8])
    for name in (
        "x",
        "x.y",
        "model.layers.8",
        "gewöhnlich.重み",
        "layers.01.q_proj.weight",
        "h.9.q_proj.weight",
        "blocks.h.10.o_proj.weight",
        "layers.2147483647.q_proj.weight",
        "layers.2147483648.q_proj.weight",
        'a b"c\\d.layers.1.h.2.weight',
        "layers.3.weight",
        "." * 7,
        "n" * 255,
    ):
        m.raw(name, "BF16", [3, 5])
    m.add("model.embed_tokens.weight", "BF16", normal(64, 48))
    m.add("lm_head.weight", "BF16", normal(64, 48))


def write_files(directory):
    files = {
        "config.json": b'{"model_type": "corner"}\n',
        "LICENSE": b"",
        "README.md": b"x" * 512,
        "notes.txt": b"no",
        "additional_chat_templates/tool_use.jinja": b"{{ tools }}",
        "additional_chat_templates-.txt": b"sorted before the directory, but not embedded",
        "licenses/" + "l" * 100: b"a name in two fields",
        "1_Pooling/config.json": b"{}",
        "1_Pooling/notes.txt": b"no",
        "configuration_" + "c" * 83 + ".py": b"# the longest name that fits\n",
    }
    for name, data in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)


def write_checkpoint(directory, *parts):
    os.makedirs(directory)
    m = Maker()
    for add in parts:
        add(m)
    weight_map, names = {}, ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, part in zip(names, (m.tensors[0::2], m.tensors[1::2])):
        order = [t[0] for t in st_write.file_order([t[:3] for t in part])]
        part.sort(key=lambda t: order.index(t[0]))
        st_write.write_file(os.path.join(directory, name), part, {"format": "pt"})
        weight_map.update({t[0]: name for t in part})
    index = {
        "metadata": {"total_size": sum(len(t[3]) for t in m.tensors)},
        "weight_map": weight_map,
    }
    with open(os.path.join(directory, "model.safetensors.index.json"), "w", encoding="utf-8") as f:
        json.dump(index, f)
    write_files(directory)


def main():
    write_checkpoint(
        sys.argv[1], add_values, add_shapes, add_experts, add_plain_dtypes_and_names
    )
    if len(sys.argv) > 2:
        write_checkpoint(sys.argv[2], add_dtypes)


if __name__ == "__main__":
    main()
