#!/usr/bin/env python3
"""Plant a fault in a packed file as a faulty converter would: every digest matches, but the model is wrong.

    plant_fault.py OPERATION ARGUMENT... IN OUT

    scale    TENSOR [TILE]     double the scale of a tile (0)
    code     TENSOR [AT]       one code (0) becomes its neighbour: the smallest fault there is
    element  TENSOR [AT]       double an element (0); 1 if it is zero
    rotate   TENSOR [ROW]      rotate the elements of a row (0) by one
    repeat   TENSOR [ROW]      a row (0) becomes a copy of the next one
    exchange TENSOR [ROW ROW]  exchange two rows (0 and 1)
    experts  LAYER [E E]       exchange two experts (0 and 1), all three matrices
    head     LAYER             exchange query heads 0 and 1
    config   OLD NEW           replace OLD by NEW, of the same length, in the embedded config.json
    recipe   OTHER             take the recipe of the packed file OTHER

TENSOR is the name of a tensor or, if the file stacks experts, the name that an expert's own tensor had;
elements, rows and tiles are then counted in the expert. Works on every architecture of verify/arch.
An operation that would change nothing is an error.
"""

import json
import math
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "hostile"))
from packed_image import Image, pf, rebuild  # noqa: E402

STACKED = re.compile(r"\.experts\.(\d+)\.")


class View:
    """Where a tensor lies in the file; of a stack, where one expert lies."""

    def __init__(self, image, record, expert=None):
        self.image, self.record = image, record
        self.dtype, bits = pf.DTYPES[record["dtype"]]
        self.shape, self.bytes, self.at = record["shape"], bits // 8, record["off"]
        if expert is not None:
            assert expert < self.shape[0], f"{record['name']}: {self.shape[0]} experts"
            self.at += expert * (record["len"] // self.shape[0])
            self.shape = self.shape[1:]
        self.expert = expert

    def count(self):
        return math.prod(self.shape)

    def scales(self):
        own = self.record["scale_idx"]
        assert own != pf.NONE32, f"{self.record['name']}: not quantized"
        return View(self.image, self.image.records[own], self.expert)

    def place(self, index, elements=1):
        """The bytes of elements of this tensor, as a slice of the file."""
        assert index + elements <= self.count(), f"{self.record['name']}: {self.count()} elements"
        start = self.at + index * self.bytes
        return slice(start, start + elements * self.bytes)

    def row(self, number, rows=1):
        return self.place(number * self.shape[-1], rows * self.shape[-1])


def find(image, name):
    if name in image.by_name:
        return View(image, image.records[image.by_name[name]])
    expert = STACKED.search(name)
    stack = STACKED.sub(".experts.*.", name)
    assert expert and stack in image.by_name, f"no tensor {name}"
    return View(image, image.records[image.by_name[stack]], int(expert[1]))


def exchange(raw, first, second):
    raw[first], raw[second] = bytes(raw[second]), bytes(raw[first])


def double(raw, dtype):
    """Twice a number, by its bytes; 1 for zero."""
    if dtype == "F8_E8M0":
        return bytes([raw[0] + 1])
    if dtype == "BF16":
        return double(bytes(2) + raw, "F32")[2:]
    form = {"F32": "<f", "F16": "<e"}[dtype]
    (x,) = struct.unpack(form, raw)
    return struct.pack(form, 2 * x or 1)


# Operations


def double_element(image, tensor, at=0):
    double_at(find(image, tensor), int(at))


def double_scale(image, tensor, tile=0):
    double_at(find(image, tensor).scales(), int(tile))


def double_at(view, index):
    where = view.place(index)
    view.image.raw[where] = double(bytes(view.image.raw[where]), view.dtype)


def change_code(image, tensor, at=0):
    view = find(image, tensor)
    assert view.dtype == "F8_E4M3", f"{tensor}: {view.dtype}"
    where = view.place(int(at))
    (code,) = image.raw[where]
    image.raw[where] = bytes([code - 1 if code & 0x7F == 0x7E else code + 1])


def rotate_row(image, tensor, row=0):
    view = find(image, tensor)
    old = bytes(image.raw[view.row(int(row))])
    image.raw[view.row(int(row))] = old[view.bytes :] + old[: view.bytes]


def repeat_row(image, tensor, row=0):
    view = find(image, tensor)
    image.raw[view.row(int(row))] = bytes(image.raw[view.row(int(row) + 1)])


def exchange_rows(image, tensor, first=0, second=1):
    view = find(image, tensor)
    exchange(image.raw, view.row(int(first)), view.row(int(second)))


def exchange_experts(image, layer, first=0, second=1):
    for which in ("gate_proj", "up_proj", "down_proj"):
        one, two = (
            find(image, f"model.layers.{layer}.mlp.experts.{e}.{which}.weight")
            for e in (int(first), int(second))
        )
        for a, b in ((one, two), (one.scales(), two.scales())):
            exchange(image.raw, a.place(0, a.count()), b.place(0, b.count()))


def exchange_heads(image, layer):
    """Heads of whole tiles take their scales along; smaller ones must have the scales in common."""
    fused = f"model.layers.{layer}.attention.query_key_value.weight"
    view = find(
        image, fused if fused in image.by_name else f"model.layers.{layer}.self_attn.q_proj.weight"
    )
    config = read_config(image)
    rows = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    exchange(image.raw, view.row(0, rows), view.row(rows, rows))
    if view.record["scale_idx"] != pf.NONE32:
        tiles = rows // pf.TILE
        assert rows % pf.TILE == 0 or 2 * rows <= pf.TILE, f"heads of {rows} rows"
        exchange(image.raw, view.scales().row(0, tiles), view.scales().row(tiles, tiles))


def read_config(image):
    files = image.section("FILE")
    at = files.index(b"{", files.index(b"config.json"))
    return json.JSONDecoder().raw_decode(files[at:].decode(errors="replace"))[0]


def edit_config(image, old, new):
    files = image.section("FILE")
    at = files.index(old.encode())
    assert len(old) == len(new)
    image.put_section("FILE", at, new.encode())


OPERATIONS = {
    "scale": double_scale,
    "code": change_code,
    "element": double_element,
    "rotate": rotate_row,
    "repeat": repeat_row,
    "exchange": exchange_rows,
    "experts": exchange_experts,
    "head": exchange_heads,
    "config": edit_config,
}


def plant(good, operation, *arguments):
    """The bytes of a packed file with the fault, sealed again."""
    image = Image(good)
    if operation == "recipe":
        with open(arguments[0], "rb") as f:
            return rebuild(image, {"RCPE": Image(f.read()).section("RCPE")})
    OPERATIONS[operation](image, *arguments)
    assert image.raw != good, f"{operation} {arguments}: nothing changes"
    image.seal_chunks()
    return image.seal().raw


def main():
    operation, *arguments, path, out = sys.argv[1:]
    with open(path, "rb") as f:
        good = f.read()
    with open(out, "wb") as f:
        f.write(plant(good, operation, *arguments))


if __name__ == "__main__":
    main()
