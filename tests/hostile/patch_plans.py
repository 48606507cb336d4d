"""Whole packed files from plans that no checkpoint produces, and files at the limits of the format.

Generators of (name, statuses, bytes), as in patch_fields.py.
"""

import struct

import numpy as np

import small_checkpoint as small
from packed_image import Image
from patch_fields import GOOD, MALFORMED
import packed_format as pf
import plan_np as plan
import write_packed
from packed_format import CODES, KEPT, SCALES


def bad_plans(good):
    def kept(name, shape, dtype="U8"):
        return plan.Planned(name, KEPT, dtype, dtype, shape, [])

    for what, statuses, planned in (
        ("nothing at all", GOOD, []),
        ("one tensor", GOOD, [kept("x", [3])]),
        ("rank 6", GOOD, [kept("x", [1] * 6)]),
        ("stack of one", MALFORMED, [kept("a.experts.*.b", [1, 2, 3])]),
        ("stack of matrices of rank 1", MALFORMED, [kept("a.experts.*.b", [2, 3])]),
        ("stack", GOOD, [kept("a.experts.*.b", [2, 2, 3])]),
        ("stack of empty matrices", GOOD, [kept("a.experts.*.b", [2, 0, 3])]),
        ("stack of rank 4", GOOD, [kept("a.experts.*.b", [2, 2, 3, 1])]),
        ("star at the second experts", MALFORMED, [kept("a.experts.0.experts.*.b", [2, 2, 3])]),
        ("star alone", MALFORMED, [kept("*", [2, 2, 3])]),
        ("star at the end", GOOD, [kept("experts.*", [2, 2, 3])]),
        ("empty name", MALFORMED, [kept("", [3])]),
        ("name of 255 bytes", GOOD, [kept("n" * 255, [3])]),
        ("name of 256 bytes", MALFORMED, [kept("n" * 256, [3])]),
        ("2^40 rows of nothing", MALFORMED, [kept("x", [1 << 40, 0])]),
        ("2^40 - 1 rows of nothing", GOOD, [kept("x", [(1 << 40) - 1, 0])]),
        ("unsorted", MALFORMED, [kept("b", [3]), kept("a", [3])]),
        ("layer before no layer", MALFORMED, [kept("h.0.a", [3]), kept("b", [3])]),
        ("layers as text", MALFORMED, [kept("h.10.a", [3]), kept("h.9.a", [3])]),
        ("layers as numbers", GOOD, [kept("h.9.a", [3]), kept("h.10.a", [3])]),
        ("same name", MALFORMED, [kept("a", [3]), kept("a", [3])]),
        ("four-bit elements", GOOD, [kept("x", [4], "F4")]),
        ("half a byte per expert", MALFORMED, [kept("experts.*", [2, 1, 1], "F4")]),
    ):
        yield f"plan: {what}", statuses, from_plan(planned)
    yield from bad_codes()
    yield from dialects()


def from_plan(planned, stats=0, fill=0):
    """A file of planned records whose bytes are all `fill`."""
    data = {
        id(r): bytes([fill]) * (pf.product(r.shape) * pf.DTYPE_BITS[r.dtype] // 8) for r in planned
    }
    for r in planned:
        has_sources = r.cls != SCALES or r.origin == pf.CARRIED
        stacked = pf.is_stack(r.name) and has_sources
        r.sources = [plan_source()] * (r.shape[0] if stacked else 1)
    recipe = {"octavo_recipe": 1, "rules": [], "scales": "f32"}
    prov = {"shards": [], "spec": {"format": 1, "quant": 1}}
    return write_packed.build(planned, data, [bytes(64)] * stats, [], recipe, prov, pf.XXH3)


def plan_source():
    class Nothing:
        data = np.empty(0, np.uint8)

    return Nothing


def codes_pair(name, shape, tiles, dtype="F8_E4M3", scale_dtype="F32", scale_name=None):
    scale = plan.Planned(
        scale_name or name + pf.SCALE_SUFFIX, SCALES, scale_dtype, scale_dtype, tiles, []
    )
    return [plan.Planned(name, CODES, dtype, "BF16", shape, [], scale), scale]


def carried_pair(name, shape, tiles, scale_dtype="F32", scale_source=None, source="F8_E4M3"):
    """The same, carried."""
    pow2 = scale_dtype == "F8_E8M0"
    scale = plan.Planned(
        name + pf.SCALE_SUFFIX,
        SCALES,
        scale_dtype,
        scale_source or scale_dtype,
        tiles,
        [],
        None,
        pow2,
        pf.CARRIED,
    )
    return [
        plan.Planned(name, CODES, "F8_E4M3", source, shape, [], scale, origin=pf.CARRIED),
        scale,
    ]


def bad_codes():
    name = "h.0.a"
    for what, statuses, rows, pair in (
        ("good", GOOD, 1, codes_pair(name, [3, 5], [1, 1])),
        ("three dimensions", GOOD, 2, codes_pair(name, [2, 3, 5], [2, 1, 1])),
        ("one dimension", MALFORMED, 1, codes_pair(name, [5], [1])),
        ("four dimensions", MALFORMED, 1, codes_pair(name, [1, 1, 3, 5], [1, 1, 1, 1])),
        ("no rows", MALFORMED, 1, codes_pair(name, [0, 5], [0, 1])),
        ("too few tiles", MALFORMED, 1, codes_pair(name, [129, 5], [1, 1])),
        ("too many tiles", MALFORMED, 1, codes_pair(name, [128, 5], [2, 1])),
        ("scales of too few experts", MALFORMED, 2, codes_pair(name, [2, 3, 5], [1, 1, 1])),
        ("scales of rank 2", MALFORMED, 2, codes_pair(name, [2, 3, 5], [2, 1])),
        ("not E4M3", MALFORMED, 1, codes_pair(name, [3, 5], [1, 1], dtype="F8_E5M2")),
        (
            "scales that are not F32",
            MALFORMED,
            1,
            codes_pair(name, [3, 5], [1, 1], scale_dtype="I32"),
        ),
        (
            "scales of another name",
            MALFORMED,
            1,
            codes_pair(name, [3, 5], [1, 1], scale_name="h.0.a_scale"),
        ),
        ("scales that come first", MALFORMED, 1, codes_pair(name, [3, 5], [1, 1])[::-1]),
    ):
        yield f"codes: {what}", statuses, from_plan(pair, rows)
    first, second = codes_pair("h.0.a", [3, 5], [1, 1]), codes_pair("h.0.b", [3, 5], [1, 1])
    image = Image(from_plan([first[0], second[0], first[1], second[1]], 2))
    image.put_record(1, "scale_idx", 2)
    yield "codes: two that share their scales", MALFORMED, image.seal().raw


def carried(good):
    """Carried FP8 and its scales: the files have no STAT row for it."""
    name, shape, tiles = "h.0.a", [3, 5], [1, 1]
    for kind in ("F32", "BF16", "F16", "F8_E8M0"):
        yield f"carried: {kind}", GOOD, from_plan(carried_pair(name, shape, tiles, kind))
    stack = "h.0.experts.*.w"
    for what, statuses, pair in (
        ("three dimensions", GOOD, carried_pair(name, [2, 3, 5], [2, 1, 1])),
        ("stack", GOOD, carried_pair(stack, [2, 3, 5], [2, 1, 1], "BF16")),
        ("scales in E4M3", MALFORMED, carried_pair(name, shape, tiles, "F8_E4M3")),
        ("scales in F64", MALFORMED, carried_pair(name, shape, tiles, "F64")),
        ("scales that were F32", MALFORMED, carried_pair(name, shape, tiles, "BF16", "F32")),
        ("codes that were BF16", MALFORMED, carried_pair(name, shape, tiles, source="BF16")),
        ("codes that were E5M2", MALFORMED, carried_pair(name, shape, tiles, source="F8_E5M2")),
        ("too few tiles", MALFORMED, carried_pair(name, [129, 5], tiles)),
    ):
        yield f"carried: {what}", statuses, from_plan(pair)
    yield from carried_fields(name, shape, tiles)
    pair = carried_pair(name, shape, tiles, "F8_E8M0")
    yield "carried: a NaN in E8M0", MALFORMED, from_plan(pair, fill=0xFF)
    yield "carried: the largest E8M0", GOOD, from_plan(pair, fill=0xFE)


def carried_fields(name, shape, tiles):
    for what, statuses, codes, scales in (
        ("good", GOOD, {}, {}),
        ("with a dialect", MALFORMED, {"dialect": 1}, {"dialect": 1}),
        ("scales with a dialect", MALFORMED, {}, {"dialect": 1}),
        ("scales quantized by the writer", MALFORMED, {}, {"origin": 1, "dialect": 1}),
        ("tiles of 64", MALFORMED, {"block_rows": 64}, {}),
        ("tiles of a row", MALFORMED, {"block_rows": 0}, {}),
        ("powers of two in F32", MALFORMED, {}, {"flags": 1}),
    ):
        image = Image(from_plan(carried_pair(name, shape, tiles)))
        for index, fields in ((0, codes), (1, scales)):
            for field, value in fields.items():
                image.put_record(index, field, value)
        yield f"carried: {what}", statuses, image.seal().raw
    image = Image(from_plan(carried_pair(name, shape, tiles, "F8_E8M0")))
    image.put_record(1, "flags", 0)
    yield "carried: E8M0 without the flag", MALFORMED, image.seal().raw
    image = Image(from_plan(codes_pair(name, shape, tiles), 1))
    image.put_record(0, "src_dtype", pf.E4M3)
    yield "requantized: good", GOOD, image.seal().raw
    pair = codes_pair(name, shape, tiles, scale_dtype="BF16")
    yield "requantized: scales in BF16", MALFORMED, from_plan(pair, 1)


def dialects():
    """Dialect numbers, and scales that a dialect does not have."""
    for what, statuses, dialect, source, pow2 in (
        ("another", GOOD, 2, "BF16", 0),
        ("the last", GOOD, 6, "BF16", 0),
        ("unknown", MALFORMED, 7, "BF16", 0),
        ("compressed-tensors", GOOD, 5, "F32", 0),
        ("compressed-tensors with powers of two", MALFORMED, 5, "F32", 1),
        ("linghe of F32", MALFORMED, 6, "F32", 0),
        ("linghe of F32 with powers of two", GOOD, 6, "F32", 1),
    ):
        pair = codes_pair("h.0.a", [3, 5], [1, 1])
        image = Image(from_plan(pair, 1))
        for index in (0, 1):
            image.put_record(index, "dialect", dialect)
        image.put_record(0, "src_dtype", pf.DTYPE_NUMBER[source])
        image.put_record(1, "flags", pow2)
        at = image.records[1]["off"]
        image.raw[at : at + 4] = struct.pack("<f", 1)
        image.seal_chunks()
        yield f"dialect: {what}", statuses, image.seal().raw


def keep(glob):
    return {"action": "keep", "match": glob}


def rules_of_bytes(recipe, total):
    """Rules with which the recipe has `total` bytes. A letter of 2 bytes becomes 6 in JSON."""
    rules = []
    while (left := total - len(pf.canonical_json({**recipe, "rules": rules}))) > 0:
        empty = len(pf.canonical_json(keep(""))) + (1 if rules else 0)
        if left < empty + 6 * 500:
            rules.append(keep(""))
            missing = total - len(pf.canonical_json({**recipe, "rules": rules}))
            rules[-1] = keep("\u00e9" * (missing // 6) + "x" * (missing % 6))
        else:
            rules += [keep("\u00e9" * 500)] * max(1, min(1000, left // (empty + 6 * 500 + 1)))
    return rules


def limits(good):
    """The largest allowed numbers, and one more."""
    recipe = {"octavo_recipe": 1, "rules": [], "scales": "f32"}
    prov = {"shards": [], "spec": {"format": 1, "quant": 1}}
    for count, statuses in ((512, GOOD), (513, MALFORMED)):
        files = [(f"n{i:03}", b"") for i in range(count)]
        yield (
            f"FILE: {count} members",
            statuses,
            write_packed.build([], {}, [], files, recipe, prov, pf.XXH3),
        )
    for what, rules, statuses in (
        ("10000 rules", [keep("x")] * 10000, GOOD),
        ("10001 rules", [keep("x")] * 10001, MALFORMED),
        ("a glob of 1024 bytes", [keep("x" * 1024)], GOOD),
        ("a glob of 1025 bytes", [keep("x" * 1025)], MALFORMED),
        ("16 MiB", rules_of_bytes(recipe, 16 << 20), GOOD),
        ("16 MiB and 1", rules_of_bytes(recipe, (16 << 20) + 1), MALFORMED),
    ):
        yield (
            f"RCPE: {what}",
            statuses,
            write_packed.build([], {}, [], [], {**recipe, "rules": rules}, prov, pf.XXH3),
        )
    image = Image(good)
    r = image.records[image.by_name[small.NORM_A]]
    for name, value in (("ndim", 2), ("shape0", 1 << 30), ("shape1", 1 << 30), ("len", 1 << 61)):
        image.put_record(r["index"], name, value)
    yield "record of 2^60 elements", MALFORMED, image.seal().raw
