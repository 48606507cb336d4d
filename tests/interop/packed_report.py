"""The contents of a packed file as the JSON object that `octavo inspect --json` prints, and the
comparison of the two."""

import struct

import packed_format as pf


def describe(packed):
    """The JSON object of a file after check_all(); it has one key that the tool does not print:
    chunk_digests."""
    sb, tr = packed.superblock, packed.trailer
    names = (
        "version",
        "block_bytes",
        "incompat",
        "compat",
        "align_log2",
        "chunk_log2",
        "head_sections",
        "tensor_count",
        "chunk_count",
        "data_off",
        "data_end",
    )
    return {
        "schema": 1,
        "kind": "packed",
        "path": packed.path,
        "superblock": {
            **{n: sb[n] for n in names},
            "digest_alg": pf.DIGEST_NAMES[sb["digest_alg"]],
            "plan_id": sb["plan_id"].hex(),
        },
        "trailer": {
            "sections": tr["sections"],
            "file_bytes": tr["file_bytes"],
            "root": tr["root"].hex(),
        },
        "sections": [
            {"tag": s["tag"], "off": s["off"], "len": s["len"], "sha256": s["sha256"].hex()}
            for s in packed.sections
        ],
        "tensors": [describe_record(packed, r) for r in packed.records],
        "files": [{"name": name, "bytes": len(data)} for name, data in packed.files],
        "recipe": packed.recipe,
        "provenance": packed.provenance,
    }


def describe_record(packed, r):
    out = {
        "name": r["name"],
        "dtype": pf.DTYPES[r["dtype"]][0],
        "shape": r["shape"],
        "off": r["off"],
        "len": r["len"],
        "chunk_bytes": r["chunk_bytes"],
        "chunk_first": r["chunk_first"],
        "chunk_count": r["chunk_count"],
        "scale": None if r["scale_idx"] == pf.NONE32 else packed.records[r["scale_idx"]]["name"],
        "layer": None if r["layer"] == pf.NONE32 else r["layer"],
        "block": [r["block_rows"], r["block_cols"]],
        "src_dtype": pf.DTYPES[r["src_dtype"]][0],
        "origin": pf.ORIGIN_NAMES[r["origin"]],
        "dialect": pf.DIALECT_NAMES[r["dialect"]],
        "pow2": bool(r["flags"] & 1),
        "class": pf.CLASS_NAMES[r["cls"]],
        "digest": r["digest"].hex(),
        "chunk_digests": [d.hex() for d in r["chunk_digests"]],
    }
    if r["source_digests"]:
        out["source_digests"] = [d.hex() for d in r["source_digests"]]
    if r["stats"]:
        out["stats"] = [describe_stat(row) for row in r["stats"]]
    return out


def describe_stat(row):
    out = {name: row[name] for name in ("saturated", "zero", "flushed")}
    out.update(
        {
            name: as_float("<f", row[name].to_bytes(4, "little"))
            for name in ("amax", "scale_min", "scale_max")
        }
    )
    out.update(
        {
            name: as_float("<d", row[name].to_bytes(8, "little"))
            for name in ("sum_sq_source", "sum_sq_error")
        }
    )
    return out


def as_float(form, raw):
    return struct.unpack(form, raw)[0]


F32_KEYS = ("amax", "scale_min", "scale_max")
ONLY_SOMETIMES = ("source_digests", "stats")
OURS = ("path", "chunk_digests")


def compare_inspect(path, inspect_json):
    """Differences between what this reader finds in `path` and what the tool printed: a list of
    sentences, empty if they agree. Keys that only the tool prints are ignored, except those that a
    record must not have.
    """
    import read_packed

    packed = read_packed.PackedFile(path)
    packed.check_all()
    differences = []
    compare("", describe(packed), inspect_json, differences)
    for record, shown in zip(packed.records, inspect_json.get("tensors", [])):
        for key in ONLY_SOMETIMES:
            if key in shown and not record[key]:
                differences.append(f"tensors: {record['name']} has {key}, expected none")
    return differences


def compare(where, ours, theirs, differences):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours:
            if key in theirs:
                compare_member(where, key, ours[key], theirs[key], differences)
            elif key not in OURS:
                differences.append(f"{where}.{key}: missing")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            differences.append(f"{where}: {len(theirs)} elements, expected {len(ours)}")
        for i, (a, b) in enumerate(zip(ours, theirs)):
            compare(f"{where}[{i}]", a, b, differences)
    elif in_json(ours) != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
        differences.append(f"{where}: {theirs!r}, expected {ours!r}")


def in_json(value):
    """Integers above 2^63 - 1 are shown as decimal strings."""
    return str(value) if isinstance(value, int) and value > (1 << 63) - 1 else value


def compare_member(where, key, ours, theirs, differences):
    if key == "path":
        return
    if key in F32_KEYS and isinstance(theirs, (int, float)):
        # whatever number of digits is printed, they must denote this float32
        theirs = as_float("<f", struct.pack("<f", theirs))
    compare(f"{where}.{key}", ours, theirs, differences)
