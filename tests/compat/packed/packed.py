#!/usr/bin/python3
"""Packed files of earlier releases: every release opens, verifies, unpacks and exports them.

    packed.py                 check the files of this folder
    packed.py --make NAME     make the file of a new case; refuses to replace one

NAME.octavo was made once, from the checkpoint and with the options in packed_sources.py, and is never made
again: what a user has cannot be made again either. NAME.txt says what is in it:

    root HEX
    tensor NAME SHAPE SHA256    what unpack writes; codes and scales are tensors
    plain NAME SHAPE SHA256     what unpack --dequantize f32 writes, where that differs
    file NAME SHA256            the embedded files
    export RUNTIME STATUS       the exit status of export --allow-unloadable

If octavo changes what it knows about a runtime, the last lines may change; the others may not.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile

import packed_sources
from packed_sources import HERE

sys.path.insert(0, os.path.join(HERE, "..", ".."))
import st_read  # noqa: E402

OCTAVO = os.environ.get("OCTAVO", os.path.join(HERE, "..", "..", "..", "build", "octavo"))
TENSORS = "tensors.safetensors"
RUNTIMES = ("bf16", "hf", "vllm", "sglang", "compressed-tensors")


class Wrong(Exception):
    """What octavo does that it must not."""


def octavo(*arguments, expect=0):
    """What it prints, or without `expect` its exit status."""
    done = subprocess.run(
        [OCTAVO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    if expect is None:
        return done.returncode
    said = done.stdout.decode(errors="replace")
    if done.returncode != expect:
        raise Wrong(f"octavo {' '.join(arguments)}: exit status {done.returncode}: {said.strip()}")
    return said


def digest(data):
    return hashlib.sha256(data).hexdigest()


def tensor_lines(word, path):
    tensors, _ = st_read.read_file(path)
    for name in sorted(tensors):
        shape, data = tensors[name]
        yield f"{word} {name} {'x'.join(map(str, shape)) or '-'} {digest(data)}"


def file_lines(directory):
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            if name != TENSORS:
                with open(path, "rb") as f:
                    yield f"file {os.path.relpath(path, directory)} {digest(f.read())}"


def describe(path, scratch):
    """The lines of NAME.txt for a packed file."""
    unpacked, plain = os.path.join(scratch, "unpacked"), os.path.join(scratch, "plain.safetensors")
    octavo("verify", path, "--quick")
    found = json.loads(octavo("verify", path, "--json"))
    if found["integrity"]["damage"]:
        raise Wrong(f"{path}: damaged")
    octavo("inspect", path)
    octavo("unpack", path, "-o", unpacked)
    octavo("unpack", path, "-o", plain, "--dequantize", "f32")
    tensors = list(tensor_lines("tensor", os.path.join(unpacked, TENSORS)))
    kept = {t.partition(" ")[2] for t in tensors}
    dequantized = [p for p in tensor_lines("plain", plain) if p.partition(" ")[2] not in kept]
    lines = [f"root {found['root']}", *tensors, *dequantized, *sorted(file_lines(unpacked))]
    for runtime in RUNTIMES:
        options = ("--for", runtime, "--allow-unloadable", "-o", os.path.join(scratch, runtime))
        lines.append(f"export {runtime} {octavo('export', path, *options, expect=None)}")
    return lines


def check(name, scratch):
    """Complaints about one file."""
    path = os.path.join(HERE, name + ".octavo")
    try:
        found = describe(path, scratch)
        source = os.path.join(scratch, "source")
        packed_sources.CASES[name].write(source)
        octavo("verify", path, "--against", source)
    except Wrong as e:
        return [str(e)]
    with open(os.path.join(HERE, name + ".txt"), encoding="utf-8") as f:
        expected = f.read().splitlines()
    lacking = [f"{name}: expected: {line}" for line in expected if line not in found]
    return lacking + [f"{name}: found: {line}" for line in found if line not in expected]


def make(name, scratch):
    path = os.path.join(HERE, name + ".octavo")
    if os.path.exists(path):
        raise Wrong(f"{path} exists: it is never made again")
    source = os.path.join(scratch, "source")
    case = packed_sources.CASES[name]
    case.write(source)
    octavo(*case.command(source, scratch), "-o", path)
    with open(os.path.join(HERE, name + ".txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(describe(path, scratch)) + "\n")


def main():
    if sys.argv[1:2] == ["--make"]:
        for name in sys.argv[2:]:
            with tempfile.TemporaryDirectory() as scratch:
                make(name, scratch)
        return 0
    complaints = []
    files = {n[: -len(".octavo")] for n in os.listdir(HERE) if n.endswith(".octavo")}
    for name in sorted(files ^ set(packed_sources.CASES)):
        complaints.append(f"{name}: a case without a file, or a file without a case")
    for name in sorted(files & set(packed_sources.CASES)):
        with tempfile.TemporaryDirectory() as scratch:
            complaints += check(name, scratch)
    print("\n".join(complaints + [f"compat: {len(files)} packed files of earlier releases"]))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
