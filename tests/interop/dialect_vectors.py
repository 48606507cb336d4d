#!/usr/bin/python3
"""The golden vectors of dialects, spec/vectors/dialects.safetensors (spec/quant.md section 7.7).

    dialect_vectors.py               check that they agree with the definition (dialects_np.py)
    dialect_vectors.py --inputs FILE make new inputs, with results by the definition

The results in the file are measured by dialect_peers.py, which keeps the inputs.
"""

import argparse
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import dialects_np as dialects  # noqa: E402
import st_read  # noqa: E402
import st_write  # noqa: E402

VECTORS = os.path.join(HERE, "..", "..", "spec", "vectors", "dialects.safetensors")
DTYPES = ("BF16", "F16", "F32")
CASES = ("corners", "normal", "student")
BITS = {"BF16": "<u2", "F16": "<u2", "F32": "<u4"}
# the largest magnitudes of the tiles: for all dtypes, then for each dtype
EVERYWHERE = [0, 448, 1.75 * 2**-6, 1e-4]
CORNERS = {
    "BF16": [2.0**-133, 3 * 2.0**-133, 2.0**-126, 1.5 * 2.0**-125, 448 * 2.0**-126]
    + [448e-30, 448 / 3.4e38, 2.0**-120, 3.389e38],
    "F16": [k * 2.0**-24 for k in (1, 224, 225, 463, 464, 671, 672, 1023)] + [2.0**-14, 65504],
    "F32": [225 * 2.0**-149, 2.0**-133, 2.0**-126, 448 * 2.0**-126, 448e-30, 448 / 3.4e38]
    + [448 * 2.0**30, 3.4e38],
}


def combinations(dtype):
    """All pairs (dialect, scale format), except those of ieee."""
    pairs = [(d, k) for d in dialects.NAMES[2:] for k in ("f32", "ue8m0")]
    return [(d, k) for d, k in pairs if dialects.exists(d, k, dtype)]


def to_bits(x, dtype):
    x = np.ascontiguousarray(x, np.float32)
    if dtype == "BF16":
        return (dialects.round_to("BF16", x).view("<u4") >> 16).astype("<u2")
    return (x.astype("<f2") if dtype == "F16" else x).view(BITS[dtype])


def from_bits(bits, dtype):
    if dtype == "BF16":
        return (bits.astype("<u4") << 16).view(np.float32)
    return bits.view("<f2").astype(np.float32) if dtype == "F16" else bits.view(np.float32)


# Inputs


def corner_amax(dtype):
    """Bits of largest magnitudes: each corner case, and the neighbors of some."""
    out = []
    for value in EVERYWHERE + CORNERS[dtype]:
        bits = int(to_bits(np.float32([value]), dtype)[0])
        near = value in EVERYWHERE[2:] or value in (448e-30, 448 / 3.4e38, 448 * 2.0**30)
        steps = (-1, 0, 1, 4) if near and dtype == "F32" else (-1, 0, 1) if near else (0,)
        out += [bits + s for s in steps]
    return out


def corner_tile(rng, amax, dtype):
    """128 elements: the largest, zeros, ties between codes, and magnitudes down to 2^-20 of it."""
    largest = from_bits(np.array([amax], BITS[dtype]), dtype)[0]
    x = largest * np.exp2(rng.uniform(-20, 0, 128)) * rng.choice([-1, 1], 128)
    ties = [(16 + 2 * k + 1) / 32 * 2.0**-e for k in range(8) for e in (0, 1, 5, 8)]
    x[8 : 8 + len(ties)] = largest * np.array(ties)
    x[:8] = largest, -largest, 0, -0.0, largest / 2, -largest / 4, largest * 2**-17, -largest * 2**-19
    limit = np.abs(largest)
    return to_bits(np.clip(x.astype(np.float32), -limit, limit), dtype)


def make_inputs():
    """{(dtype, case): bits [N, K]}"""
    rng = np.random.default_rng(7)
    inputs = {}
    for dtype in DTYPES:
        tiles = [corner_tile(rng, a, dtype) for a in corner_amax(dtype)]
        inputs[dtype, "corners"] = np.concatenate(tiles)[None, :]
        inputs[dtype, "normal"] = to_bits(rng.standard_normal((2, 140)) * 0.02, dtype)
        inputs[dtype, "student"] = to_bits(rng.standard_t(4, (1, 130)) * 0.02, dtype)
    return inputs


# Results


def by_definition(bits, kind, dialect, dtype):
    """Codes and scales of a matrix given by its bits."""
    import quantizer_np as quantizer

    x = from_bits(np.ascontiguousarray(bits), dtype)
    codes, scales, _ = quantizer.quantize_matrix(x, kind, dialect, dtype)
    return codes, scales


def names(dtype, case, dialect, kind):
    stem = f"{dialect}.{kind}.{dtype}.{case}"
    return stem + ".codes", stem + ".scales"


def write(path, inputs, results, made_by):
    """`results`: {(dtype, case, dialect, kind): (codes, scales)}"""
    tensors = [
        (f"input.{dtype}.{case}", dtype, list(x.shape), np.ascontiguousarray(x).tobytes())
        for (dtype, case), x in inputs.items()
    ]
    for key, (codes, scales) in results.items():
        code_name, scale_name = names(*key)
        tensors.append((code_name, "F8_E4M3", list(codes.shape), codes.tobytes()))
        scales = np.ascontiguousarray(scales, "<f4")
        tensors.append((scale_name, "F32", list(scales.shape), scales.tobytes()))
    order = [t[0] for t in st_write.file_order([t[:3] for t in tensors])]
    tensors.sort(key=lambda t: order.index(t[0]))
    st_write.write_file(path, tensors, {"made_by": made_by})


def read(path):
    """Write inputs, results, and what made them."""
    tensors, metadata = st_read.read_file(path)
    inputs, results = {}, {}
    for dtype in DTYPES:
        for case in CASES:
            shape, raw = tensors.pop(f"input.{dtype}.{case}")
            inputs[dtype, case] = np.frombuffer(raw, BITS[dtype]).reshape(shape)
            for dialect, kind in combinations(dtype):
                parts = [tensors.pop(n) for n in names(dtype, case, dialect, kind)]
                codes, scales = (
                    np.frombuffer(data, t).reshape(s) for (s, data), t in zip(parts, ("u1", "<f4"))
                )
                results[dtype, case, dialect, kind] = codes, scales
    assert not tensors, sorted(tensors)
    return inputs, results, metadata["made_by"]


def all_by_definition(inputs):
    return {
        (dtype, case, dialect, kind): by_definition(x, kind, dialect, dtype)
        for (dtype, case), x in inputs.items()
        for dialect, kind in combinations(dtype)
    }


def differences(found, expected):
    """(codes, scales) that are not the same, by their bits."""
    codes = int(np.count_nonzero(found[0] != expected[0]))
    a, b = (np.ascontiguousarray(x, "<f4").view("<u4") for x in (found[1], expected[1]))
    return codes, int(np.count_nonzero(a != b))


def check():
    inputs, results, made_by = read(VECTORS)
    bad, codes = 0, 0
    for key, expected in all_by_definition(inputs).items():
        wrong = differences(results[key], expected)
        codes += expected[0].size
        if any(wrong):
            bad += 1
            print(f"{'.'.join(key)}: {wrong[0]} codes and {wrong[1]} scales are not as defined")
    print(f"vectors: {len(results)} results, {codes} codes, {bad} wrong; made by {made_by}")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description="the golden vectors of dialects")
    parser.add_argument("--inputs", metavar="FILE")
    args = parser.parse_args()
    if not args.inputs:
        return check()
    inputs = make_inputs()
    write(args.inputs, inputs, all_by_definition(inputs), "spec/quant.md, not measured")
    return 0


if __name__ == "__main__":
    sys.exit(main())
