#!/usr/bin/python3
"""Variants of a good packed file, each with one thing wrong, under matching digests.

    patch_packed.py GOOD DIR   write every variant to DIR/NNNN.octavo, and DIR/manifest.json
    patch_packed.py GOOD       only check that the independent reader refuses each variant as it should

GOOD is the packed file of small_checkpoint.py. As a module: variants(good) yields (name, statuses, bytes): the acceptable exit statuses of `octavo verify`; a few variants are good
files (0) that must not be refused.
"""

import json
import os
import sys
import tempfile

import patch_contents
import patch_fields
import patch_plans
import read_packed  # importable because packed_image adds the path of the interop modules

GENERATORS = [
    patch_fields.superblock,
    patch_fields.trailer,
    patch_fields.entries,
    patch_fields.records,
    patch_contents.names,
    patch_contents.name_index,
    patch_contents.archives,
    patch_contents.recipes,
    patch_contents.provenances,
    patch_contents.sections,
    patch_contents.evidence,
    patch_contents.data,
    patch_contents.lengths,
    patch_plans.bad_plans,
    patch_plans.carried,
    patch_plans.limits,
]


def variants(good):
    for generator in GENERATORS:
        yield from generator(good)


def write_all(good, directory):
    os.makedirs(directory)
    manifest = []
    for k, (name, statuses, raw) in enumerate(variants(good)):
        path = f"{k:04}.octavo"
        with open(os.path.join(directory, path), "wb") as f:
            f.write(raw)
        manifest.append({"name": name, "statuses": statuses, "path": path})
    with open(os.path.join(directory, "manifest.json"), "w", encoding="utf-8") as f:
        json.dump(manifest, f, indent=1)
    return len(manifest)


def reader_disagrees(good):
    """[(name, statuses, the reader's reason)] of the variants that read_packed.py judges
    differently."""
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "variant.octavo")
        for name, statuses, raw in variants(good):
            with open(path, "wb") as f:
                f.write(raw)
            status, reason = read_packed.status_of(path)
            if status not in statuses:
                wrong.append((name, statuses, reason))
    return wrong


def main():
    with open(sys.argv[1], "rb") as f:
        good = f.read()
    if len(sys.argv) > 2:
        print(f"{write_all(good, sys.argv[2])} variants")
        return 0
    wrong = reader_disagrees(good)
    for name, statuses, reason in wrong:
        print(f"{name}: {reason}, expected status {' or '.join(map(str, statuses))}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
