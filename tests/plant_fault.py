#!/usr/bin/env python3
"""Plant a fault in a packed file as a faulty converter would: every digest matches, but the model is wrong.

    plant_fault.py scale  TENSOR IN OUT      double the scale of the first tile
    plant_fault.py experts LAYER IN OUT      exchange experts 0 and 1, all three matrices
    plant_fault.py head   LAYER IN OUT       exchange query heads 0 and 1 in query_key_value
    plant_fault.py config OLD NEW IN OUT     replace OLD by NEW, of the same length, in the embedded config.json
    plant_fault.py recipe OTHER IN OUT       take the recipe of the packed file OTHER
"""

import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "hostile"))
from packed_image import Image, rebuild  # noqa: E402


def record(image, name):
    return image.records[image.by_name[name]]


def swap(raw, first, second, length):
    one, two = bytes(raw[first : first + length]), bytes(raw[second : second + length])
    raw[first : first + length], raw[second : second + length] = two, one


def double_scale(image, tensor):
    at = record(image, tensor + "_scale_inv")["off"]
    (scale,) = struct.unpack_from("<f", image.raw, at)
    struct.pack_into("<f", image.raw, at, 2 * scale)


def swap_experts(image, layer):
    for which in ("gate_proj", "up_proj", "down_proj"):
        name = f"model.layers.{layer}.mlp.experts.*.{which}.weight"
        for r in (record(image, name), record(image, name + "_scale_inv")):
            slice_bytes = r["len"] // r["shape"][0]
            swap(image.raw, r["off"], r["off"] + slice_bytes, slice_bytes)


def swap_heads(image, layer):
    """Both heads are in the first row of tiles, so their scales are the same."""
    r = record(image, f"model.layers.{layer}.attention.query_key_value.weight")
    config = image.section("FILE")
    head_dim = json.loads(config[config.index(b"{") : config.index(b"}\0") + 1])["head_dim"]
    assert 2 * head_dim <= 128
    length = head_dim * r["shape"][-1]
    swap(image.raw, r["off"], r["off"] + length, length)


def edit_config(image, old, new):
    files = image.section("FILE")
    at = files.index(old.encode())
    assert len(old) == len(new)
    image.put_section("FILE", at, new.encode())


def main():
    kind, *arguments, path, out = sys.argv[1:]
    with open(path, "rb") as f:
        image = Image(f.read())
    if kind == "recipe":
        with open(arguments[0], "rb") as f:
            recipe = Image(f.read()).section("RCPE")
        raw = rebuild(image, {"RCPE": recipe})
    else:
        plant = {
            "scale": double_scale,
            "experts": swap_experts,
            "head": swap_heads,
            "config": edit_config,
        }
        plant[kind](image, *arguments)
        image.seal_chunks()
        raw = image.seal().raw
    with open(out, "wb") as f:
        f.write(raw)


if __name__ == "__main__":
    main()
