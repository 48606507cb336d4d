#!/usr/bin/python3
"""Tests that the oracle and the comparison with `inspect --json` can fail: each change must be found, and
only the changed parts named."""

import copy
import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "hostile"))
import small_checkpoint as small  # noqa: E402
from packed_image import Image  # noqa: E402
import oracle  # noqa: E402
import packed_format as pf  # noqa: E402
import packed_report  # noqa: E402
import read_packed  # noqa: E402
import write_packed  # noqa: E402
from checkpoint_np import Checkpoint  # noqa: E402

RECIPE = {"built_in": 2, "octavo_recipe": 1, "rules": small.RULES, "scales": "f32"}


class Interop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        small.write(os.path.join(cls.scratch.name, "small"))
        cls.checkpoint = Checkpoint(os.path.join(cls.scratch.name, "small"))
        cls.good = bytes(write_packed.pack(cls.checkpoint, RECIPE))
        cls.path = os.path.join(cls.scratch.name, "x.octavo")

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def open(self, raw):
        with open(self.path, "wb") as f:
            f.write(raw)
        packed = read_packed.PackedFile(self.path)
        packed.check_all()
        return packed

    def differences(self, image):
        image.seal_chunks()
        return oracle.compare_file(self.open(image.seal().raw), self.checkpoint).differences

    def test_good_file(self):
        comparison = oracle.compare_file(self.open(self.good), self.checkpoint)
        self.assertEqual(comparison.differences, [])
        self.assertTrue(all(comparison.counts.values()), comparison.counts)

    def test_one_bit_of_data(self):
        """Changes the last byte of each record, which a comparison that stops early would miss."""
        for r in Image(self.good).records:
            if r["len"] == 0:
                continue
            image = Image(self.good)
            image.raw[r["off"] + r["len"] - 1] ^= 1
            found = self.differences(image)
            self.assertEqual(len(found), 1, (r["name"], found))
            self.assertTrue(found[0].startswith(r["name"].removesuffix(pf.SCALE_SUFFIX)), found)

    def test_evidence(self):
        for tag, size, name in (("SDIG", 16, "source digests"), ("STAT", 64, "STAT")):
            image = Image(self.good)
            image.put_section(tag, -size, b"\x01")
            found = self.differences(image)
            self.assertEqual(len(found), 1, found)
            self.assertIn(name, found[0])

    def test_statistics_field_by_field(self):
        for field in pf.STAT_ROW.fields:
            image = Image(self.good)
            at = pf.STAT_ROW.fields[field][0]
            if field.startswith("reserved"):
                continue
            image.put_section("STAT", at, bytes([image.section("STAT")[at] ^ 1]))
            self.assertEqual(len(self.differences(image)), 1, field)

    def test_inspect_leaf_by_leaf(self):
        """Every number and string of the JSON is compared."""
        shown = packed_report.describe(self.open(self.good))
        for record in shown["tensors"]:
            del record["chunk_digests"]
        self.assertEqual(packed_report.compare_inspect(self.path, shown), [])
        for where in leaves(shown):
            changed = copy.deepcopy(shown)
            spoil(changed, where)
            differences = []
            packed_report.compare("", shown, changed, differences)
            self.assertEqual(len(differences), where != ("path",), where)

    def test_inspect_missing_and_surplus(self):
        shown = json.loads(json.dumps(packed_report.describe(self.open(self.good))))
        del shown["tensors"][0]["digest"]
        shown["tensors"][0]["stats"] = []
        shown["tensors"].pop()
        self.assertEqual(len(packed_report.compare_inspect(self.path, shown)), 3)


def leaves(value, where=()):
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], where + (key,))
    else:
        yield where


def spoil(value, where):
    for key in where[:-1]:
        value = value[key]
    old = value[where[-1]]
    if isinstance(old, bool):
        value[where[-1]] = not old
    else:
        value[where[-1]] = (old or "") + "?" if isinstance(old, (str, type(None))) else old + 1


if __name__ == "__main__":
    unittest.main()
