"""The rules of spec/format.md that concern records, names, embedded files, recipe and provenance.

read_packed.py calls these after checking the digests that cover the bytes, so any violation found here
is `malformed`, never `damaged`.
"""

import re
import struct

import packed_format as pf
from packed_format import CARRIED, CODES, KEPT, NONE32, QUANTIZED, RECORD, SCALES


class Malformed(Exception):
    """All digests match, but a field violates a rule."""


class Damaged(Exception):
    """A digest, a padding byte, a copy or the length of the file is wrong."""


# By origin: what codes can be made of, and the dtypes of their scales (sections 5 and quant.md 1, 7).
CODES_FROM = {QUANTIZED: ("BF16", "F16", "F32", "F8_E4M3"), CARRIED: ("F8_E4M3",)}
SCALES_OF = {QUANTIZED: ("F32",), CARRIED: ("F32", "BF16", "F16", "F8_E8M0")}


def rule(holds, message):
    if not holds:
        raise Malformed(message)


# TENS, NIDX, STRS (section 5)


def read_records(tens, nidx, strs, count, data_off):
    """The records as dicts with name, shape, cls, slices, stack and owner added, all rules of
    section 5 checked."""
    rule(len(tens) == count * RECORD.size, f"TENS has {len(tens)} bytes for {count} records")
    records = [RECORD.unpack(tens[i : i + RECORD.size]) for i in range(0, len(tens), RECORD.size)]
    read_names(records, strs)
    for i, r in enumerate(records):
        r["index"], r["owner"] = i, None
        r["what"] = f"record {i} ({r['name']})"
        check_shape(r)
    link_scales(records)
    for r in records:
        r["cls"] = CODES if r["scale_idx"] != NONE32 else SCALES if r["owner"] is not None else KEPT
        r["slices"] = pf.slice_count(r["name"], r["cls"], r["shape"], r["origin"])
        check_origin(r)
    check_order(records)
    check_places(records, data_off)
    check_chunks(records)
    check_name_index(records, nidx)
    check_stacks(records)
    return records


def read_names(records, strs):
    at = 0
    for i, r in enumerate(records):
        rule(r["name_off"] == at, f"record {i}: name_off {r['name_off']}, expected {at}")
        raw = strs[at : at + r["name_len"]]
        rule(len(raw) == r["name_len"], f"record {i}: its name ends after STRS")
        rule(pf.name_bytes_valid(raw), f"record {i}: {raw!r} is not a name")
        r["name"] = raw.decode("utf-8")
        at += len(raw)
    rule(at == len(strs), f"STRS has {len(strs)} bytes, the names take {at}")


def check_shape(r):
    rule(r["dtype"] in pf.DTYPES, f"{r['what']}: dtype {r['dtype']}")
    rule(r["src_dtype"] in pf.DTYPES, f"{r['what']}: src_dtype {r['src_dtype']}")
    rule(r["ndim"] <= 6, f"{r['what']}: ndim {r['ndim']}")
    dims = [r[f"shape{k}"] for k in range(6)]
    r["shape"] = dims[: r["ndim"]]
    rule(not any(dims[r["ndim"] :]), f"{r['what']}: a shape entry after ndim is not zero")
    rule(all(d < 1 << 40 for d in r["shape"]), f"{r['what']}: a dimension of 2^40 or more")
    rule(pf.product(r["shape"]) < 1 << 60, f"{r['what']}: 2^60 elements or more")
    bits = pf.product(r["shape"]) * pf.DTYPES[r["dtype"]][1]
    rule(bits % 8 == 0, f"{r['what']}: not whole bytes")
    rule(r["len"] == bits // 8, f"{r['what']}: len {r['len']}, expected {bits // 8}")
    rule(r["reserved_116"] == bytes(12), f"{r['what']}: reserved bytes")
    layer = pf.layer_of(r["name"])
    rule(r["layer"] == (NONE32 if layer is None else layer), f"{r['what']}: layer {r['layer']}")


def link_scales(records):
    """Give every scales record its owner, the codes record that refers to it."""
    for r in records:
        k = r["scale_idx"]
        if k == NONE32:
            continue
        rule(k < len(records), f"{r['what']}: scale_idx {k} of {len(records)} records")
        s = records[k]
        rule(s["owner"] is None, f"{s['what']}: scales of two records")
        rule(s["scale_idx"] == NONE32, f"{s['what']}: scales that have scales")
        s["owner"] = r["index"]
        check_codes(r, s)


def check_codes(r, s):
    """The rules for a codes record `r` and its scales record `s`."""
    shape = r["shape"]
    rule(r["dtype"] == pf.E4M3, f"{r['what']}: codes of dtype {r['dtype']}")
    rule(len(shape) in (2, 3) and all(shape), f"{r['what']}: codes of shape {shape}")
    rule(r["origin"] in (QUANTIZED, CARRIED), f"{r['what']}: codes of origin {r['origin']}")
    tile = (r["block_rows"], r["block_cols"])
    rule(tile == (pf.TILE, pf.TILE), f"{r['what']}: tiles are {tile}, expected 128 x 128")
    source = pf.DTYPES[r["src_dtype"]][0]
    rule(source in CODES_FROM[r["origin"]], f"{r['what']}: src_dtype {source}")
    tiles = shape[:-2] + [pf.ceil_div(d, pf.TILE) for d in shape[-2:]]
    rule(s["shape"] == tiles, f"{s['what']}: shape {s['shape']}, expected {tiles}")
    kind = pf.DTYPES[s["dtype"]][0]
    rule(kind in SCALES_OF[r["origin"]], f"{s['what']}: scales of dtype {kind}")
    rule(s["src_dtype"] == s["dtype"], f"{s['what']}: scales of src_dtype {s['src_dtype']}")
    pow2 = int(kind == "F8_E8M0")
    rule(r["origin"] != CARRIED or s["flags"] == pow2, f"{s['what']}: {kind}, flags {s['flags']}")
    rule(
        s["origin"] == r["origin"],
        f"{s['what']}: origin {s['origin']}, its codes have {r['origin']}",
    )
    rule(
        s["dialect"] == r["dialect"],
        f"{s['what']}: dialect {s['dialect']}, its codes have {r['dialect']}",
    )
    rule(
        dialect_exists(r["dialect"], source, s["flags"] == 1),
        f"{r['what']}: dialect {r['dialect']} has no such scales for {source}",
    )
    expected = r["name"] + pf.SCALE_SUFFIX
    rule(s["name"] == expected, f"{s['what']}: expected the name {expected}")


def dialect_exists(number, source, pow2):
    """quant.md section 7 lists combinations that do not exist."""
    name = pf.DIALECT_NAMES[number] if number < len(pf.DIALECT_NAMES) else "?"
    return not (name == "compressed-tensors" and pow2) and not (
        name == "linghe" and source == "F32" and not pow2
    )


def check_origin(r):
    if r["cls"] == KEPT:
        rule(r["origin"] == 0, f"{r['what']}: kept, but origin {r['origin']}")
        rule(r["src_dtype"] == r["dtype"], f"{r['what']}: kept, but src_dtype {r['src_dtype']}")
    named = 0 < r["dialect"] < len(pf.DIALECT_NAMES) if r["origin"] == 1 else r["dialect"] == 0
    rule(named, f"{r['what']}: dialect {r['dialect']}, origin {r['origin']}")
    if r["cls"] != CODES:
        rule(r["block_rows"] == r["block_cols"] == 0, f"{r['what']}: tiles without scales")
    rule(r["flags"] in ((0, 1) if r["cls"] == SCALES else (0,)), f"{r['what']}: flags {r['flags']}")


def order_key(r):
    layer = -1 if r["layer"] == NONE32 else r["layer"]
    return layer, r["cls"], r["name"].encode("utf-8")


def check_order(records):
    for a, b in zip(records, records[1:]):
        rule(order_key(a) < order_key(b), f"{b['what']}: must not follow {a['name']}")


def check_places(records, data_off):
    cursor = data_off
    for r in records:
        expected = pf.place(cursor, r["len"])
        rule(r["off"] == expected, f"{r['what']}: off {r['off']}, expected {expected}")
        cursor = r["off"] + r["len"]


def check_chunks(records):
    first = 0
    for r in records:
        size = pf.chunk_bytes_of(r["cls"], r["shape"])
        rule(
            r["chunk_bytes"] == size,
            f"{r['what']}: chunk_bytes {r['chunk_bytes']}, expected {size}",
        )
        rule(
            r["chunk_first"] == first,
            f"{r['what']}: chunk_first {r['chunk_first']}, expected {first}",
        )
        rule(
            r["slices"] == 0 or r["len"] % r["slices"] == 0,
            f"{r['what']}: slices are not whole bytes",
        )
        r["slice_bytes"] = r["len"] // r["slices"] if r["slices"] else 0
        count = r["slices"] * pf.ceil_div(r["slice_bytes"], size)
        rule(
            r["chunk_count"] == count,
            f"{r['what']}: chunk_count {r['chunk_count']}, expected {count}",
        )
        first += count


def chunk_ranges(r):
    """[(start, end)] in the file of the chunks of a record, slice by slice."""
    return [
        (r["off"] + k * r["slice_bytes"] + a, r["off"] + k * r["slice_bytes"] + b)
        for k in range(r["slices"])
        for a, b in pf.pieces(r["slice_bytes"], r["chunk_bytes"])
    ]


def check_name_index(records, nidx):
    rule(len(nidx) == 4 * len(records), f"NIDX has {len(nidx)} bytes for {len(records)} records")
    order = struct.unpack(f"<{len(records)}I", nidx)
    rule(all(k < len(records) for k in order), "NIDX names a record that does not exist")
    names = [records[k]["name"].encode("utf-8") for k in order]
    rule(
        all(a < b for a, b in zip(names, names[1:])),
        "the names of NIDX are not strictly increasing",
    )


def check_stacks(records):
    sizes = {}
    for r in records:
        if "*" not in r["name"]:
            continue
        rule(
            pf.is_stack(r["name"]) and r["name"].count("*") == 1,
            f"{r['what']}: a `*` where it is not allowed",
        )
        rule(
            len(r["shape"]) >= 3 and r["shape"][0] >= 2,
            f"{r['what']}: a stack of shape {r['shape']}",
        )
        sizes[r["name"]] = r["shape"][0]
    for r in records:
        slot = pf.expert_slot(r["name"])
        number = pf.canonical_decimal(slot[1]) if slot else None
        if number is not None:
            stack = slot[0] + "*" + slot[2]
            rule(
                number >= sizes.get(stack, 0),
                f"{r['what']}: the stack {stack} represents this name",
            )


# FILE (section 9)


def read_archive(raw):
    """[(name, bytes)] of a canonical archive."""
    rule(len(raw) <= 256 << 20, "FILE is larger than 256 MiB")
    rule(len(raw) >= 1024 and raw[-1024:] == bytes(1024), "FILE does not end in two zero blocks")
    members, at = [], 0
    while at < len(raw) - 1024:
        name, size = archive_header(raw[at : at + 512])
        data = raw[at + 512 : at + 512 + size]
        rule(at + 512 + size <= len(raw) - 1024, f"FILE: {name} ends after the archive")
        members.append((name, data))
        at += 512 + pf.align(size, 512)
    names = [name for name, _ in members]
    rule(len(members) <= 512, "FILE has more than 512 members")
    rule(all(a < b for a, b in zip(names, names[1:])), "FILE: names are not strictly increasing")
    for name in names:
        rule(name.split("/")[0] not in names or "/" not in name, f"FILE: {name}: in a file")
    rule(pf.ustar(members) == raw, "FILE is not in its canonical form")
    return members


def archive_header(block):
    name, prefix = (
        part.rstrip(b"\0").decode("latin-1") for part in (block[:100], block[345:500])
    )
    name = f"{prefix}/{name}" if prefix else name
    component = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]{1,100}"
    rule(
        re.fullmatch(f"{component}(?:/{component})?", name, re.ASCII),
        f"FILE: {name!r} is not a member name",
    )
    rule(block[156:157] == b"0", f"FILE: {name} is not a regular file")
    size = block[124:136].strip(b" \0")
    rule(re.fullmatch(rb"[0-7]{1,11}", size), f"FILE: {name} has no size")
    return name, int(size, 8)


# RCPE and PROV (section 9)


def read_canonical_json(tag, raw):
    rule(len(raw) <= 16 << 20, f"{tag} is larger than 16 MiB")
    try:
        value = pf.parse_json(raw)
        same = pf.canonical_json(value) == raw
    except (ValueError, RecursionError) as e:
        raise Malformed(f"{tag}: {e}") from None
    rule(same, f"{tag} is not canonical JSON")
    return value


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def read_recipe(raw):
    recipe = read_canonical_json("RCPE", raw)
    keys = {"octavo_recipe", "rules", "scales"}
    more = {"built_in", "dialect", "requantize"}
    rule(isinstance(recipe, dict) and set(recipe) - more == keys, "RCPE: wrong keys")
    rule(recipe.get("requantize", 1) == 1, f"RCPE: requantize {recipe.get('requantize')}")
    rule(recipe["octavo_recipe"] == 1, f"RCPE: recipe version {recipe['octavo_recipe']}")
    # Set 1 of the built-in rules is not named.
    rule(recipe.get("built_in", 2) == 2, f"RCPE: built_in {recipe.get('built_in')}")
    rule(recipe["scales"] in ("f32", "ue8m0"), f"RCPE: scales {recipe['scales']}")
    dialect = recipe.get("dialect", "ieee")
    named = "dialect" not in recipe or dialect in pf.DIALECT_NAMES[2:]
    rule(named, f"RCPE: dialect {dialect}")
    number = pf.DIALECT_NAMES.index(dialect)
    defined = dialect_exists(number, None, recipe["scales"] == "ue8m0")
    rule(defined, f"RCPE: the dialect {dialect} has no such scales")
    rule(isinstance(recipe["rules"], list), "RCPE: rules is not a list")
    rule(len(recipe["rules"]) <= 10000, "RCPE: more than 10,000 rules")
    for r in recipe["rules"]:
        rule(isinstance(r, dict) and set(r) == {"action", "match"}, "RCPE: a rule with wrong keys")
        rule(r["action"] in ("keep", "quantize"), f"RCPE: action {r['action']}")
        rule(isinstance(r["match"], str), "RCPE: match is not a string")
        rule(len(r["match"].encode()) <= 1024, "RCPE: a glob of more than 1,024 bytes")
    return recipe


def read_provenance(raw):
    prov = read_canonical_json("PROV", raw)
    rule(isinstance(prov, dict) and set(prov) == {"shards", "spec"}, "PROV: wrong keys")
    rule(prov["spec"] == {"format": 1, "quant": 1}, f"PROV: spec {prov['spec']}")
    rule(isinstance(prov["shards"], list), "PROV: shards is not a list")
    for s in prov["shards"]:
        check_shard(s)
    names = [s["name"].encode("utf-8") for s in prov["shards"]]
    rule(all(a < b for a, b in zip(names, names[1:])), "PROV: shards are not sorted by name")
    return prov


def check_shard(s):
    rule(
        isinstance(s, dict) and {"header_sha256", "name", "size", "tensors"} == set(s) - {"sha256"},
        "PROV: a shard with wrong keys",
    )
    rule(isinstance(s["name"], str) and s["name"], "PROV: a shard without a name")
    rule(is_count(s["size"]) and is_count(s["tensors"]), f"PROV: {s['name']}: size or tensors")
    for key in {"header_sha256", "sha256"} & set(s):
        rule(
            isinstance(s[key], str) and re.fullmatch(r"[0-9a-f]{64}", s[key], re.ASCII),
            f"PROV: {s['name']}: {key}",
        )
