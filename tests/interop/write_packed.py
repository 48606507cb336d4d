#!/usr/bin/python3
"""A second writer of packed files, small and slow, written from spec/ alone.

    write_packed.py CHECKPOINT -o OUT.octavo [--scales f32|ue8m0] [--rules JSON]
                    [--dialect NAME] [--requantize] [--digest xxh3|sha256] [--source-sha256]

The format is canonical, so for the same input the files of this script and of `octavo convert` must be
equal byte for byte: one `cmp` compares recipe, plan, codes, scales, statistics, digests and layout of
two programs that share no code. For checkpoints that fit in memory.
"""

import argparse
import json
import os
import struct
import sys

import numpy as np

import fp8_np as fp8
import packed_format as pf
import plan_np as plan
import quantizer_np as quantizer
from checkpoint_np import Checkpoint
from packed_format import CARRIED, CODES, QUANTIZED


def source_dtype(tensor):
    """The dtype of the numbers to quantize: dequantized FP8 is F32."""
    return "F32" if tensor.dtype == "F8_E4M3" else tensor.dtype


def quantize_record(record, recipe):
    """Codes and scales of a codes record as bytes, and its STAT rows."""
    codes, scales, rows = [], [], []
    for tensor in record.sources:
        x = fp8.values(tensor)
        bad = quantizer.first_nonfinite(x)
        if bad:
            raise fp8.Refused(f"{tensor.name}: index {bad[0]}, the first of {bad[1]} not finite")
        for matrix in x.reshape((-1,) + x.shape[-2:]):
            c, s, stats = quantizer.quantize_matrix(
                matrix, recipe["scales"], recipe.get("dialect", "ieee"), source_dtype(tensor)
            )
            codes.append(c.tobytes())
            scales.append(s.astype("<f4").tobytes())
            rows.append(pack_stats(stats))
    return b"".join(codes), b"".join(scales), rows


def pack_stats(s):
    return struct.pack(
        "<3f4x3Q2d8x",
        s["amax"],
        s["scale_min"],
        s["scale_max"],
        s["saturated"],
        s["zero"],
        s["flushed"],
        s["sum_sq_source"],
        s["sum_sq_error"],
    )


def contents(records, recipe):
    """{id(record): bytes} and all STAT rows in record order."""
    data, stats = {}, []
    for r in records:
        if r.origin != QUANTIZED:
            data[id(r)] = b"".join(t.data.tobytes() for t in r.sources)
        if r.origin == CARRIED and r.cls == CODES:
            for pair in r.sources:
                fp8.check_carried(pair)
        elif r.cls == CODES:
            data[id(r)], data[id(r.scale)], rows = quantize_record(r, recipe)
            stats += rows
    return data, stats


def head_sections(records, files, recipe):
    names = [r.name.encode("utf-8") for r in records]
    by_name = sorted(range(len(records)), key=lambda i: names[i])
    return [
        ("TENS", b"".join(pf.RECORD.pack(r.fields) for r in records)),
        ("NIDX", struct.pack(f"<{len(by_name)}I", *by_name)),
        ("STRS", b"".join(names)),
        ("FILE", pf.ustar(files)),
        ("RCPE", pf.canonical_json(recipe)),
    ]


def chunk_digests(record, data, alg):
    slices = record.slices()
    size = len(data) // slices if slices else 0
    cuts = [
        (k * size + a, k * size + b)
        for k in range(slices)
        for a, b in pf.pieces(size, record.fields["chunk_bytes"])
    ]
    return [pf.digest(alg, data[a:b]) for a, b in cuts]


def tail_sections(records, data, stats, provenance, alg):
    chunks = [chunk_digests(r, data[id(r)], alg) for r in records]
    sources = [d for r in records for d in plan.source_digests(r)]
    return [
        ("CHNK", b"".join(d for c in chunks for d in c)),
        ("TDIG", b"".join(pf.combine(alg, c) for c in chunks)),
        ("SDIG", b"".join(sources)),
        ("STAT", b"".join(stats)),
        ("PROV", pf.canonical_json(provenance)),
    ]


def provenance_of(checkpoint, whole_files):
    shards = []
    for s in checkpoint.shards:
        entry = {
            "header_sha256": s.header_sha256,
            "name": s.name,
            "size": s.size,
            "tensors": s.tensors,
        }
        if whole_files:
            path = os.path.join(checkpoint.directory, s.name)
            entry["sha256"] = pf.sha256(np.memmap(path, np.uint8, "r")).hex()
        shards.append(entry)
    return {"shards": shards, "spec": {"format": 1, "quant": 1}}


def data_start(records, files, recipe):
    """data_off: the lengths of the head do not depend on the offsets in it."""
    plan.place_records(records, 0)
    _, _, end = pf.place_sections(head_sections(records, files, recipe), pf.PAGE)
    return pf.align(end, pf.DATA_ALIGN)


def build(records, data, stats, files, recipe, provenance, alg):
    """The whole file as one bytearray, from planned records and {id(record): bytes}. Nothing
    is checked: the hostile tests use it to build files from bad plans."""
    data_off = data_start(records, files, recipe)
    end, chunks = plan.place_records(records, data_off)
    tail = tail_sections(records, data, stats, provenance, alg)
    frame, size = pf.assemble(
        head_sections(records, files, recipe), end - data_off, tail, alg, len(records), chunks
    )
    raw = bytearray(size)
    for off, part in list(frame.items()) + [(r.fields["off"], data[id(r)]) for r in records]:
        raw[off : off + len(part)] = part
    return raw


def recipe_of(scales, rules=(), requantize=False, dialect="ieee", built_in=2):
    recipe = {"octavo_recipe": 1, "rules": list(rules), "scales": scales}
    if built_in != 1:
        recipe["built_in"] = built_in
    if requantize:
        recipe["requantize"] = 1
    if dialect != "ieee":
        recipe["dialect"] = dialect
    return recipe


def pack(checkpoint, recipe, alg=pf.XXH3, whole_files=False):
    """The packed file of a checkpoint."""
    records = plan.plan_records(checkpoint, recipe)
    data, stats = contents(records, recipe)
    provenance = provenance_of(checkpoint, whole_files)
    return build(records, data, stats, checkpoint.embedded(), recipe, provenance, alg)


def main():
    parser = argparse.ArgumentParser(description="write a packed file, independently of octavo")
    parser.add_argument("checkpoint")
    parser.add_argument("-o", required=True, dest="output")
    parser.add_argument("--scales", choices=("f32", "ue8m0"), default="f32")
    parser.add_argument("--dialect", choices=pf.DIALECT_NAMES[1:], default="ieee")
    parser.add_argument(
        "--rules", type=json.loads, default=[], help='JSON: [{"action":"keep","match":GLOB},…]'
    )
    parser.add_argument("--digest", choices=("xxh3", "sha256"), default="xxh3")
    parser.add_argument("--source-sha256", action="store_true")
    parser.add_argument("--requantize", action="store_true")
    parser.add_argument("--built-in", type=int, choices=(1, 2), default=2)
    args = parser.parse_args()
    recipe = recipe_of(args.scales, args.rules, args.requantize, args.dialect, args.built_in)
    alg = pf.XXH3 if args.digest == "xxh3" else pf.SHA256
    try:
        raw = pack(Checkpoint(args.checkpoint), recipe, alg, args.source_sha256)
    except fp8.Refused as e:
        print(e, file=sys.stderr)
        return 5
    with open(args.output, "wb") as f:
        f.write(raw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
