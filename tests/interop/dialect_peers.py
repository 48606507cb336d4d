#!/usr/bin/env python3
"""Is the arithmetic of other tools, as PyTorch and Triton run it on a GPU, that of the dialects?

    dialect_peers.py OCTAVO OUT

Measures on the GPU, and writes to the directory OUT:

    reciprocal.h           quant/tile/reciprocal.h with the table of this GPU
    dialects.safetensors   spec/vectors/dialects.safetensors with the results of this GPU

then compares, code by code and scale by scale: the results with spec/quant.md as dialects_np.py
implements it, using the new table; and what OCTAVO converts, on the CPU and, if possible,
on CUDA, with the peers' results for large random tensors of every source dtype. Prints a line for
each; exit status 1 if something differs. OCTAVO has the table that it was built with: after a new
table, rebuild and run again.

Needs torch, triton and numpy; runs without a network. What the peers do was read from their sources
(spec/quant.md section 7 names them) and is reimplemented here. --on cpu tries the script without a
GPU: PyTorch divides differently there, so differences are expected.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, ".."))
import dialect_kernels as kernels  # noqa: E402
import dialect_vectors as vectors  # noqa: E402
import dialects_np as dialects  # noqa: E402
import st_read  # noqa: E402
import st_write  # noqa: E402

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


# The table


def mantissas(exponent):
    """The scales of all amax of 11 significant bits in a binade."""
    amax = np.ldexp(np.float32(1024) + np.arange(1024, dtype=np.float32), exponent - 10)
    return amax * dialects.RECIPROCAL_448


def steps_of(scales):
    """By how many units in the last place the GPU's reciprocal is above the correctly rounded one."""
    found = kernels.quotients(np.ones_like(scales), scales)
    exact = np.float32(1) / scales
    return found.view(np.int32) - exact.view(np.int32)


def measure_table():
    """Steps for 1024 mantissas, the same in every binade, and for 1e-30."""
    steps = steps_of(mantissas(0))
    for exponent in range(-90, 128):
        assert np.array_equal(steps, steps_of(mantissas(exponent))), exponent
    assert set(np.unique(steps)) <= {-1, 0, 1}
    least = int(steps_of(np.float32([1e-30]))[0])
    print(f"reciprocals: {dict(zip(*np.unique(steps, return_counts=True)))}, of 1e-30: {least}")
    return steps, least


def check_quotients(steps):
    """Is every quotient the product with that reciprocal, rounded once?"""
    scales = mantissas(-9)
    factors = ((np.float32(1) / scales).view(np.int32) + steps).view(np.float32)
    wrong = 0
    for k in range(0, 2048, 8):
        x = np.ldexp(np.float32(2048) + np.arange(k, k + 8, dtype=np.float32), -12)
        found = kernels.quotients(np.repeat(x, 1024), np.tile(scales, 8)).reshape(8, 1024)
        wrong += int(np.count_nonzero(found != x[:, None] * factors))
    print(f"quotients: {2048 * 1024}, {wrong} are not x times the reciprocal")
    return wrong


def write_table(steps, least, device, path):
    """quant/tile/reciprocal.h with these numbers; `make format` lays them out."""
    two_bits = (steps & 3).astype(np.uint32).reshape(64, 16)
    words = (two_bits << np.arange(0, 32, 2, dtype=np.uint32)).sum(axis=1, dtype=np.uint32)
    rows = [", ".join(f"0x{w:08x}" for w in words[i : i + 4]) for i in range(0, 64, 4)]
    number = f"({least})" if least < 0 else str(least)
    table = (
        "/* table begins */\n#define RECIPROCAL_OFFSETS \\\n    "
        + ", \\\n    ".join(rows)
        + f"\n#define RECIPROCAL_OFFSET_LEAST {number} /* for the scale 1e-30 */\n"
    )
    with open(dialects.TABLE, encoding="ascii") as f:
        text = f.read()
    begin, end = text.index("/* table begins */"), text.index("/* table ends */")
    text = text[:begin] + table + text[end:]
    note = f" * The table was measured by tests/interop/dialect_peers.py on an {device}. */"
    text = re.sub(r" \* The table was measured .*?\*/", lambda _: note, text, count=1, flags=re.S)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


# The vectors


def tensor_of(bits, dtype, device):
    signed = {"<u2": np.int16, "<u4": np.int32}[vectors.BITS[dtype]]
    plain = torch.from_numpy(np.array(bits, order="C").view(signed))
    return plain.to(device).view(TORCH[dtype])


def peer_result(bits, dtype, dialect, kind, device):
    codes, scales = kernels.PEERS[dialect](tensor_of(bits, dtype, device), kind == "ue8m0")
    codes = codes.view(torch.uint8).cpu().numpy()
    return codes, scales.float().cpu().numpy()


def make_vectors(device, made_by, path):
    """All results for the stored inputs, and how many do not match the definition."""
    inputs, _, _ = vectors.read(vectors.VECTORS)
    results, bad = {}, 0
    for key, expected in vectors.all_by_definition(inputs).items():
        dtype, case, dialect, kind = key
        if dialect not in kernels.PEERS:
            results[key] = expected
            print(f"vectors {'.'.join(key)}: NOT MEASURED, no triton")
            continue
        results[key] = peer_result(inputs[dtype, case], dtype, dialect, kind, device)
        wrong = vectors.differences(results[key], expected)
        bad += any(wrong)
        if any(wrong):
            print(f"vectors {'.'.join(key)}: {wrong[0]} codes, {wrong[1]} scales not as defined")
    vectors.write(path, inputs, results, made_by)
    print(f"vectors: {len(results)} results, {bad} not as defined")
    return bad


# Large tensors, converted by the program


def random_bits(rng, dtype, exponents, shape):
    """Elements of any mantissa and sign, with exponent fields in a range."""
    mantissa, sign = {"BF16": (7, 15), "F16": (10, 15), "F32": (23, 31)}[dtype]
    x = rng.integers(0, 1 << mantissa, shape) | rng.integers(*exponents, shape) << mantissa
    return (x | rng.integers(0, 2, shape) << sign).astype(vectors.BITS[dtype])


def large_inputs(dtype, size):
    """{name: bits}"""
    rng = np.random.default_rng(11)
    top = 31 if dtype == "F16" else 255
    ragged = rng.standard_normal((1000, 1019)) * 0.05
    return {
        "normal": vectors.to_bits(rng.standard_normal((size, size)) * 0.02, dtype),
        "student": vectors.to_bits(rng.standard_t(4, (size, size)) * 0.02, dtype),
        "ragged": vectors.to_bits(ragged, dtype),
        "middle": random_bits(rng, dtype, (top // 2 - 8, top // 2 + 4), (size // 2, size)),
        "large": random_bits(rng, dtype, (top - 12, top), (size // 4, size)),
        # F32 below the least normal number: transformers divides by scales of 0 there
        "tiny": random_bits(rng, dtype, (dtype == "F32", 6), (size // 4, size)),
    }


def name_of(tensor):
    return f"model.layers.0.{tensor}.q_proj.weight"


def write_checkpoint(directory, dtype, inputs):
    os.makedirs(directory)
    tensors = [(name_of(n), dtype, list(x.shape), x.tobytes()) for n, x in sorted(inputs.items())]
    st_write.write_file(os.path.join(directory, "model.safetensors"), tensors, {"format": "pt"})


def convert(octavo, source, scratch, dialect, kind, device):
    """{name: (codes, scales)}, or the error message."""
    packed, plain = os.path.join(scratch, "x.octavo"), os.path.join(scratch, "plain.safetensors")
    for path in (packed, plain):
        if os.path.exists(path):
            os.unlink(path)
    options = ["-q", "--dialect", dialect, "--scales", kind, "--device", device]
    done = subprocess.run(
        [octavo, "convert", source, "-o", packed, *options], capture_output=True, text=True
    )
    if done.returncode:
        return done.stderr.splitlines()[0]
    unpack = [octavo, "unpack", packed, "-q", "-o", plain, *map(name_of, NAMES)]
    unpack += [name_of(n) + "_scale_inv" for n in NAMES]
    subprocess.run(unpack, check=True)
    tensors, _ = st_read.read_file(plain)
    return {n: [as_array(tensors[name_of(n) + s]) for s in ("", "_scale_inv")] for n in NAMES}


def as_array(tensor):
    shape, raw = tensor
    count = int(np.prod(shape))
    return np.frombuffer(raw, "u1" if len(raw) == count else "<f4").reshape(shape)


NAMES = ("large", "middle", "normal", "ragged", "student", "tiny")


def check_program(octavo, dtype, device, size, scratch):
    """The number of results of the program that differ from those of the peers."""
    inputs = large_inputs(dtype, size)
    source = os.path.join(scratch, dtype)
    write_checkpoint(source, dtype, inputs)
    bad = 0
    for dialect, kind in vectors.combinations(dtype):
        if dialect not in kernels.PEERS:
            continue
        peers = {n: peer_result(inputs[n], dtype, dialect, kind, device) for n in NAMES}
        for on in ("cpu", "cuda"):
            found = convert(octavo, source, scratch, dialect, kind, on)
            what = f"{dialect} {kind} {dtype} octavo on {on}"
            if isinstance(found, str):
                print(f"{what}: {found}")
                bad += on == "cpu"
                continue
            wrong = {n: vectors.differences(found[n], peers[n]) for n in NAMES}
            codes, scales = (sum(w[i] for w in wrong.values()) for i in (0, 1))
            total = sum(p[0].size for p in peers.values()), sum(p[1].size for p in peers.values())
            where = {n: w for n, w in wrong.items() if any(w)} or "bit-equal"
            print(f"{what}: {codes} of {total[0]} codes, {scales} of {total[1]} scales differ: {where}")
            bad += codes + scales > 0
    return bad


def main():
    parser = argparse.ArgumentParser(description="dialects against their peers' arithmetic")
    parser.add_argument("octavo")
    parser.add_argument("out")
    parser.add_argument("--on", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", type=int, default=4096, help="of the large tensors")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    gpu = args.on == "cuda"
    device = torch.cuda.get_device_name() if gpu else "CPU"
    made_by = f"torch {torch.__version__}, triton {kernels.VERSION}, {device}"
    print(made_by)
    bad = 0
    if gpu and kernels.VERSION:
        steps, least = measure_table()
        bad += check_quotients(steps) > 0
        table = os.path.join(args.out, "reciprocal.h")
        write_table(steps, least, device, table)
        installed = dialects.read_table()
        dialects.TABLE = table
        same = np.array_equal(installed[0], steps) and installed[1] == least
        print(f"reciprocal.h: {'as it is in quant/tile/' if same else 'NEW: install it and build'}")
    bad += make_vectors(args.on, made_by, os.path.join(args.out, "dialects.safetensors"))
    with tempfile.TemporaryDirectory() as scratch:
        for dtype in vectors.DTYPES:
            bad += check_program(os.path.abspath(args.octavo), dtype, args.on, args.size, scratch)
    print("all bit-equal" if bad == 0 else f"{bad} comparisons differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
