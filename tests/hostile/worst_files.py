"""Files for worst cases: checkpoints without data, and the commands that read them."""

import json
import os
import struct

EMPTY = (0, 0)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def safetensors(tensors):
    """A file of tensors without data: (name, dtype, shape), where some side is 0."""
    text = compact({name: {"dtype": dtype, "shape": shape, "data_offsets": EMPTY} for name, dtype, shape in tensors}).encode()
    return struct.pack("<Q", len(text)) + text


def one_element(names_):
    """A file of matrices of one element in BF16."""
    text = compact({name: {"dtype": "BF16", "shape": [1, 1], "data_offsets": [2 * i, 2 * i + 2]} for i, name in enumerate(names_)})
    return struct.pack("<Q", len(text)) + text.encode() + bytes(2 * len(names_))


def checkpoint(directory, tensors, config=None, name="model.safetensors"):
    """`tensors`: those of safetensors(), or a file."""
    write(os.path.join(directory, name), tensors if isinstance(tensors, bytes) else safetensors(tensors))
    if config is not None:
        write(os.path.join(directory, "config.json"), config if isinstance(config, str) else compact(config))
    return directory


ONE = [("a", "U8", [0])]


def tensors(n, name, dtype="BF16", shape=(0, 128)):
    return [(name % i, dtype, list(shape)) for i in range(n)]


def inspect(directory, *options):
    return ["inspect", directory, *options]


def plan(directory, *options):
    return ["convert", directory, "-o", os.path.join(directory, "out.octavo"), "-n", "--allow-none", *options]
