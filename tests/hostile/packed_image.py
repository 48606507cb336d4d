"""A packed file in memory that can be corrupted and sealed again.

    image = Image(good_bytes)
    image.put_record(3, "layer", 7)
    image.seal()                        every digest matches again: only the field is wrong
    image.seal(but={"root"})            the same, except that the root is unchanged

Positions are those of the original file, so several changes can follow one another; seal() digests
what the (possibly wrong) directories refer to.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "interop"))
import packed_format as pf  # noqa: E402
import packed_rules  # noqa: E402
from packed_format import ENTRY, PAGE, RECORD, SUPERBLOCK, TRAILER  # noqa: E402


class Image:
    def __init__(self, good):
        self.raw = bytearray(good)
        self.trailer_at = len(good) - PAGE
        self.sb = SUPERBLOCK.unpack(self.raw[:PAGE])
        self.tr = TRAILER.unpack(self.raw[self.trailer_at :])
        dir_end = self.tr["sections"] * ENTRY.size
        self.entries = [ENTRY.unpack(self.tr["dir"][i : i + 64]) for i in range(0, dir_end, 64)]
        for e in self.entries:
            e["tag"] = e["tag"].decode("ascii")
        self.number = {e["tag"]: i for i, e in enumerate(self.entries)}
        self.records = packed_rules.read_records(
            self.section("TENS"),
            self.section("NIDX"),
            self.section("STRS"),
            self.sb["tensor_count"],
            self.sb["data_off"],
        )
        self.by_name = {r["name"]: r["index"] for r in self.records}

    def section(self, tag):
        e = self.entries[self.number[tag]]
        return bytes(self.raw[e["off"] : e["off"] + e["len"]])

    # Changes

    def put_superblock(self, name, value):
        SUPERBLOCK.put(self.raw, 0, name, value)

    def put_trailer(self, name, value):
        TRAILER.put(self.raw, self.trailer_at, name, value)

    def put_both(self, name, value):
        self.put_superblock(name, value)
        self.put_trailer(name, value)

    def entry_places(self, tag):
        """Where the entry of a section is: in the trailer, and in the superblock if it belongs
        to the head."""
        i = self.number[tag]
        places = [self.trailer_at + 512 + 64 * i]
        return places + [512 + 64 * i] if i < self.sb["head_sections"] else places

    def put_entry(self, tag, name, value):
        for place in self.entry_places(tag):
            ENTRY.put(self.raw, place, name, value)

    def put_record(self, index, name, value):
        RECORD.put(
            self.raw, self.entries[self.number["TENS"]]["off"] + RECORD.size * index, name, value
        )

    def put_section(self, tag, at, data):
        """Overwrite part of a section; `at` may be negative, from its end."""
        e = self.entries[self.number[tag]]
        start = e["off"] + (at if at >= 0 else e["len"] + at)
        self.raw[start : start + len(data)] = data

    def flip(self, at):
        self.raw[at] ^= 0x10

    # Digests

    def seal(self, but=()):
        """Recompute all digests in the order in which they cover each other, except those named in
        `but`: "plan_id", "root", "self" or the tag of a section."""
        self.seal_sections(but)
        now = SUPERBLOCK.unpack(self.raw[:PAGE])
        if "plan_id" not in but:
            plan_id = pf.xxh3(bytes(self.raw[PAGE : min(now["data_off"], self.trailer_at)]))
            self.put_both("plan_id", plan_id)
        if "self" not in but:
            self.put_superblock("self", pf.xxh3(bytes(self.raw[: PAGE - 16])))
        if "root" not in but:
            self.put_trailer("root", bytes(32))
            self.put_trailer(
                "root", pf.sha256(bytes(self.raw[:PAGE] + self.raw[self.trailer_at : -16]))
            )
        if "self" not in but:
            self.put_trailer("self", pf.xxh3(bytes(self.raw[self.trailer_at : -16])))
        return self

    def seal_sections(self, but):
        for tag in self.number:
            if tag in but:
                continue
            places = self.entry_places(tag)
            e = ENTRY.unpack(self.raw[places[0] : places[0] + 64])
            content = self.raw[e["off"] : e["off"] + e["len"]] if e["off"] < len(self.raw) else b""
            found = pf.sha256(
                bytes(content)
            )  # before it is stored: a section that is too long covers its own entry
            for place in places:
                ENTRY.put(self.raw, place, "sha256", found)

    def seal_chunks(self):
        """Recompute CHNK and TDIG after a change of tensor data; call seal() afterwards."""
        alg, chunks, records = self.sb["digest_alg"], [], []
        for r in self.records:
            ranges = packed_rules.chunk_ranges(r)
            own = [pf.digest(alg, bytes(self.raw[start:end])) for start, end in ranges]
            chunks += own
            records.append(pf.combine(alg, own))
        self.put_section("CHNK", 0, b"".join(chunks))
        self.put_section("TDIG", 0, b"".join(records))


def rebuild(image, contents=None, order=None, gap=0):
    """A new file from the sections of `image`, with matching lengths and offsets: `contents` {tag:
    bytes} replaces some, `order` is the list of (tag, is_head), by default all of them; `gap` zero
    bytes follow the tensor data. The head must not outgrow its space."""
    contents = contents or {}
    tags = order or [(e["tag"], i < image.sb["head_sections"]) for i, e in enumerate(image.entries)]
    head, tail = (
        [
            (t, contents[t] if t in contents else image.section(t))
            for t, is_head in tags
            if is_head == want
        ]
        for want in (True, False)
    )
    start = image.sb["data_off"]
    last = image.records[-1]
    data = bytes(image.raw[start : last["off"] + last["len"]]) + bytes(gap)
    frame, size = pf.assemble(
        head,
        len(data),
        tail,
        image.sb["digest_alg"],
        image.sb["tensor_count"],
        image.sb["chunk_count"],
    )
    assert len(frame[0]) == start, "the head has outgrown its space"
    raw = bytearray(size)
    for off, part in list(frame.items()) + [(start, data)]:
        raw[off : off + len(part)] = part
    return raw
