#!/usr/bin/python3
"""Write a checkpoint of 80 KB in two shards that has a bit of everything, without numpy.

    tiny_checkpoint.py DIR [--single] [--seed N] [--plant NAME INDEX HEX]...

--single: one file and no index. --plant puts an element into a tensor before it is written: HEX are
its bytes as they are stored in the file. The same options always give the same bytes.
"""

import argparse
import json
import os
import random
import struct
import sys

import st_write

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
INDEX = "model.safetensors.index.json"
TENSORS = (
    {
        "model.embed_tokens.weight": ("BF16", [16, 24]),
        "model.layers.0.input_layernorm.weight": ("BF16", [24]),
        "model.layers.0.mlp.up_proj.weight": ("BF16", [130, 140]),
        "model.layers.0.mlp.experts.0.down_proj.weight": ("BF16", [20, 30]),
        "model.layers.0.mlp.experts.1.down_proj.weight": ("BF16", [20, 30]),
        "model.layers.0.mlp.experts.2.down_proj.weight": ("BF16", [20, 30]),
    },
    {
        "model.layers.1.input_layernorm.weight": ("BF16", [24]),
        "model.layers.1.self_attn.q_proj.weight": ("F32", [150, 40]),
        "model.layers.1.self_attn.o_proj.weight": ("F16", [40, 150]),
        "model.layers.1.mlp.gate.expert_bias": ("F32", [3]),
        "model.layers.1.calls": ("I64", [2]),
        "model.norm.weight": ("BF16", [24]),
    },
)
FILES = {
    "config.json": '{\n  "model_type": "tiny",\n  "num_hidden_layers": 2\n}\n',
    "tokenizer_config.json": '{"model_max_length": 1e30}\n',
    "LICENSE": "As you like it.\n",
    "notes.txt": "Not embedded by itself.\n",
}


def element(rng, dtype):
    """A number between 2^-9 and 2^-4, or a small integer."""
    bits = rng.getrandbits(32)
    if dtype == "I64":
        return struct.pack("<q", bits % 1000)
    f32 = (bits & 0x807FFFFF) | (118 + (bits >> 23) % 5) << 23
    if dtype == "BF16":
        return struct.pack("<H", f32 >> 16)
    value = struct.pack("<I", f32)
    return value if dtype == "F32" else struct.pack("<e", struct.unpack("<f", value)[0])


def tensor_data(rng, name, dtype, shape, planted):
    count = 1
    for d in shape:
        count *= d
    parts = [element(rng, dtype) for _ in range(count)]
    for target, index, value in planted:
        if target == name:
            parts[int(index)] = bytes.fromhex(value)
    data = b"".join(parts)
    assert len(data) == st_write.tensor_bytes(dtype, shape), name
    return data


def write_text(directory, name, text):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as f:
        f.write(text)


def write(directory, seed, single, planted):
    rng = random.Random(seed)
    made = [
        [(name, *form, tensor_data(rng, name, *form, planted)) for name, form in shard.items()]
        for shard in TENSORS
    ]
    names = {t[0] for shard in made for t in shard}
    for name, _, _ in planted:
        assert name in names, name
    os.makedirs(directory)
    if single:
        path = os.path.join(directory, "model.safetensors")
        st_write.write_file(path, made[0] + made[1], {"format": "pt"})
    else:
        weight_map = {}
        for file, shard in zip(SHARDS, made):
            st_write.write_file(os.path.join(directory, file), shard, {"format": "pt"})
            weight_map.update((t[0], file) for t in shard)
        write_text(directory, INDEX, json.dumps({"weight_map": weight_map}, indent=0))
    for name, text in FILES.items():
        write_text(directory, name, text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--plant", nargs=3, action="append", default=[])
    args = parser.parse_args()
    write(args.directory, args.seed, args.single, args.plant)
    return 0


if __name__ == "__main__":
    sys.exit(main())
