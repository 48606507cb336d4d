"""Variants of a packed file with one field of one structure wrong: superblock, trailer, section
entries, records.

Generators of (name, statuses, bytes). 4 is for what section 1 of spec/format.md calls damaged
(digest, padding, copy, length of the file), 5 for malformed; where one change breaks two rules both
are accepted.
"""

import small_checkpoint as small
from packed_image import Image
import packed_format as pf
from packed_format import NONE32, PAGE, SUPERBLOCK, TRAILER

DAMAGED, MALFORMED, GOOD, EITHER = (4,), (5,), (0,), (4, 5)


def patched(good, change, but=()):
    """`good` after change(image) and sealing."""
    image = Image(good)
    change(image)
    return image.seal(but).raw


def wrong_bytes(value):
    """`value` with its first byte changed, and with its last one."""
    first, last = bytearray(value), bytearray(value)
    first[0] ^= 0x20
    last[-1] ^= 0x20
    return [bytes(first), bytes(last)]


# Superblock

SUPERBLOCK_VALUES = {
    "version": [0, 2, 1 << 31],
    "block_bytes": [0, 512, 8192],
    "incompat": [1, 1 << 63],
    "align_log2": [0, 12, 15, 17, 255],
    "chunk_log2": [0, 20, 22, 255],
    "digest_alg": [0, 2, 3, 255],
    "chunk_count": [0, "+1", "-1", (1 << 22) + 1, (1 << 64) - 1],
    "tensor_count": [0, "+1", "-1", (1 << 20) + 1, (1 << 64) - 1],
    "data_off": [0, "+4096", "-4096", "+65536", "+1", 1 << 63, (1 << 64) - 65536],
    "data_end": [0, "+4096", "-4096", "+1", (1 << 62) + 4096, (1 << 64) - 4096],
}
COPIED = ("version", "incompat", "data_end")


def value_of(spec, current):
    """A number, or a string as "+1" relative to the current value."""
    return current + int(spec) if isinstance(spec, str) else spec


def superblock(good):
    image = Image(good)
    for name, values in SUPERBLOCK_VALUES.items():
        for spec in values:
            value = value_of(spec, image.sb[name])

            def change(i, name=name, value=value):
                (i.put_both if name in COPIED else i.put_superblock)(name, value)

            yield f"superblock.{name}={spec}", MALFORMED, patched(good, change)
    for value in (0, 4, 17, (1 << 32) - 1):
        yield f"superblock.head_sections={value}", MALFORMED, patched(
            good, lambda i, v=value: i.put_superblock("head_sections", v)
        )
    # The sixth entry is neither a copy of the trailer's sixth nor a section.
    yield "superblock.head_sections=6", EITHER, patched(
        good, lambda i: i.put_superblock("head_sections", 6)
    )
    yield "superblock.compat: unknown bits", GOOD, patched(
        good, lambda i: i.put_both("compat", 1 << 63 | 1)
    )
    for k, value in enumerate(wrong_bytes(pf.MAGIC)):
        # Not a packed file, or a damaged one: its trailer is intact.
        yield f"superblock.magic {k}", EITHER, patched(
            good, lambda i, v=value: i.put_superblock("magic", v)
        )
    yield from reserved("superblock", good, SUPERBLOCK, Image.put_superblock, image.sb)
    unused = 512 + 64 * image.sb["head_sections"]
    yield from unused_entries("superblock", good, (unused, unused + 63, 1535))
    yield "superblock.plan_id", DAMAGED, patched(
        good, lambda i: i.put_both("plan_id", bytes(16)), {"plan_id"}
    )
    yield "superblock.self", DAMAGED, patched(good, lambda i: i.flip(PAGE - 1), {"self"})


def reserved(where, good, layout, put, values):
    for name in layout.reserved():
        for k, value in enumerate(wrong_bytes(values[name])):
            yield f"{where}.{name} {k}", MALFORMED, patched(
                good, lambda i, n=name, v=value: put(i, n, v)
            )


def unused_entries(where, good, places):
    for at in places:
        yield f"{where}.dir: unused entry, byte {at}", MALFORMED, patched(
            good, lambda i, at=at: i.flip(at)
        )


# Trailer


def trailer(good):
    image = Image(good)
    for name, value in (
        ("compat", 1),
        ("data_end", image.sb["data_end"] + PAGE),
        ("file_bytes", len(good) + PAGE),
        ("file_bytes", len(good) - PAGE),
        ("file_bytes", 0),
    ):
        yield f"trailer.{name}={value}", DAMAGED, patched(
            good, lambda i, n=name, v=value: i.put_trailer(n, v)
        )
    # Not a copy of the superblock's, and in itself more than a reader of version 1 understands.
    for name, value in (("version", 2), ("incompat", 1)):
        yield f"trailer.{name}={value}", EITHER, patched(
            good, lambda i, n=name, v=value: i.put_trailer(n, v)
        )
    for value in (0, 9, 11, 49, (1 << 32) - 1):
        yield f"trailer.sections={value}", MALFORMED, patched(
            good, lambda i, v=value: i.put_trailer("sections", v)
        )
    for k, value in enumerate(wrong_bytes(pf.TRAILER_MAGIC)):
        yield f"trailer.magic {k}", DAMAGED, patched(
            good, lambda i, v=value: i.put_trailer("magic", v)
        )
    yield "trailer.plan_id", DAMAGED, plan_id_copy(good)
    yield "trailer.root", DAMAGED, patched(
        good, lambda i: i.put_trailer("root", bytes(32)), {"root"}
    )
    yield "trailer.self", DAMAGED, patched(good, lambda i: i.flip(len(i.raw) - 1), {"self"})
    yield from reserved("trailer", good, TRAILER, Image.put_trailer, image.tr)
    first = image.trailer_at + 512 + 64 * image.tr["sections"]
    yield from unused_entries("trailer", good, (first, first + 63, image.trailer_at + 3583))


def plan_id_copy(good):
    """Only the trailer's copy is wrong; its own digests are right."""
    image = Image(good)
    image.put_trailer("plan_id", bytes(16))
    return image.seal({"plan_id"}).raw


# Section entries


def entries(good):
    image = Image(good)
    for tag in image.number:
        e = image.entries[image.number[tag]]
        for name, value in entry_values(e):
            yield (
                f"entry {tag}.{name}={value!r}",
                entry_statuses(image, tag, name, value),
                patched(good, lambda i, t=tag, n=name, v=value: i.put_entry(t, n, v)),
            )
        yield (
            f"entry {tag}.sha256",
            DAMAGED,
            patched(good, lambda i, t=tag: i.put_entry(t, "sha256", bytes(32)), {tag}),
        )
    for tag in pf.HEAD_TAGS:
        place = image.entry_places(tag)[1]
        for at in (place + 16, place + 63):
            yield f"superblock.dir: {tag} is not a copy, byte {at}", DAMAGED, copy_differs(good, at)
        # An offset is not only a copy: it also has only one valid value.
        yield f"superblock.dir: {tag}: different offset", EITHER, copy_differs(good, place + 8)
    for a, b in (("TENS", "NIDX"), ("FILE", "RCPE"), ("CHNK", "TDIG"), ("STAT", "PROV")):
        yield f"entry {a} and {b}: tags swapped", MALFORMED, patched(
            good, lambda i, a=a, b=b: swap_tags(i, a, b)
        )


def entry_values(e):
    for value in (e["tag"].lower(), "X" + e["tag"][1:], e["tag"][:3] + "1", "\0\0\0\0"):
        yield "tag", value.encode()
    for value in (1, 1 << 31):
        yield "flags", value
    for value in (0, e["off"] + 1, e["off"] + PAGE, e["off"] - PAGE, 1 << 63, (1 << 64) - PAGE):
        yield "off", value
    for value in (0, e["len"] + 1, e["len"] - 1, e["len"] + PAGE, 1 << 63, (1 << 64) - 1):
        yield "len", value
    for value in wrong_bytes(bytes(8)):
        yield "reserved_24", value


def entry_statuses(image, tag, name, value):
    """A section that loses nonzero bytes to the padding also breaks the rule for padding; a directory
    that does not fit is malformed before anything else is checked, but a reader may also report what
    the length affects first.
    """
    if name == "len" and value < image.entries[image.number[tag]]["len"]:
        return EITHER
    return MALFORMED


def copy_differs(good, at):
    image = Image(good)
    image.flip(at)
    image.put_superblock("self", pf.xxh3(bytes(image.raw[: PAGE - 16])))
    seal_trailer_only(image)
    return image.raw


def seal_trailer_only(image):
    image.put_trailer("root", bytes(32))
    image.put_trailer(
        "root", pf.sha256(bytes(image.raw[:PAGE] + image.raw[image.trailer_at : -16]))
    )
    image.put_trailer("self", pf.xxh3(bytes(image.raw[image.trailer_at : -16])))


def swap_tags(image, a, b):
    image.put_entry(a, "tag", b.encode())
    image.put_entry(b, "tag", a.encode())


# Records

COUNTED = ("off", "chunk_bytes", "chunk_first", "chunk_count", "len")


def records(good):
    image = Image(good)
    names = [
        small.STACK,
        small.STACK + pf.SCALE_SUFFIX,
        small.MATRIX,
        small.MATRIX + pf.SCALE_SUFFIX,
        small.BATCH,
        small.KEPT_STACK,
        small.CARRIED,
        small.CARRIED + pf.SCALE_SUFFIX,
        small.CARRIED_STACK,
        small.CARRIED_STACK + pf.SCALE_SUFFIX,
        small.TWO_CHUNKS,
    ]
    for name in names:
        r = image.records[image.by_name[name]]
        for field, value in record_values(r, len(image.records)):
            yield (
                f"record {name}.{field}={value}",
                MALFORMED,
                patched(good, lambda i, r=r, f=field, v=value: i.put_record(r["index"], f, v)),
            )
    # A record without bytes: only shape and dtype have more than one valid value.
    r = image.records[image.by_name[small.EMPTY]]
    for field in COUNTED:
        yield (
            f"record {small.EMPTY}.{field}+1",
            MALFORMED,
            patched(good, lambda i, f=field: i.put_record(r["index"], f, r[f] + 1)),
        )


def record_values(r, count):
    """(field, wrong value) for every field of a record that has only one valid value."""
    for field in ("name_off", "name_len", "shape0", "shape1", *COUNTED):
        for value in (0, r[field] - 1, r[field] + 1):
            if value != r[field] and value >= 0:
                yield field, value
    for field in ("shape0", *COUNTED):
        yield from ((field, 1 << 40), (field, 1 << 63), (field, (1 << 64) - 1))
    yield from ((f"shape{k}", 1) for k in range(r["ndim"], 6))
    yield from (("dtype", d) for d in (0, 23, 255, r["dtype"] + 1))
    yield from (("ndim", n) for n in (0, r["ndim"] - 1, r["ndim"] + 1, 7, 255) if n != r["ndim"])
    yield from (("src_dtype", d) for d in (0, 23, 255, 6))
    yield from (("origin", o) for o in (0, 1, 2, 3, 255) if o != r["origin"])
    yield from (("dialect", d) for d in (0, 1, 2, 7, 255) if d != r["dialect"])
    yield from (("flags", f) for f in (0, 1, 2, 128) if f != r["flags"])
    yield from (
        (f, b)
        for f in ("block_rows", "block_cols")
        for b in (0, 1, 64, 127, 256, 1 << 31)
        if b != r[f]
    )
    yield from (("layer", v) for v in (0, 1, 7, NONE32) if v != r["layer"])
    yield from (
        ("scale_idx", v)
        for v in (0, r["index"], r["scale_idx"] - 1, count, NONE32)
        if v != r["scale_idx"]
    )
    yield from (("reserved_116", v) for v in wrong_bytes(bytes(12)))
