#!/usr/bin/python3
"""Simulate power cuts during convert, export and unpack, by the model of power_model.py.

    power.py        in an empty directory, OCTAVO in the environment; THIN=N tries fewer points

Each scenario runs octavo once, recording every operation on the output. Then, for many cuts and many choices of what reached the
disk: the final name holds nothing, what it held before, or the complete new output; and the same command succeeds afterwards, with
-f if the final name is taken, and leaves nothing else. States in which this run finds the same are tried once.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys

import power_model
import sweep as base
from sweep import OCTAVO

ROOM = os.path.join(os.path.realpath(base.DIRECTORY), "room")
PACKED = os.path.join(base.DIRECTORY, "packed.octavo")
OLD_PACKED = os.path.join(base.DIRECTORY, "old.octavo")
LISTS = ("octavo-export.json",)  # the only files under a temporary name that a later run reads
SEEDS = 12000
EXPORT = ("export", PACKED, "-q", "--threads", "2", "--allow-unloadable", "--shard-size", "30000")
UNPACK = ("unpack", PACKED, "-q", "--threads", "2")
CONVERT = (*base.CONVERT[:1], base.CHECKPOINT, "-q", "--device", "cpu", "--threads", "2")


def run(*arguments):
    subprocess.run([OCTAVO, *arguments], check=True, stdout=subprocess.DEVNULL, umask=power_model.UMASK)


def below(tree, name):
    """What is at a name, and below it, in a tree; None if nothing is."""
    part = {path: what for path, what in tree.items() if path == name or path.startswith(name + "/")}
    return part or None


def without_temporary(tree):
    return {path: what for path, what in tree.items() if "/.octavo.part" not in path and "/.octavo.probe" not in path}


def build(tree):
    """Make ROOM such a tree."""
    shutil.rmtree(ROOM, ignore_errors=True)
    os.mkdir(ROOM)
    for path, (mode, data) in sorted(tree.items()):
        full = os.path.join(ROOM, path)
        if data is None:
            os.mkdir(full)
        else:
            base.write(full, data)
        os.chmod(full, mode | (0o700 if data is None else 0o600))
    for path, (mode, _) in tree.items():
        os.chmod(os.path.join(ROOM, path), mode)


class Scenario:
    """A command whose output is `name` in ROOM, and what is there before it."""

    def __init__(self, what, name, command, start, mixed=False):
        self.what, self.name, self.mixed = what, name, mixed
        self.command = [*command, "-o", os.path.join(ROOM, name)]
        build(start)
        force = ["-f"] if below(start, name) else []
        self.log = power_model.record(ROOM, [OCTAVO, *self.command, *force])
        self.end, actual = self.log.tree(), power_model.Log(ROOM).tree()
        assert self.end == actual, f"{what}: the model of the disk differs from the disk"
        self.old, self.new = below(start, name), below(self.end, name)
        assert set(self.end) == set(self.new), f"{what}: left behind {set(self.end) - set(self.new)}"
        self.known = {}

    def final_problems(self, tree):
        found = below(tree, self.name)
        if self.mixed:
            rest, old = without_temporary(found), without_temporary(self.old)
            good = all(what in (old.get(path), self.new.get(path)) for path, what in rest.items())
            return [] if good and set(old) <= set(rest) else ["a file under its final name is neither old nor new"]
        return [] if found in (None, self.old, self.new) and (found or not self.old) else ["neither old nor new"]

    def again_problems(self, tree):
        build(tree)
        force = ["-f"] if below(tree, self.name) else []
        again = subprocess.run(
            [OCTAVO, *self.command, *force], capture_output=True, text=True, check=False, umask=power_model.UMASK
        )
        if again.returncode != 0:
            return [f"the next run failed: {again.stderr.splitlines()[0]}"]
        return [] if power_model.Log(ROOM).tree() == self.end else ["the next run left something else"]

    def key(self, tree):
        """What the next run can tell: of files under temporary names, which it empties, not the content."""
        digest = hashlib.sha256()
        for path, (mode, data) in sorted(tree.items()):
            final = path in self.new or os.path.basename(path) in LISTS
            known = data if data is None or final else b"some" if data else b""
            digest.update(repr((path, mode, known if known is None else hashlib.sha256(known).digest())).encode())
        return digest.digest()

    def judge(self, k, kept, choose):
        tree = self.log.tree(k, kept, choose)
        key = self.key(tree)
        if key not in self.known:
            problems = self.final_problems(tree)
            self.known[key] = problems or self.again_problems(tree)
        return self.known[key]


def exhaustive(log):
    """Every cut, with all or nothing of what may be lost, and every change of entries lost alone or kept alone."""
    for k in range(len(log.operations) + 1):
        pending = log.pending(k)
        for data in ("keep", "drop"):
            yield k, [], data
            yield k, pending, data
        for i in pending:
            yield k, [i], "drop"
            yield k, [j for j in pending if j != i and i not in needed(log, j)], "drop"


def needed(log, i):
    found, pending = set(), [i]
    while pending:
        for n in log.operations[pending.pop()].needs:
            if n not in found:
                found.add(n)
                pending.append(n)
    return found


def chosen(log, r):
    """A cut and a choice by the random numbers `r`."""
    k = r.randrange(len(log.operations) + 1)
    p = r.choice((0, 0.1, 0.5, 0.9, 1))
    kept = [i for i in log.pending(k) if r.random() < p]
    whole = r.choice((0, 0.3, 0.7, 1))
    fates = {}

    def choose(o):
        if o not in fates:
            fates[o] = r if r.random() < 0.5 and o.kind == "write" else "keep" if r.random() < whole else "drop"
        return fates[o]

    return k, kept, choose


class Sweep:
    def __init__(self):
        self.points = self.failed = self.states = 0
        self.thin = int(os.environ.get("THIN", 1))

    def point(self, scenario, label, k, kept, choose):
        problems = scenario.judge(k, kept, choose)
        self.points += 1
        if problems:
            self.failed += 1
            if self.failed <= 20:
                print(f"FAILED: {scenario.what}, {label}, cut before {k}, kept {kept}: {'; '.join(problems)}")

    def run(self, scenario, seeds):
        for n, (k, kept, data) in enumerate(exhaustive(scenario.log)):
            if n % self.thin == 0:
                self.point(scenario, f"{data} data", k, kept, lambda o, data=data: data)
        for seed in range(0, seeds, self.thin):
            self.point(scenario, f"seed {seed}", *chosen(scenario.log, random.Random(f"{scenario.what} {seed}")))
        self.states += len(scenario.known)
        print(f"{scenario.what}: {len(scenario.log.operations)} operations, {len(scenario.known)} states")


def scenarios():
    """Each is recorded when it is asked for."""
    out = "out.octavo"
    read = base.read
    yield "convert", out, CONVERT, {}
    yield "convert -f", out, CONVERT, {out: (0o644, read(OLD_PACKED))}
    left = {out: (0o600, read(OLD_PACKED)), f".{out}.part": (0o600, read(PACKED)[:5000])}
    yield "convert -f, after a killed run", out, CONVERT, left
    yield "unpack to a file", "x.safetensors", UNPACK, {}
    yield "unpack -f to a file", "x.safetensors", UNPACK, {"x.safetensors": (0o640, b"old")}

    build({})
    run(*EXPORT, "--for", "bf16", "-o", os.path.join(ROOM, "out"))
    old = power_model.Log(ROOM).tree()
    export = (*EXPORT, "--for", "vllm")
    yield "export", "out", export, {}
    yield "export -f", "out", export, old
    part = {path.replace("out", ".out.part", 1): what for path, what in old.items()}
    yield "export -f, after a killed run", "out", export, {**old, **part}
    half = {path: what for path, what in part.items() if "safetensors" not in path}
    half[".out.part"] = (0o700, None)
    shard = next(path for path in part if path.endswith(".safetensors"))
    half[f".out.part/.{os.path.basename(shard)}.part"] = (0o600, b"half")
    yield "export, after a killed run", "out", export, half

    yield "unpack", "dir", UNPACK, {}
    before = {"dir": (0o755, None), "dir/LICENSE": (0o644, b"old"), "dir/mine": (0o644, b"mine"),
              "dir/additional_chat_templates": (0o755, None),
              "dir/additional_chat_templates/a.jinja": (0o644, b"old")}  # fmt: skip
    yield "unpack -f into a directory", "dir", UNPACK, before, True
    inside = {"dir/.octavo.part": (0o700, None), "dir/.octavo.part/config.json": (0o644, b"half"),
              "dir/.octavo.part/.LICENSE.part": (0o600, b"half"), "dir/.octavo.part/additional_chat_templates": (0o755, None),
              "dir/.octavo.part/additional_chat_templates/b.jinja": (0o644, b"half")}  # fmt: skip
    yield "unpack -f into a directory, after a killed run", "dir", UNPACK, {**before, **inside}, True


def main():
    os.umask(power_model.UMASK)
    base.Sweep()  # makes the checkpoint
    run(*CONVERT, "-o", PACKED)
    run(*CONVERT, "-o", OLD_PACKED, "--scales", "ue8m0")
    for path in (PACKED, OLD_PACKED):
        run("verify", path, "-q")
    sweep = Sweep()
    for made in scenarios():
        sweep.run(Scenario(*made), SEEDS // 12)
    print(f"fault power: {sweep.points} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
