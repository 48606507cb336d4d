#!/usr/bin/python3
"""The same as sweep.py for exports: every system call on the directory and its files fails in turn, and
death comes at any moment.

    sweep_export.py GROUP     in an empty directory, OCTAVO in the environment; faults or kill
"""

import os
import shutil
import signal
import subprocess
import sys

import sweep as base
from sweep import IO, OCTAVO, OK
from sweep_files import tree

PACKED = os.path.join(base.DIRECTORY, "packed.octavo")
ROOM = os.path.join(base.DIRECTORY, "room")
OUT = os.path.join(ROOM, "out")
PART = os.path.join(ROOM, ".out.part")
FILES = ("config.json", "LICENSE", "octavo-export.json", "model.safetensors.index.json",
         "tokenizer_config.json", "model-00001-of-00002.safetensors",
         "model-00002-of-00002.safetensors")  # fmt: skip
TEMPLATES = "additional_chat_templates/"
BELOW = [TEMPLATES + "a.jinja", TEMPLATES + "b.jinja"]
BELOW_PART = os.path.join(PART, TEMPLATES[:-1])
INSIDE = [os.path.join(PART, n) for name in FILES for n in (name, f".{name}.part")]
EXPORT = ("export", PACKED, "-q", "-o", OUT, "--for", "vllm", "--allow-unloadable", "--shard-size", "30000")


class Exports:
    """Exports to a new directory, or with -f over an older export."""

    def __init__(self, sweep, force, threads="1"):
        self.sweep, self.force = sweep, force
        self.arguments = [*EXPORT, "--threads", threads, *(["-f"] if force else [])]
        self.label = "with -f" if force else "new directory"

    def prepare(self):
        shutil.rmtree(ROOM, ignore_errors=True)
        os.mkdir(ROOM)
        if self.force:
            shutil.copytree("old", OUT)

    def left_problems(self, complete):
        expected = self.sweep.new_tree if complete else self.sweep.old_tree if self.force else None
        problems = [] if tree(OUT) == expected else ["the directory is not what it should be"]
        others = [name for name in os.listdir(ROOM) if name != "out"]
        return problems + ([f"left behind: {others}"] if others else [])

    def must(self, statuses, complete_anyway):
        def check(run):
            problems = base.clean_status(run)
            if run.returncode not in statuses:
                problems.append(f"expected status {statuses}")
            if run.returncode != OK:
                problems += base.message_problems(run, [ROOM, PACKED])
            if complete_anyway and run.returncode != OK:
                return problems + self.again_problems()
            return problems + self.left_problems(run.returncode == OK)

        return check

    def again_problems(self):
        """Either the new directory has its name, or the old one still does; the next run can always go on."""
        whole = tree(OUT) in (self.sweep.new_tree, self.sweep.old_tree if self.force else None)
        problems = [] if whole else ["a partial directory under the final name"]
        again = subprocess.run([OCTAVO, *EXPORT, "-f"], capture_output=True, text=True, check=False)
        if again.returncode != OK or self.left_problems(True):
            problems.append(f"the next run failed: {again.stderr}")
        return problems

    def fault(self, calls, error, paths, statuses, complete_anyway=False):
        inject = error if "=" in error else f"error={error}"
        what = f"{calls} {inject} on {os.path.basename(paths[0])}, {self.label}"
        check = self.must(statuses, complete_anyway)
        self.sweep.points(what, self.arguments, calls, inject, paths, check, before=self.prepare)


def group_faults(sweep):
    for force in (False, True):
        x = Exports(sweep, force)
        for error in ("ENOSPC", "EIO"):
            x.fault("pwrite64", error, INSIDE, (IO,))
        x.fault("pwrite64", "EINTR", INSIDE, (OK,))
        x.fault("fsync", "EIO", INSIDE, (IO,))
        x.fault("fallocate", "ENOSPC", INSIDE, (IO,))
        x.fault("openat", "EACCES", INSIDE, (IO,))
        x.fault("renameat2", "EACCES", INSIDE, (IO,))
        x.fault("mkdir", "EACCES", [PART], (IO,))
        # After the exchange, what is left of the old directory has this name.
        # Of the old directory, emptied and locked, the last question needs no answer.
        asked = (OK, IO) if force else (IO,)
        x.fault("newfstatat", "EIO", [PART], asked, complete_anyway=force)
        x.fault("openat", "EIO", [PART], (IO,), complete_anyway=force)
        x.fault("fchmod", "EIO", [PART], (OK, IO))  # that of the old directory is a precaution
        if force:
            for calls in ("newfstatat", "getdents64", "openat", "unlinkat", "fsync"):
                places = [PART, OUT, os.path.join(OUT, TEMPLATES[:-1]), BELOW_PART]
                x.fault(calls, "EIO", places, asked if calls == "newfstatat" else (IO,), complete_anyway=True)
        x.fault("mkdirat", "EACCES", [PART], (IO,))
        x.fault("openat", "EMFILE", [BELOW_PART], (IO,), complete_anyway=force)
        for error in ("ENOSPC", "EIO"):
            x.fault("pwrite64", error, [os.path.join(PART, n) for n in BELOW], (IO,))
        x.fault("fsync", "EIO", [BELOW_PART, *(os.path.join(PART, n) for n in BELOW)], (IO,))
        x.fault("flock", "EIO", [PART], (IO,))
        x.fault("flock", "ENOLCK", [PART], (OK,))
        x.fault("fchmod", "EPERM", [PART], (OK, IO))
        x.fault("renameat2", "EIO", [PART], (IO,))
        x.fault("pread64", "EIO", [PACKED], (IO,))
        x.fault("fsync", "EIO", [ROOM], (IO,), complete_anyway=True)
    x = Exports(sweep, False)
    x.fault("renameat2", "EINVAL", [PART], (OK,))
    x.fault("fsync", "EINVAL", [ROOM], (OK,))
    x = Exports(sweep, True)
    x.fault("renameat2", "EINVAL", [PART], (OK, IO))  # files can be renamed another way
    x.fault("unlinkat", "EIO", [PART], (IO,), complete_anyway=True)
    x = Exports(sweep, False, "3")
    x.fault("pwrite64", "ENOSPC", INSIDE, (IO,))
    x.fault("fsync", "EIO", INSIDE, (IO,))


def group_kill(sweep):
    """No partial directory under the final name, and the next run works."""
    for force in (False, True):
        x = Exports(sweep, force)

        def check(run):
            problems = [] if run.returncode == -signal.SIGKILL else ["not killed"]
            return problems + x.again_problems()

        calls = "pwrite64,fallocate,fsync,fchmod,renameat2,unlinkat,mkdir,mkdirat,openat"
        below = [BELOW_PART, os.path.join(OUT, TEMPLATES[:-1]), *(os.path.join(PART, n) for n in BELOW)]
        paths = [PART, OUT, ROOM, *INSIDE, *below]
        what = f"SIGKILL at {calls}, {x.label}"
        sweep.points(what, x.arguments, calls, "signal=SIGKILL", paths, check, before=x.prepare)


def main():
    sweep = base.Sweep()
    subprocess.run([OCTAVO, *base.CONVERT, base.CHECKPOINT], check=True)
    os.rename(base.OUT, PACKED)
    os.mkdir(ROOM)
    subprocess.run([OCTAVO, *EXPORT], check=True)
    sweep.new_tree = tree(OUT)
    assert sorted(sweep.new_tree) == sorted([*FILES, TEMPLATES, *BELOW]), sorted(sweep.new_tree)
    shutil.rmtree(OUT)
    subprocess.run([OCTAVO, *EXPORT, "--for", "bf16"], check=True)
    os.rename(OUT, "old")
    sweep.old_tree = tree("old")
    globals()["group_" + sys.argv[1]](sweep)
    print(f"fault export-{sys.argv[1]}: {sweep.runs} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
