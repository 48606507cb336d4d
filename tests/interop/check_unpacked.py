#!/usr/bin/python3
"""Compare what `octavo unpack` writes with the checkpoint that the packed file was made from, using the
reader and the quantizer of this directory.

    check_unpacked.py stored|f32|bf16 f32|ue8m0 DIR CHECKPOINT [nothing]

DIR is the output of unpack in this form, next to that of the form `stored`, which has that name; the
second word is the scale format. As a module, check() takes the whole recipe. Kept tensors must be
the source's bits; codes and scales what quantizer_np.py computes from the source; plain numbers what
follows from those by spec/quant.md. Embedded files are also compared. Something must be quantized or, with `nothing`, nothing. Exit status 1:
something differs.
"""

import os
import sys

import numpy as np

import fp8_np as fp8
import plan_np as plan
import quantizer_np as quantizer
from checkpoint_np import Checkpoint, Tensor, files_below
from packed_format import CARRIED
from write_packed import recipe_of

SCALES = "_scale_inv"
TENSORS = "tensors.safetensors"


def read_tensors(directory):
    """The file of tensors that unpack writes, read like a checkpoint."""
    out = Checkpoint.__new__(Checkpoint)
    out.directory, out.tensors = directory, {}
    shard = out.read_shard(TENSORS)
    assert shard.tensors == len(out.tensors)
    return out.tensors


def nearest_bf16(x):
    """The nearest BF16 of finite float32 by exact distances, ties to even; as uint16."""
    low = (x.view(np.uint32) >> 16).astype(np.uint32)
    below = (low << 16).view(np.float32).astype(np.float64)
    # The next value after the largest finite number would be 2^128.
    above = np.where(low & 0x7FFF == 0x7F7F, np.copysign(2.0**128, x.astype(np.float64)), 0)
    finite = np.where(low & 0x7FFF == 0x7F7F, low, low + 1)
    above = np.where(above == 0, (finite << 16).view(np.float32).astype(np.float64), above)
    to_below, to_above = np.abs(x - below), np.abs(above - x)
    up = (to_above < to_below) | ((to_above == to_below) & (low & 1 == 1))
    return np.where(up, low + 1, low).astype("<u2")


def quantized(source, kind):
    """(codes, scales, plain float32) of a source tensor of two or three dimensions."""
    matrices = fp8.values(source).reshape((-1,) + tuple(source.shape[-2:]))
    codes, scales, plain = [], [], []
    for x in matrices:
        c, s, _ = quantizer.quantize_matrix(x, kind)
        spread = np.repeat(np.repeat(s, 128, 0), 128, 1)[: x.shape[0], : x.shape[1]]
        codes.append(c)
        scales.append(s)
        plain.append(fp8.decode(c) * spread)
    return np.array(codes), np.array(scales, "<f4"), np.array(plain, np.float32)


class Checker:
    """`stored`: the names of what was unpacked as stored, where codes have scales next to them."""

    def __init__(self, form, recipe, found, stored, checkpoint):
        self.form, self.recipe = form, recipe
        self.found, self.stored = found, stored
        self.source = plan.resolve(checkpoint.tensors, checkpoint.config(), recipe)
        self.problems = []
        self.kept = self.computed = 0

    def expect(self, what, holds):
        if not holds:
            self.problems.append(what)

    def check_bytes(self, name, dtype, shape, data):
        t = self.found[name]
        self.expect(f"{name}: {t.dtype} {t.shape}", (t.dtype, t.shape) == (dtype, list(shape)))
        self.expect(f"{name}: different bytes", t.data.tobytes() == data)

    def check_tensor(self, name):
        source = self.source[name]
        if name + SCALES not in self.stored or name + SCALES in self.source:
            self.kept += 1
            self.check_bytes(name, source.dtype, source.shape, source.data.tobytes())
            return
        self.computed += 1
        if plan.decide(source, self.recipe, self.source) == CARRIED:
            stored, plain = (source.data, source.scales), fp8.values(source)
        else:
            codes, scales, plain = quantized(source, self.recipe["scales"])
            shape = source.shape[:-2] + list(scales.shape[-2:])
            stored = codes, Tensor("", "F32", shape, scales)
        if self.form == "stored":
            codes, scales = stored
            self.check_bytes(name, "F8_E4M3", source.shape, codes.tobytes())
            self.check_bytes(name + SCALES, scales.dtype, scales.shape, scales.data.tobytes())
        elif self.form == "f32":
            self.check_bytes(name, "F32", source.shape, plain.astype("<f4").tobytes())
        else:
            self.check_bytes(name, "BF16", source.shape, nearest_bf16(plain).tobytes())

    def check(self):
        scales = {n + SCALES for n in self.source} - set(self.source)
        scales = scales if self.form == "stored" else set()
        names = {n for n in self.found if n not in scales}
        self.expect(f"names: {sorted(names ^ set(self.source))[:5]}", names == set(self.source))
        for name in sorted(names & set(self.source)):
            self.check_tensor(name)


def self_test():
    """Halves, ties and both ends of nearest_bf16."""
    bits = [0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0xBF818000, 0x00000001, 0x00008000]
    want = [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0xBF82, 0x0000, 0x0000]
    bits += [0x00008001, 0x80018000, 0x7F7F7FFF, 0x7F7F8000]
    want += [0x0001, 0x8002, 0x7F7F, 0x7F80]
    found = nearest_bf16(np.array(bits, np.uint32).view(np.float32))
    assert found.tolist() == want, [hex(x) for x in found]


def check_files(directory, checkpoint):
    names = [name for name in files_below(directory) if name != TENSORS]
    found = []
    for name in names:
        with open(os.path.join(directory, name), "rb") as f:
            found.append((name, f.read()))
    return found == checkpoint.embedded()


def check(form, recipe, directory, source):
    """The Checker after all checks; .problems lists what is wrong."""
    checkpoint = Checkpoint(source)
    found = read_tensors(directory)
    stored = read_tensors(os.path.join(os.path.dirname(directory), "stored"))
    checker = Checker(form, recipe, found, stored.keys(), checkpoint)
    with np.errstate(over="ignore"):
        checker.check()
    checker.expect("embedded files differ", check_files(directory, checkpoint))
    return checker


def main(form, kind, directory, source, nothing=""):
    self_test()
    checker = check(form, recipe_of(kind), directory, source)
    quantized_any = checker.computed > 0
    checker.expect(f"{checker.computed} quantized", quantized_any == (nothing != "nothing"))
    print("".join(f"{directory}: {p}\n" for p in checker.problems), end="")
    print(f"{directory}: {checker.kept} kept, {checker.computed} quantized tensors, {form}")
    return 1 if checker.problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
