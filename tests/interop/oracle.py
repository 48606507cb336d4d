#!/usr/bin/python3
"""The independent quantizer: is a packed file what spec/quant.md says it must be for its
checkpoint?

    oracle.py FILE CHECKPOINT   every code, scale, kept byte, source digest, statistic: bit for bit
    oracle.py --self-test       compare its own parts with each other: every BF16 value, every code

If ml_dtypes (and safetensors) are installed, they must agree as well; --need-ml-dtypes fails without
them. Exit status: 0 equal, 1 a difference, 4 or 5 when the file itself is bad
(read_packed.py).
"""

import argparse
import bisect
import glob
import os
import sys
from fractions import Fraction

import numpy as np

import fp8_np as fp8
import packed_format as pf
import plan_np as plan
import quantizer_np as quantizer
import read_packed
from checkpoint_np import Checkpoint
from packed_format import CODES, QUANTIZED
from packed_report import describe_stat
from write_packed import pack_stats, provenance_of


class Comparison:
    """Collects differences and counts what was compared."""

    def __init__(self):
        self.differences = []
        self.counts = {
            "records": 0,
            "codes": 0,
            "scales": 0,
            "kept bytes": 0,  # including those of carried codes and scales
            "source digests": 0,
            "STAT rows": 0,
        }

    def equal(self, what, found, expected):
        if found != expected:
            self.differences.append(f"{what}: {found}, expected {expected}")

    def equal_bytes(self, what, kind, found, expected, item):
        """Compare arrays of `item` bytes per element; names the first element that differs."""
        a, b = np.frombuffer(found, np.uint8), np.frombuffer(expected, np.uint8)
        self.counts[kind] += len(b) // item
        if len(a) != len(b):
            self.differences.append(f"{what}: {len(a)} bytes, expected {len(b)}")
            return
        bad = np.flatnonzero((a != b).reshape(-1, item).any(axis=1))
        if len(bad):
            k = int(bad[0]) * item
            self.differences.append(
                f"{what}: {len(bad)} of {len(b) // item} differ, the first at {bad[0]}: "
                f"{a[k:k + item].tobytes().hex()}, expected {b[k:k + item].tobytes().hex()}"
            )


def compare_file(packed, checkpoint):
    c = Comparison()
    planned = plan.plan_records(checkpoint, packed.recipe)
    plan.place_records(planned, packed.superblock["data_off"])
    c.equal("record names", [r["name"] for r in packed.records], [p.name for p in planned])
    if c.differences:
        return c
    for r, p in zip(packed.records, planned):
        compare_record(c, packed, r, p)
    has_whole = any("sha256" in s for s in packed.provenance["shards"])
    c.equal("PROV", packed.provenance, provenance_of(checkpoint, has_whole))
    c.equal("FILE", [n for n, _ in packed.files], [n for n, _ in checkpoint.embedded()])
    c.equal("contents of FILE", packed.files == checkpoint.embedded(), True)
    return c


def compare_record(c, packed, r, p):
    c.counts["records"] += 1
    for name, value in p.fields.items():
        c.equal(f"{r['name']}: {name}", r[name], value)
    digests = plan.source_digests(p)
    c.equal_bytes(
        f"{r['name']}: source digests",
        "source digests",
        b"".join(r["source_digests"]),
        b"".join(digests),
        16,
    )
    if p.origin != QUANTIZED:
        expected = b"".join(t.data.tobytes() for t in p.sources)
        c.equal_bytes(r["name"], "kept bytes", packed.data(r), expected, 1)
    elif p.cls == CODES:
        compare_codes(c, packed, r, p)


def compare_codes(c, packed, r, p):
    """Codes, scales and statistics, one matrix at a time."""
    scales_of = packed.records[r["scale_idx"]]
    codes = np.frombuffer(packed.data(r), np.uint8).reshape((-1,) + tuple(r["shape"][-2:]))
    scales = np.frombuffer(packed.data(scales_of), np.uint8).reshape(len(codes), -1)
    matrices = (m for t in p.sources for m in fp8.values(t).reshape((-1,) + tuple(r["shape"][-2:])))
    for k, x in enumerate(matrices):
        what = f"{r['name']}[{k}]"
        want_codes, want_scales, want_stats = quantizer.quantize_matrix(
            x,
            packed.recipe["scales"],
            packed.recipe.get("dialect", "ieee"),
            pf.DTYPES[r["src_dtype"]][0],
        )
        c.equal_bytes(f"{what}: codes", "codes", np.ascontiguousarray(codes[k]), want_codes, 1)
        c.equal_bytes(
            f"{what}: scales", "scales", scales[k], want_scales.astype("<f4").tobytes(), 4
        )
        c.counts["STAT rows"] += 1
        want = describe_stat(pf.STAT_ROW.unpack(pack_stats(want_stats)))
        c.equal(f"{what}: STAT", describe_stat(r["stats"][k]), want)


# Self-test of the oracle


def sweep_scales():
    """A fixed set: powers of two, scales of usual and extreme tiles, and some of no special
    form."""
    amax = [448, 1, 1.75, 0.0271, 3.3e38, 1e-30, 2.0**-118, 0.5, 7e-5, 123.456, 1e20, 2.0**-133]
    scales = np.concatenate(
        [quantizer.tile_scales(np.float32(amax), kind) for kind in ("f32", "ue8m0")]
    )
    return np.unique(scales)


def finite_bf16():
    x = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    return x[np.isfinite(x)]


def exact_code(magnitude):
    """Nearest code by rational arithmetic, ties to the even code, saturating."""
    grid = EXACT_GRID
    value = Fraction(float(magnitude))
    hi = min(bisect.bisect_left(grid, value), len(grid) - 1)
    lo = max(hi - 1, 0)
    below, above = value - grid[lo], grid[hi] - value
    if below == above:
        return lo if lo % 2 == 0 else hi
    return lo if below < above else hi


EXACT_GRID = [
    Fraction(8 + (c & 7), 1024) * 2 ** (c >> 3) if c >> 3 else Fraction(c & 7, 512)
    for c in range(quantizer.MAX_CODE + 1)
]


def self_test():
    """Table, rational arithmetic and ml_dtypes agree. Returns the number of values, raises
    AssertionError."""
    assert [Fraction(float(m)) for m in quantizer.MAGNITUDES] == EXACT_GRID
    values = 0
    for scale in sweep_scales():
        with np.errstate(over="ignore"):  # infinity saturates like any other large value
            y = np.unique(np.abs(finite_bf16() / scale))
        codes = quantizer.encode(y)
        values += len(y)
        for i in range(0, len(y), 16):
            if np.isfinite(y[i]):
                assert codes[i] == exact_code(y[i]), (y[i], codes[i])
    values += self_test_edges() + self_test_codes()
    return values


def self_test_edges():
    """Each decision boundary with its neighbors, and each code's own value."""
    b = quantizer.BOUNDARIES
    points = np.concatenate(
        [
            b,
            np.nextafter(b, np.float32(0)),
            np.nextafter(b, np.float32(np.inf)),
            quantizer.MAGNITUDES,
            np.float32([464, 463.99997, 464.00003, 1e30]),
        ]
    )
    assert quantizer.encode(points).tolist() == [exact_code(p) for p in points]
    return len(points)


def self_test_codes():
    """All 256 codes mean what ml_dtypes says they mean, and a value that has a code gets it."""
    assert quantizer.encode(quantizer.MAGNITUDES).tolist() == list(range(quantizer.MAX_CODE + 1))
    if quantizer.ml_dtypes is not None:
        theirs = (
            np.arange(256, dtype=np.uint8)
            .view(quantizer.ml_dtypes.float8_e4m3fn)
            .astype(np.float32)
        )
        ours = np.append(quantizer.MAGNITUDES, np.float32(np.nan))
        assert np.array_equal(theirs, np.concatenate([ours, -ours]), equal_nan=True)
        assert np.signbit(theirs[128:255]).all() and not np.signbit(theirs[:127]).any()
    return 256


def compare_with_safetensors(checkpoint):
    """Compare our reading of the shards with the safetensors package, if it is installed."""
    try:
        import safetensors
    except ImportError:
        return
    for path in sorted(glob.glob(os.path.join(glob.escape(checkpoint.directory), "*.safetensors"))):
        if os.path.basename(path) not in [s.name for s in checkpoint.shards]:
            continue
        with open(path, "rb") as f:
            for name, theirs in safetensors.deserialize(f.read()):
                ours = checkpoint.tensors[name]
                same = (ours.dtype, list(ours.shape)) == (theirs["dtype"], list(theirs["shape"]))
                assert same and ours.data.tobytes() == bytes(theirs["data"]), name


def run_self_test():
    values = self_test()
    opinion = "table, rational arithmetic" + (
        " and ml_dtypes" if quantizer.ml_dtypes else " (no ml_dtypes)"
    )
    print(f"self-test: {opinion} agree on {values} values and 256 codes")
    return 0


def run_comparison(path, directory):
    status, reason = read_packed.status_of(path)
    if status:
        print(f"{path}: {reason}", file=sys.stderr)
        return status
    packed = read_packed.PackedFile(path)
    packed.check_all()
    checkpoint = Checkpoint(directory)
    compare_with_safetensors(checkpoint)
    c = compare_file(packed, checkpoint)
    for d in c.differences[:20]:
        print(f"{path}: {d}", file=sys.stderr)
    counts = ", ".join(f"{n} {what}" for what, n in c.counts.items())
    print(f"{path}: {counts}: {len(c.differences)} differences")
    return 1 if c.differences else 0


def main():
    parser = argparse.ArgumentParser(
        description="check a packed file against its checkpoint, independently of octavo"
    )
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument(
        "--need-ml-dtypes", action="store_true", help="fail if ml_dtypes cannot be imported"
    )
    parser.add_argument("paths", nargs="*", metavar="FILE CHECKPOINT")
    args = parser.parse_args()
    if args.need_ml_dtypes and quantizer.ml_dtypes is None:
        sys.exit("ml_dtypes is not installed")
    if args.self_test:
        return run_self_test()
    if len(args.paths) != 2:
        parser.error("expected FILE CHECKPOINT")
    return run_comparison(*args.paths)


if __name__ == "__main__":
    sys.exit(main())
