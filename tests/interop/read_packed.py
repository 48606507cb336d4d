#!/usr/bin/python3
"""An independent reader of packed files, written from spec/format.md alone.

    read_packed.py FILE...            check every rule and every digest; print "FILE: ok"
    read_packed.py --json FILE        and print the contents of the file
    read_packed.py --inspect X FILE   and compare field by field with X, which contains the output of
                                      `octavo inspect --json FILE`

Exit status like the tool's: 0 good, 1 the comparison found a difference, 4 damaged, 5 malformed.

As a module: PackedFile(path) checks the structure (section 11, first half), .check_all() the rest,
describe() and compare_inspect() are in packed_report.py. The file is mapped, not loaded.
"""

import argparse
import json
import mmap
import os
import sys

import packed_format as pf
import packed_rules as rules
from packed_format import ENTRY, PAGE, SUPERBLOCK, TRAILER
from packed_rules import Damaged, Malformed, rule

GIB = 1 << 30


def intact(holds, message):
    if not holds:
        raise Damaged(message)


class PackedFile:
    """An open packed file whose structure is valid: superblock, trailer, sections, records, recipe."""

    def __init__(self, path):
        self.path = path
        self.size = os.path.getsize(path)
        intact(self.size >= 2 * PAGE and self.size % PAGE == 0, f"truncated: {self.size} bytes")
        with open(path, "rb") as f:
            self.map = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        # Slices of a memoryview cost nothing: a chunk is digested in place, in the page cache.
        self.view = memoryview(self.map)
        self.read_superblock()
        self.read_trailer()
        self.read_directories()
        self.check_plan()
        self.read_tensors()

    def bytes_at(self, off, length):
        return self.view[off : off + length]

    def read_superblock(self):
        raw = self.bytes_at(0, PAGE)
        self.superblock = sb = SUPERBLOCK.unpack(raw)
        rule(sb["magic"] == pf.MAGIC, "not a packed file")
        intact(sb["self"] == pf.xxh3(raw[:-16]), "superblock: self digest")
        rule(sb["version"] == 1, f"superblock: version {sb['version']}")
        rule(sb["incompat"] == 0, f"superblock: incompat {sb['incompat']:#x}")
        for name, value in (("block_bytes", PAGE), ("align_log2", 16), ("chunk_log2", 21)):
            rule(sb[name] == value, f"superblock: {name} {sb[name]}, expected {value}")
        rule(sb["digest_alg"] in pf.DIGEST_BYTES, f"superblock: digest_alg {sb['digest_alg']}")
        for name in SUPERBLOCK.reserved():
            rule(not any(sb[name]), f"superblock: {name} is not zero")
        rule(5 <= sb["head_sections"] <= 16, f"superblock: head_sections {sb['head_sections']}")
        rule(sb["tensor_count"] <= 1 << 20, f"superblock: tensor_count {sb['tensor_count']}")
        rule(sb["chunk_count"] <= 1 << 22, f"superblock: chunk_count {sb['chunk_count']}")
        rule(sb["data_end"] <= 1 << 62, f"superblock: data_end {sb['data_end']}")

    def read_trailer(self):
        raw = self.bytes_at(self.size - PAGE, PAGE)
        self.trailer = tr = TRAILER.unpack(raw)
        sb = self.superblock
        intact(tr["magic"] == pf.TRAILER_MAGIC, "trailer: magic (truncated file?)")
        intact(tr["self"] == pf.xxh3(raw[:-16]), "trailer: self digest")
        for name in ("version", "incompat", "compat", "data_end", "plan_id"):
            intact(tr[name] == sb[name], f"trailer: {name} differs from the superblock's")
        intact(
            tr["file_bytes"] == self.size,
            f"trailer: file_bytes {tr['file_bytes']}, the file has {self.size}",
        )
        rule(10 <= tr["sections"] <= 48, f"trailer: sections {tr['sections']}")
        for name in TRAILER.reserved():
            rule(not any(tr[name]), f"trailer: {name} is not zero")

    def read_directories(self):
        """Check both directories, and that the sections are where section 2 says."""
        sb, tr = self.superblock, self.trailer
        self.sections = self.read_dir("trailer", tr["dir"], tr["sections"])
        head = self.read_dir("superblock", sb["dir"], sb["head_sections"])
        intact(
            self.sections[: len(head)] == head, "the directories of superblock and trailer differ"
        )
        self.check_tags(len(head))
        self.padding = []
        end = self.walk(self.sections[: len(head)], PAGE)
        rule(
            sb["data_off"] == pf.align(end, pf.DATA_ALIGN), f"superblock: data_off {sb['data_off']}"
        )
        self.padding.append((end, sb["data_off"]))
        rule(
            sb["data_end"] % PAGE == 0 and sb["data_end"] >= sb["data_off"],
            f"data_end {sb['data_end']}",
        )
        end = self.walk(self.sections[len(head) :], sb["data_end"])
        rule(
            self.size - PAGE == pf.align(end, PAGE),
            f"the trailer is at {self.size - PAGE}, sections end at {end}",
        )
        self.padding.append((end, self.size - PAGE))
        lengths = {s["tag"]: s["len"] for s in self.sections}
        rule(
            sum(lengths[t] for t in ("TENS", "NIDX", "STRS", "FILE")) < GIB,
            "the head has 1 GiB or more",
        )

    def read_dir(self, where, raw, used):
        entries = [ENTRY.unpack(raw[i : i + 64]) for i in range(0, used * 64, 64)]
        rule(not any(raw[used * 64 :]), f"{where}: an unused directory entry is not zero")
        for e in entries:
            rule(e["tag"].isalpha(), f"{where}: tag {e['tag']!r}")
            e["tag"] = e["tag"].decode("ascii")
            rule(e["flags"] == 0, f"{where}: {e['tag']}: flags {e['flags']}")
            rule(not any(e["reserved_24"]), f"{where}: {e['tag']}: reserved bytes")
        return entries

    def check_tags(self, head_count):
        tags = [s["tag"] for s in self.sections]
        for known, found in ((pf.HEAD_TAGS, tags[:head_count]), (pf.TAIL_TAGS, tags[head_count:])):
            must = [t for t in found if t[0].isupper()]
            rule(must == known, f"sections {must}, expected {known}")

    def walk(self, sections, at):
        """Check offsets and note the padding in front of each section; returns where the last one
        ends."""
        for s in sections:
            expected = pf.align(at, PAGE)
            rule(s["off"] == expected, f"{s['tag']}: off {s['off']}, expected {expected}")
            rule(s["off"] + s["len"] <= self.size - PAGE, f"{s['tag']}: len {s['len']}")
            self.padding.append((at, s["off"]))
            at = s["off"] + s["len"]
        return at

    def check_plan(self):
        data_off = self.superblock["data_off"]
        intact(self.superblock["plan_id"] == pf.xxh3(self.view[PAGE:data_off]), "plan_id")

    def section(self, tag):
        """The bytes of a section, its digest checked."""
        s = next(s for s in self.sections if s["tag"] == tag)
        raw = bytes(self.bytes_at(s["off"], s["len"]))
        intact(pf.sha256(raw) == s["sha256"], f"{tag}: SHA-256")
        return raw

    def read_tensors(self):
        sb = self.superblock
        self.records = rules.read_records(
            self.section("TENS"),
            self.section("NIDX"),
            self.section("STRS"),
            sb["tensor_count"],
            sb["data_off"],
        )
        end = sb["data_off"]
        for r in self.records:
            self.padding.append((end, r["off"]))
            end = r["off"] + r["len"]
        rule(
            sb["data_end"] == pf.align(end, PAGE),
            f"superblock: data_end {sb['data_end']}, tensors end at {end}",
        )
        self.padding.append((end, sb["data_end"]))
        chunks = sum(r["chunk_count"] for r in self.records)
        rule(
            sb["chunk_count"] == chunks,
            f"superblock: chunk_count {sb['chunk_count']}, expected {chunks}",
        )

    # The full check

    def check_all(self):
        """Check everything that is not structure. Then .files, .recipe, .provenance and the evidence are set."""
        for s in self.sections:
            self.section(s["tag"])
        raw = bytes(self.bytes_at(self.size - PAGE, PAGE - 16))
        blank = raw[:64] + bytes(32) + raw[96:]
        intact(self.trailer["root"] == pf.sha256(bytes(self.bytes_at(0, PAGE)) + blank), "root")
        for start, end in self.padding:
            intact(not any(self.view[start:end]), f"padding [{start}, {end}) is not zero")
        self.files = rules.read_archive(self.section("FILE"))
        self.recipe = rules.read_recipe(self.section("RCPE"))
        self.provenance = rules.read_provenance(self.section("PROV"))
        self.read_evidence()
        self.check_digests()
        self.check_pow2()

    def read_evidence(self):
        """CHNK, TDIG, SDIG and STAT, divided among the records that they belong to."""
        size = pf.DIGEST_BYTES[self.superblock["digest_alg"]]
        chunks = self.rows("CHNK", size, self.superblock["chunk_count"])
        records = self.rows("TDIG", size, len(self.records))
        sources = self.rows("SDIG", 16, sum(source_count(r) for r in self.records))
        stats = self.rows("STAT", 64, sum(stat_count(r) for r in self.records))
        at_source = at_stat = 0
        for r, whole in zip(self.records, records):
            r["digest"] = whole
            r["chunk_digests"] = chunks[r["chunk_first"] : r["chunk_first"] + r["chunk_count"]]
            r["source_digests"] = sources[at_source : at_source + source_count(r)]
            r["stats"] = [read_stat(r, row) for row in stats[at_stat : at_stat + stat_count(r)]]
            at_source += source_count(r)
            at_stat += stat_count(r)

    def rows(self, tag, size, count):
        raw = self.section(tag)
        rule(len(raw) == size * count, f"{tag} has {len(raw)} bytes, expected {count} x {size}")
        return [raw[i : i + size] for i in range(0, len(raw), size)]

    def check_digests(self):
        alg = self.superblock["digest_alg"]
        for r in self.records:
            for k, (start, end) in enumerate(rules.chunk_ranges(r)):
                found = pf.digest(alg, self.view[start:end])
                intact(found == r["chunk_digests"][k], f"{r['what']}: chunk {k} at {start}")
            rule(r["digest"] == pf.combine(alg, r["chunk_digests"]), f"{r['what']}: TDIG")

    def check_pow2(self):
        for r in self.records:
            if r["flags"] & 1:
                data = bytes(self.data(r))
                good = 0xFF not in data if r["dtype"] == pf.E8M0 else all_powers(data)
                rule(good, f"{r['what']}: POW2, but an element is not a power of two")

    def data(self, r):
        return self.bytes_at(r["off"], r["len"])


def all_powers(data):
    """Whether all float32 are positive powers of two: no mantissa bits and a normal exponent, or 2^-127."""
    words = memoryview(data).cast("I")
    return all(w & 0x7FFFFF == 0 and 0 < w >> 23 < 255 or w == 1 << 22 for w in words)


def source_count(r):
    if r["cls"] == pf.SCALES and r["origin"] != pf.CARRIED:
        return 0
    return r["shape"][0] if pf.is_stack(r["name"]) else 1


def stat_count(r):
    return r["slices"] if r["cls"] == pf.CODES and r["origin"] == pf.QUANTIZED else 0


def read_stat(r, raw):
    row = pf.STAT_ROW.unpack(raw)
    rule(not any(row["reserved_12"] + row["reserved_56"]), f"{r['what']}: STAT: reserved bytes")
    return row


def status_of(path):
    """The exit status for a full check of `path`, and the reason, for the hostile tests."""
    try:
        PackedFile(path).check_all()
        return 0, "ok"
    except Damaged as e:
        return 4, f"damaged: {e}"
    except Malformed as e:
        return 5, f"malformed: {e}"


def main():
    import packed_report

    parser = argparse.ArgumentParser(description="check packed files, independently of octavo")
    parser.add_argument("--json", action="store_true", help="print the contents of the file")
    parser.add_argument(
        "--inspect", metavar="X", help="output of `octavo inspect --json FILE` to compare with"
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    args = parser.parse_args()
    worst = 0
    for path in args.files:
        status, reason = status_of(path)
        worst = max(worst, status)
        if status == 0 and args.json:
            packed = PackedFile(path)
            packed.check_all()
            print(json.dumps(packed_report.describe(packed), indent=1))
        if status == 0 and args.inspect:
            with open(args.inspect, encoding="utf-8") as f:
                differences = packed_report.compare_inspect(path, json.load(f))
            print("".join(f"{path}: {d}\n" for d in differences), end="", file=sys.stderr)
            worst = max(worst, 1 if differences else 0)
        print(f"{path}: {reason}", file=sys.stderr)
    return worst


if __name__ == "__main__":
    sys.exit(main())
