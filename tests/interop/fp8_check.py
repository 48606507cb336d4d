#!/usr/bin/python3
"""Convert checkpoints that are already FP8 (fp8_checkpoint.py) by octavo and by the second writer: the
same bytes, or both refuse; and checkpoints that must be refused (fp8_bad.py).

    fp8_check.py

$OCTAVO is the program. Each result is also read by the second reader, computed by the oracle, verified
and compared with its source by octavo, and unpacked.
"""

import json
import os
import subprocess
import sys
import tempfile

import check_unpacked
import fp8_bad
import fp8_checkpoint
import fp8_np as fp8
import oracle
import packed_format as pf
import packed_report
import read_packed
import write_packed
from checkpoint_np import Checkpoint
from packed_format import QUANTIZED

OCTAVO = os.environ.get("OCTAVO", "build/octavo")
KEEP = ["*.o_proj.*", "*.experts.[!1].up_proj.*", "*.layers.1.*.shared_experts.*"]


def run(*arguments):
    return subprocess.run([OCTAVO, *arguments], capture_output=True, text=True, check=False)


def options_of(recipe):
    options = ["--scales", recipe["scales"]]
    for rule in recipe["rules"]:
        options += ["--" + rule["action"], rule["match"]]
    return options + (["--requantize"] if "requantize" in recipe else [])


def recipe_from(options):
    """The inverse of options_of, for rules that keep."""
    pairs = zip(options, options[1:])
    rules = [{"action": "keep", "match": glob} for option, glob in pairs if option == "--keep"]
    scales = "ue8m0" if "ue8m0" in options else "f32"
    return write_packed.recipe_of(scales, rules, "--requantize" in options)


class Checks:
    """Counts the checks and prints each failure once."""

    def __init__(self):
        self.passed = self.failed = 0

    def expect(self, what, holds, why=""):
        self.passed += bool(holds)
        self.failed += not holds
        if not holds:
            print(f"FAILED: {what}: {str(why).strip()[:400]}")
        return holds


# Valid checkpoints


def recipes_of(kind):
    """(recipe, whether it must be refused), once for each code path."""
    keep = [{"action": "keep", "match": glob} for glob in KEEP]
    e8m0 = kind.style.get("dtype") == "F8_E8M0"
    yield write_packed.recipe_of("f32"), kind.requantize
    yield write_packed.recipe_of("ue8m0"), not e8m0
    yield write_packed.recipe_of("ue8m0", requantize=True), False
    if kind.requantize or kind.name == "deepseek":
        yield write_packed.recipe_of("f32", requantize=True), False
    if kind.name in ("deepseek", "e8m0", "compressed"):
        yield write_packed.recipe_of("f32", keep), False


def second_opinion(checkpoint, recipe):
    """The bytes of the second writer, None if it refuses."""
    try:
        return write_packed.pack(checkpoint, recipe)
    except fp8.Refused:
        return None


def check_refusal(c, what, done, directory):
    c.expect(f"{what}: refused", done.returncode == 5, done)
    c.expect(f"{what}: nothing is left", not os.listdir(directory), os.listdir(directory))


def check_file(c, what, path, source, recipe):
    """Check what octavo wrote, by readers that share no code with it, and by octavo itself."""
    status, reason = read_packed.status_of(path)
    if not c.expect(f"{what}: second reader", status == 0, reason):
        return
    packed = read_packed.PackedFile(path)
    packed.check_all()
    shown = json.loads(run("inspect", "--json", path).stdout)
    differences = packed_report.compare_inspect(path, shown)
    c.expect(f"{what}: inspect", not differences, differences[:3])
    differences = oracle.compare_file(packed, Checkpoint(source)).differences
    c.expect(f"{what}: oracle", not differences, differences[:3])
    done = run("verify", "-q", path, "--against", source)
    c.expect(f"{what}: verify --against", done.returncode == 0, done)
    if not recipe["rules"]:
        check_diff(c, what, packed, path, source)
    check_unpack(c, what, path, source, recipe)


def check_diff(c, what, packed, path, source):
    """There is no difference from the source, unless FP8 was rounded again."""
    if any(r["origin"] == QUANTIZED and r["src_dtype"] == pf.E4M3 for r in packed.records):
        return
    for pair in ((path, source), (source, path)):
        done = run("diff", "-q", *pair)
        c.expect(f"{what}: diff", done.returncode == 0, done)


def check_unpack(c, what, path, source, recipe):
    with tempfile.TemporaryDirectory() as scratch:
        for form in ("stored", "f32", "bf16"):
            options = [] if form == "stored" else ["--dequantize", form]
            out = os.path.join(scratch, form)
            done = run("unpack", path, "-o", out, "-q", *options)
            if c.expect(f"{what}: unpack, {form}", done.returncode == 0, done):
                checker = check_unpacked.check(form, recipe, out, source)
                problems = checker.problems + ([] if checker.computed else ["nothing is FP8"])
                c.expect(f"{what}: unpacked, {form}", not problems, problems[:3])


def check_kind(c, kind, scratch):
    source = os.path.join(scratch, kind.name)
    fp8_checkpoint.write(kind, source)
    checkpoint = Checkpoint(source)
    for recipe, refused in recipes_of(kind):
        what = " ".join([kind.name, *options_of(recipe)])
        with tempfile.TemporaryDirectory() as target:
            path = os.path.join(target, "x.octavo")
            done = run("convert", source, "-o", path, "-q", *options_of(recipe))
            theirs = second_opinion(checkpoint, recipe)
            c.expect(f"{what}: second writer", (theirs is None) == refused)
            if refused:
                check_refusal(c, what, done, target)
            elif c.expect(f"{what}: convert", done.returncode == 0, done):
                with open(path, "rb") as f:
                    c.expect(f"{what}: the same bytes", f.read() == theirs)
                check_file(c, what, path, source, recipe)


# Malformed checkpoints


def check_bad(c, bad, scratch):
    source, target = os.path.join(scratch, "source"), os.path.join(scratch, "target")
    bad.write(source)
    os.mkdir(target)
    done = run("convert", source, "-o", os.path.join(target, "x.octavo"), *bad.options)
    c.expect(f"{bad.name}: exit status {bad.status}", done.returncode == bad.status, done)
    missing = [word for word in bad.says if word not in done.stderr]
    c.expect(f"{bad.name}: the message says {missing}", not missing, done.stderr)
    c.expect(f"{bad.name}: nothing is left", not os.listdir(target), os.listdir(target))
    if bad.status == 5:
        recipe = recipe_from(bad.options)
        c.expect(f"{bad.name}: second writer", second_opinion(Checkpoint(source), recipe) is None)
        check_kept(c, bad, source, target)


def check_carried(c, bad, scratch):
    source, path = os.path.join(scratch, "source"), os.path.join(scratch, "x.octavo")
    bad.write(source)
    done = run("convert", source, "-o", path)
    c.expect(f"{bad.name}: carried", done.returncode == 0, done)
    missing = [word for word in bad.says if word not in done.stderr]
    c.expect(f"{bad.name}: the note says {missing}", not missing, done.stderr)
    done = run("verify", path, "--against", source, "-q")
    c.expect(f"{bad.name}: verify", done.returncode == 0, done)
    for preset in ("vllm", "bf16"):
        done = run("export", path, "-o", os.path.join(scratch, "out"), "--for", preset)
        c.expect(f"{bad.name}: refused for {preset}", done.returncode == 5, done)


def check_kept(c, bad, source, target):
    """A rule that keeps the tensor, as hints suggest, and its scales, always helps."""
    path = os.path.join(target, "x.octavo")
    name = bad.says[0].split()[0].removesuffix("_scale_inv").removesuffix("_scale")
    done = run("convert", source, "-o", path, "-q", *bad.options, "--keep", name + "*", "--allow-none")
    c.expect(f"{bad.name}: kept", done.returncode == 0, done)


def main():
    c = Checks()
    for kind in fp8_checkpoint.KINDS:
        with tempfile.TemporaryDirectory() as scratch:
            check_kind(c, kind, scratch)
    for bad in fp8_bad.CASES:
        with tempfile.TemporaryDirectory() as scratch:
            check_bad(c, bad, scratch)
    for carried in fp8_bad.CARRIED:
        with tempfile.TemporaryDirectory() as scratch:
            check_carried(c, carried, scratch)
    print(f"interop: FP8 checkpoints: {c.passed} passed, {c.failed} failed")
    return 1 if c.failed else 0


if __name__ == "__main__":
    sys.exit(main())
