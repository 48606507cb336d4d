#!/usr/bin/python3
"""The same as sweep.py for unpack and diff: system calls and signals.

    sweep_unpack.py        in an empty directory, OCTAVO in the environment

After each run of unpack its directory is absent, or as it was before, or complete; there is nothing
else in it or next to it.
"""

import os
import shutil
import signal
import subprocess
import sys

import sweep as faults
from sweep import IO, OCTAVO, OK
from sweep_files import tree

OUT = os.path.join(faults.DIRECTORY, "un", "dir")
INSIDE = os.path.join(OUT, ".octavo.part")
BESIDE = os.path.join(faults.DIRECTORY, "un", ".dir.part")
TEMPLATES = "additional_chat_templates"
TENSORS = ".tensors.safetensors.part"
FILES = ("LICENSE", "config.json", "tokenizer_config.json", "tensors.safetensors")


class Unpacking:
    """Into a new directory, or into one that has an older LICENSE and an unrelated file."""

    def __init__(self, sweep, packed, into):
        self.sweep, self.into = sweep, into
        self.arguments = ["unpack", packed, "-o", OUT, "-q", "--threads", "1"] + (["-f"] if into else [])
        self.part = INSIDE if into else BESIDE
        self.label = "into a directory" if into else "a new directory"
        self.prepare()
        subprocess.run([OCTAVO, *self.arguments], check=True)
        self.complete = tree(OUT)
        assert set(FILES) <= set(self.complete)
        self.prepare()
        self.before = tree(OUT)

    def prepare(self):
        shutil.rmtree("un", ignore_errors=True)
        os.mkdir("un")
        if self.into:
            os.mkdir(OUT)
            faults.write(os.path.join(OUT, "LICENSE"), b"old")
            faults.write(os.path.join(OUT, "mine"), b"mine")
            if self.into == "with a directory":
                os.mkdir(os.path.join(OUT, TEMPLATES))
                faults.write(os.path.join(OUT, TEMPLATES, "mine"), b"mine")

    def left(self, complete):
        problems = [] if tree(OUT) == (self.complete if complete else self.before) else ["other files"]
        others = [name for name in os.listdir("un") if name != "dir"]
        return problems + ([f"left behind: {others}"] if others else [])

    def again_problems(self):
        """The next run can always go on."""
        force = ["-f"] if tree(OUT) is not None and not self.into else []
        again = subprocess.run([OCTAVO, *self.arguments, *force], capture_output=True, text=True, check=False)
        left = self.left(True)
        return [f"the next run failed: {again.stderr}", *left] if again.returncode != OK or left else []

    def fault(self, calls, inject, paths, statuses, anyway=False):
        def check(run):
            problems = faults.clean_status(run)
            if run.returncode not in statuses:
                problems.append(f"expected status {statuses}")
            if run.returncode != OK:
                problems += faults.message_problems(run, ["dir", *paths])
            if anyway and run.returncode != OK:  # some files already had their names
                return problems + self.again_problems()
            return problems + self.left(run.returncode == OK)

        what = f"unpack, {calls} {inject} on {', '.join(map(os.path.basename, paths))}, {self.label}"
        self.sweep.points(what, self.arguments, calls, inject, paths, check, before=self.prepare)


def system_calls(sweep, packed):
    for into in (False, True, "with a directory"):
        u = Unpacking(sweep, packed, into)
        tensors = os.path.join(u.part, TENSORS)
        license_part = os.path.join(u.part, ".LICENSE.part")
        u.fault("mkdir", "error=EACCES", [u.part], (IO,))
        u.fault("flock", "error=EIO", [u.part], (IO,))
        u.fault("flock", "error=ENOLCK", [u.part], (OK,))
        u.fault("fsync", "error=EIO", [u.part], (IO,))
        below = os.path.join(u.part, TEMPLATES)
        u.fault("mkdirat", "error=EACCES", [u.part], (IO,))
        u.fault("openat", "error=EMFILE", [below], (IO,))
        for name in ("a.jinja", "b.jinja"):
            u.fault("pwrite64", "error=ENOSPC", [os.path.join(below, name)], (IO,))
            u.fault("fsync", "error=EIO", [os.path.join(below, name)], (IO,))
        u.fault("fsync", "error=EIO", [below], (IO,))
        for path in (tensors, license_part):
            u.fault("openat", "error=EMFILE", [path], (IO,))
            u.fault("pwrite64", "error=ENOSPC", [path], (IO,))
            u.fault("pwrite64", "error=EINTR", [path], (OK,))
            u.fault("fsync", "error=EIO", [path], (IO,))
            u.fault("renameat2", "error=EIO", [path], (IO,))
        for calls in ("newfstatat", "getdents64", "unlinkat"):
            if calls != "unlinkat" or into:
                u.fault(calls, "error=EIO", [u.part], (IO,), anyway=True)
        u.fault("pread64", "error=EIO", [packed], (IO,))
        u.fault("pread64", "error=EINTR", [packed], (OK,))
    u = Unpacking(sweep, packed, False)
    u.fault("renameat2", "error=EIO", [BESIDE], (IO,))
    u.fault("renameat2", "error=ENOSYS", [BESIDE], (OK,))
    u.fault("fchmod", "error=EPERM", [BESIDE], (IO,))
    u.fault("fsync", "error=EIO", [os.path.dirname(OUT) + "/"], (IO,), anyway=True)
    u = Unpacking(sweep, packed, True)
    u.fault("renameat", "error=EIO", [OUT], (IO,), anyway=True)
    u.fault("mkdirat", "error=EIO", [OUT], (IO,), anyway=True)
    for into in (True, "with a directory"):
        u = Unpacking(sweep, packed, into)
        u.fault("renameat", "error=EIO", [os.path.join(OUT, TEMPLATES)], (IO,), anyway=True)
        u.fault("unlinkat", "error=EIO", [INSIDE], (IO,), anyway=True)
        u.fault("fsync", "error=EIO", [os.path.join(OUT, TEMPLATES)], (IO,), anyway=True)


def signals(sweep, packed):
    for into in (False, True):
        u = Unpacking(sweep, packed, into)

        def check(run, u=u):
            problems = [] if run.returncode == -signal.SIGTERM else ["expected death by SIGTERM"]
            return problems + u.left(False)

        what = f"unpack, SIGTERM, {u.label}"
        path = os.path.join(u.part, TENSORS)
        u.sweep.points(what, u.arguments, "pwrite64", "signal=SIGTERM", [path], check, before=u.prepare)


def main():
    os.chdir(faults.DIRECTORY)
    sweep = faults.Sweep()
    packed = os.path.join(faults.DIRECTORY, "good.octavo")
    faults.write(packed, sweep.new)
    system_calls(sweep, packed)
    signals(sweep, packed)
    print(f"fault unpack: {sweep.runs} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
