"""Variants of a packed file: wrong contents under matching digests, wrong digests, wrong padding,
wrong lengths.

Generators of (name, statuses, bytes), as in patch_fields.py.
"""

import struct

import small_checkpoint as small
from packed_image import Image, rebuild
from patch_fields import DAMAGED, EITHER, GOOD, MALFORMED, patched
import packed_format as pf
from packed_format import PAGE

# Names


def names(good):
    """Same length, other letters; what depends on a name (layer, order) stays right unless that is
    what the variant tests."""
    changes = [
        ("control byte", small.NORM_A, b"norm_a", b"nor\x1f_a"),
        ("DEL", small.NORM_A, b"norm_a", b"norm\x7fa"),
        ("NUL", small.NORM_A, b"norm_a", b"norm\x00a"),
        ("not UTF-8", small.NORM_A, b"norm_a", b"norm\xffa"),
        ("overlong UTF-8", small.NORM_A, b"norm_a", b"nor\xc0\xafa"),
        ("surrogate in UTF-8", small.NORM_A, b"norm_a", b"no\xed\xa0\x80a"),
        ("star in a component", small.NORM_A, b"norm_a", b"norm_*"),
        ("star not after experts", small.STACK, b"experts.*", b"expertz.*"),
        ("second star", small.KEPT_STACK, b"mixer", b"mixe*"),
        ("twice", small.NORM_B, b"norm_b", b"norm_a"),
        ("order", small.NORM_A, b"norm_a", b"norm_c"),
        ("a stack represents it", small.LONE_EXPERT, b"w7", b"w1"),
        ("suffix of scales", small.MATRIX + pf.SCALE_SUFFIX, b"_scale_inv", b"_scale_inw"),
        ("scales of another", small.MATRIX + pf.SCALE_SUFFIX, b"q_proj", b"q_proz"),
        ("other layer", small.MATRIX, b"layers.1", b"layers.2"),
        ("no layer", small.MATRIX, b"layers.1", b"layerz.1"),
        ("stack without star", small.STACK, b"*", b"0"),
    ]
    for what, name, old, new in changes:
        yield f"name: {what}", MALFORMED, patched(
            good, lambda i, n=name, o=old, w=new: rename(i, n, o, w)
        )
    image = Image(good)
    yield "STRS: one byte more", MALFORMED, rebuild(image, {"STRS": image.section("STRS") + b"x"})
    yield "STRS: one byte less", MALFORMED, rebuild(image, {"STRS": image.section("STRS")[:-1]})


def rename(image, name, old, new):
    r = image.records[image.by_name[name]]
    changed = name.encode().replace(old, new, 1)
    assert len(changed) == r["name_len"] and changed != name.encode()
    image.put_section("STRS", r["name_off"], changed)


def name_index(good):
    image = Image(good)
    order = list(struct.unpack(f"<{len(image.records)}I", image.section("NIDX")))
    swapped = [order[1], order[0]] + order[2:]
    for what, value in (
        ("swapped", swapped),
        ("twice", [order[0]] + order[:1] + order[2:]),
        ("out of range", order[:-1] + [len(order)]),
        ("far out", order[:-1] + [0xFFFFFFFF]),
    ):
        raw = struct.pack(f"<{len(value)}I", *value)
        yield f"NIDX: {what}", MALFORMED, patched(
            good, lambda i, raw=raw: i.put_section("NIDX", 0, raw)
        )
    yield "NIDX: one more", MALFORMED, rebuild(image, {"NIDX": image.section("NIDX") + bytes(4)})
    yield "NIDX: one less", MALFORMED, rebuild(image, {"NIDX": image.section("NIDX")[:-4]})


# FILE


# what, offset in the first header, bytes
HEADER_CHANGES = [
    ("mode", 100, b"000755 \0"),
    ("mode's spelling", 100, b"0000644\0"),
    ("uid", 108, b"000001 \0"),
    ("gid", 116, b"000001 \0"),
    ("mtime", 136, b"00000000001 "),
    ("link", 156, b"2"),
    ("directory", 156, b"5"),
    ("old type", 156, b"\0"),
    ("link name", 157, b"x"),
    ("GNU magic", 257, b"ustar  \0"),
    ("user", 265, b"root"),
    ("group", 297, b"root"),
    ("device", 329, b"000001 \0"),
    ("prefix", 345, b"a"),
    ("empty directory", 0, b"/"),
    ("two slashes", 0, b"a//"),
    ("two directories", 0, b"a/b/"),
    ("a directory in the prefix", 345, b"a/b"),
    ("dots", 0, b"../"),
    ("no name", 0, bytes(100)),
    ("space", 0, b" "),
    ("size", 124, b"77777777777 "),
    ("size in base 256", 124, b"\x80" + bytes(11)),
    ("size is not a number", 124, b"0000000000x "),
    ("end of header", 511, b"x"),
]


def archives(good):
    image = Image(good)
    members, raw = packed_members(image), image.section("FILE")
    for what, at, value in HEADER_CHANGES:
        yield f"FILE: {what}", MALFORMED, rebuild(image, {"FILE": with_header(raw, at, value)})
    broken, padding = bytearray(raw), bytearray(raw)
    broken[148] ^= 1
    padding[512 + len(members[0][1])] = 1
    for what, value in (
        ("checksum", broken),
        ("padding of a member", padding),
        ("one zero block", raw[:-512]),
        ("no end", raw[:-1024]),
        ("three zero blocks", raw + bytes(512)),
        ("blocked to 10240", pf.pad_to(raw, 10240)),
        ("nothing", b""),
        ("no archive", b"x" * 1024),
        ("unsorted", unsorted_archive(members)),
        ("twice", pf.ustar(members + members[:1])),
        ("one byte more", raw + b"\0"),
    ):
        yield f"FILE: {what}", MALFORMED, rebuild(image, {"FILE": bytes(value)})
    pairs = [("a/b", b"1"), ("a/c", b""), ("x" * 100 + "/" + "y" * 100, b"2")]
    with_directories = pf.ustar(members + pairs)
    yield "FILE: directories", GOOD, rebuild(image, {"FILE": with_directories})
    for name in ("a/../b", "../a", "a/..", "a/.", "./a", "/a", "a/", "a/b/c", "a//b", "a/b c", "a/" + "y" * 101):
        yield f"FILE: {name}", MALFORMED, rebuild(image, {"FILE": pf.ustar([(name, b"x")])})
    yield "FILE: a directory and a file", MALFORMED, rebuild(
        image, {"FILE": pf.ustar([("a", b""), *pairs])}
    )
    yield "FILE: no members", GOOD, rebuild(image, {"FILE": pf.ustar([])})


def packed_members(image):
    import packed_rules

    return packed_rules.read_archive(image.section("FILE"))


def with_header(archive, at, value):
    """The first header changed, with a correct checksum."""
    raw = bytearray(archive)
    raw[at : at + len(value)] = value
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def unsorted_archive(members):
    parts = [pf.ustar([m])[:-1024] for m in reversed(members)]
    return b"".join(parts) + bytes(1024)


# RCPE and PROV

RECIPES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'"x"',
    b'{"octavo_recipe":1,"rules":[]}',
    b'{"octavo_recipe":1,"scales":"f32"}',
    b'{"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":2,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":"1","rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[],"scales":"bf16"}',
    b'{"octavo_recipe":1,"rules":{},"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[1],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[{"action":"drop","match":"*"}],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[{"action":"keep"}],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[{"action":"keep","match":1}],"scales":"f32"}',
    b'{"action":"keep","octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[],"scales":"f32","unknown":1}',
    b'{"octavo_recipe":1,"rules":[],"scales":"f32"} ',
    b'{"octavo_recipe":1,"rules":[],"scales":"f32"}\n',
    b'{"octavo_recipe":1, "rules":[],"scales":"f32"}',
    b'{"rules":[],"octavo_recipe":1,"scales":"f32"}',
    b'{"octavo_recipe":1,"octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[],"scales":"f3\\u0032"}',
    b'{"octavo_recipe":1.0,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":true,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"requantize":0,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"requantize":2,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"requantize":"1","rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"requantize":true,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"requantize":null,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[],"scales":"f32","requantize":1}',
    b'{"octavo_recipe":1,"rules":null,"scales":"f32"}',
    '{"octavo_recipe":1,"rules":[{"action":"keep","match":"ü"}],"scales":"f32"}'.encode(),
    b'{"octavo_recipe":1,"rules":[{"action":"keep","match":"\\u00fc"}],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[{"action":"keep","match":"\\n"}],"scales":"f32"}',
    b'{"octavo_recipe":1,"rules":[{"action":"keep","match":"\\/"}],"scales":"f32"}',
    b'{"built_in":1,"octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"built_in":0,"octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"built_in":3,"octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"built_in":4294967298,"octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"built_in":"2","octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"built_in":null,"octavo_recipe":1,"rules":[],"scales":"f32"}',
    b'{"octavo_recipe":1,"built_in":2,"rules":[],"scales":"f32"}',
    b"[" * 2000 + b"]" * 2000,
]


def recipes(good):
    image = Image(good)
    for raw in RECIPES:
        yield f"RCPE: {short(raw)}", MALFORMED, rebuild(image, {"RCPE": raw})
    rule = {"action": "keep", "match": '\u00fc\U0001f600 "\\/ \n nothing'}
    kept = {"octavo_recipe": 1, "rules": [rule], "scales": "f32"}
    yield "RCPE: canonical escapes", GOOD, rebuild(image, {"RCPE": pf.canonical_json(kept)})
    newer = {**kept, "built_in": 2}
    yield "RCPE: built_in", GOOD, rebuild(image, {"RCPE": pf.canonical_json(newer)})
    allowed = {**kept, "requantize": 1}
    yield "RCPE: requantize", GOOD, rebuild(image, {"RCPE": pf.canonical_json(allowed)})


def short(raw):
    text = raw.decode("utf-8").encode("unicode_escape").decode()
    return text if len(text) < 90 else text[:40] + "…"


def bad_shards(shard):
    for key, value in (
        ("name", ""),
        ("name", 1),
        ("size", "1"),
        ("size", -1),
        ("tensors", "1"),
        ("header_sha256", "00"),
        ("header_sha256", shard["header_sha256"].upper()),
        ("header_sha256", "g" * 64),
        ("sha256", "00"),
        ("unknown", 1),
    ):
        yield {**shard, key: value}
    for missing in shard:
        yield {key: value for key, value in shard.items() if key != missing}
    yield from ([], 1)


def bad_provenances(prov):
    shard = prov["shards"][0]
    for value in bad_shards(shard):
        yield {**prov, "shards": [value]}
    yield {**prov, "shards": [shard, shard]}
    yield {**prov, "shards": [{**shard, "name": "b"}, {**shard, "name": "a"}]}
    yield {**prov, "shards": {}}
    for spec in ({"format": 2, "quant": 1}, {"format": 1}, {"format": 1, "quant": 1, "x": 1}):
        yield {**prov, "spec": spec}
    yield from ({**prov, "x": 1}, {"shards": []}, {"spec": prov["spec"]}, [])


def provenances(good):
    image = Image(good)
    raw = image.section("PROV")
    prov = pf.parse_json(raw)
    for k, value in enumerate(bad_provenances(prov)):
        text = pf.canonical_json(value)
        yield f"PROV: {k} {short(text)}", MALFORMED, rebuild(image, {"PROV": text})
    for what, value in (
        ("empty", b""),
        ("a space", raw + b" "),
        ("keys in another order", raw.replace(b'"format":1,"quant":1', b'"quant":1,"format":1')),
        ("truncated", raw[:-1]),
        ("a real", raw.replace(b":1}", b":1.0}")),
    ):
        yield f"PROV: {what}", MALFORMED, rebuild(image, {"PROV": value})
    shard = prov["shards"][0]
    two = [{**shard, "sha256": "0" * 64}, {**shard, "name": shard["name"] + "2"}]
    text = pf.canonical_json({**prov, "shards": two})
    yield "PROV: two shards", GOOD, rebuild(image, {"PROV": text})


# Sections as a whole, evidence, data, padding, lengths


def sections(good):
    image = Image(good)
    tags = [(e["tag"], i < image.sb["head_sections"]) for i, e in enumerate(image.entries)]
    yield "sections: as they were", GOOD, rebuild(image)
    yield "sections: the tail a page later", MALFORMED, rebuild(image, gap=PAGE)
    for k, (tag, is_head) in enumerate(tags):
        yield f"sections: without {tag}", MALFORMED, rebuild(image, order=tags[:k] + tags[k + 1 :])
        yield f"sections: {tag} twice", MALFORMED, rebuild(
            image, order=tags[:k] + tags[k : k + 1] + tags[k:]
        )
    for k in (1, 3, 7, 9):
        is_head = tags[k][1]
        for tag, statuses in (
            ("xtra", GOOD),
            ("xTRA", GOOD),
            ("Xtra", MALFORMED),
            ("XTRA", MALFORMED),
        ):
            order = tags[:k] + [(tag, is_head)] + tags[k:]
            yield f"sections: {tag} before {tags[k][0]}", statuses, rebuild(
                image, {tag: b"unknown"}, order
            )
    for tag, more in (("CHNK", 16), ("TDIG", 16), ("SDIG", 16), ("STAT", 64), ("TENS", 128)):
        raw = image.section(tag)
        yield f"{tag}: one more", MALFORMED, rebuild(image, {tag: raw + bytes(more)})
        yield f"{tag}: one less", MALFORMED, rebuild(image, {tag: raw[:-more]})
        yield f"{tag}: one byte less", MALFORMED, rebuild(image, {tag: raw[:-1]})


def evidence(good):
    image = Image(good)
    for tag, size, statuses in (("CHNK", 16, DAMAGED), ("TDIG", 16, MALFORMED)):
        count = len(image.section(tag)) // size
        for k in (0, count // 2, count - 1):
            old = image.section(tag)[k * size : (k + 1) * size]
            new = bytes([old[0] ^ 1]) + old[1:]
            yield f"{tag}: digest {k}", statuses, patched(
                good, lambda i, t=tag, k=k, n=new: i.put_section(t, k * size, n)
            )
    rows = len(image.section("STAT")) // 64
    for k in (0, rows - 1):
        for at in (12, 15, 56, 63):
            yield (
                f"STAT: row {k}, reserved byte {at}",
                MALFORMED,
                patched(good, lambda i, at=64 * k + at: i.put_section("STAT", at, b"\x01")),
            )


def data(good):
    """Bytes changed after writing, in tensors and between structures."""
    image = Image(good)
    for r in image.records:
        for at in sorted({0, r["len"] // 2, r["len"] - 1}) if r["len"] else ():
            yield f"data: {r['name']}, byte {at}", DAMAGED, patched(
                good, lambda i, at=r["off"] + at: i.flip(at)
            )
    r = image.records[image.by_name[small.TWO_CHUNKS]]
    for at in (pf.CHUNK - 1, pf.CHUNK):
        yield f"data: {r['name']}, byte {at}", DAMAGED, patched(
            good, lambda i, at=r["off"] + at: i.flip(at)
        )
    for what, at in padding_places(image):
        yield f"padding: {what}", DAMAGED, patched(good, lambda i, at=at: i.flip(at))


def padding_places(image):
    """First and last byte of every run of padding."""
    ends = [("superblock", PAGE)] + [
        (e["tag"], e["off"] + e["len"]) for e in image.entries[: image.sb["head_sections"]]
    ]
    starts = [e["off"] for e in image.entries[: image.sb["head_sections"]]] + [image.sb["data_off"]]
    ends += [(r["name"], r["off"] + r["len"]) for r in image.records]
    starts += [r["off"] for r in image.records] + [image.sb["data_end"]]
    ends += [(e["tag"], e["off"] + e["len"]) for e in image.entries[image.sb["head_sections"] :]]
    starts += [e["off"] for e in image.entries[image.sb["head_sections"] + 1 :]] + [
        image.trailer_at
    ]
    at = [PAGE] + [end for _, end in ends[1:]]
    for (what, _), start, stop in zip(ends, at, starts):
        for place in sorted({start, stop - 1}) if start < stop else ():
            yield f"after {what}, byte {place}", place


def lengths(good):
    size = len(good)
    for cut in (0, 7):  # not even a magic
        yield f"truncated to {cut}", EITHER, good[:cut]
    for cut in (
        8,
        100,
        PAGE,
        PAGE + 1,
        2 * PAGE,
        16 * PAGE,
        size // 2 // PAGE * PAGE,
        size - 2 * PAGE,
        size - PAGE,
        size - 16,
        size - 1,
    ):
        yield f"truncated to {cut}", DAMAGED, good[:cut]
    for what, more in (
        ("one byte", b"\0"),
        ("a zero page", bytes(PAGE)),
        ("a second trailer", good[-PAGE:]),
        ("itself", good),
    ):
        yield f"followed by {what}", DAMAGED, good + more
    yield "a zero page in the middle", DAMAGED, good[: len(good) // 2 // PAGE * PAGE] + bytes(
        PAGE
    ) + good[len(good) // 2 // PAGE * PAGE + PAGE :]
    yield "text", MALFORMED, b"This is not a packed file. ".ljust(2 * PAGE, b".")
