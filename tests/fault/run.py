#!/usr/bin/python3
"""Run the classes of injected faults and print a table: points tried, survived, failed.

    run.py [CLASS]...     default: all; OCTAVO and, for what preloads it, SHIM in the environment

A class is a program that runs in an empty directory, prints what went wrong and at last one line

    fault CLASS: POINTS points, FAILED failed

`make fault` runs this; THIN=N takes every N-th point. A class that cannot run here prints `skipped: REASON`
instead, and the table says so. Exit status 1 if a point failed or a class did not come to its end.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))

# class, what fails in it, program with arguments
CLASSES = (
    ("kill", "death at any moment of a conversion", ("sweep.py", "kill")),
    ("signal", "a signal asks to stop", ("sweep.py", "signal")),
    ("output", "system calls on the output of convert", ("sweep.py", "output")),
    ("left", "system calls on what a killed run left", ("sweep_left.py",)),
    ("power", "power cuts during convert, export and unpack", ("power.py",)),
    ("input", "system calls on the checkpoint", ("sweep.py", "input")),
    ("direct", "system calls past the page cache, and of verify", ("sweep.py", "direct")),
    ("alloc-once", "one allocation, of octavo or a library", ("sweep_alloc.py", "once")),
    ("alloc-forever", "an allocation and all that follow it", ("sweep_alloc.py", "forever")),
    ("short", "reads and writes of a few bytes, interrupted", ("sweep.py", "short")),
    ("flip", "a byte changes between write and rename", ("sweep_flip.py",)),
    ("sources", "a source that changes while it is read", ("sources.py",)),
    ("exchange", "another good file gets the name of a source", ("exchange.py",)),
    ("calls", "every system call, with every plausible error", ("calls.py",)),
    ("unpack", "unpack and diff", ("sweep_unpack.py",)),
    ("archive", "a checkpoint in an archive", ("sweep_archive.py",)),
    ("export-faults", "system calls of export", ("sweep_export.py", "faults")),
    ("export-kill", "death at any moment of an export", ("sweep_export.py", "kill")),
    ("sandbox", "each step into the sandbox", ("sweep_sandbox.py",)),
    ("worst", "steps, memory and cancellation on the worst inputs", ("sweep_worst.py",)),
)
SUMMARY = re.compile(r"^fault \S+: (\d+) points, (\d+) failed$", re.M)
SKIPPED = re.compile(r"^skipped: (.*)$", re.M)


def run_class(program):
    """(points, failed, what it printed, why it was skipped or None); points None: it broke off."""
    script, *arguments = program
    with tempfile.TemporaryDirectory() as work:
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, script), *arguments], cwd=work, stdout=subprocess.PIPE, text=True, check=False
        )
    skipped, summary = SKIPPED.search(done.stdout), SUMMARY.search(done.stdout)
    if skipped:
        return 0, 0, "", skipped[1]
    if not summary or done.returncode not in (0, 1):
        return None, 1, done.stdout, None
    points, failed = int(summary[1]), int(summary[2])
    return points, failed or done.returncode, done.stdout, None


def main():
    chosen = sys.argv[1:]
    unknown = set(chosen) - {name for name, *_ in CLASSES}
    if unknown:
        sys.exit(f"run.py: no such class: {' '.join(sorted(unknown))}")
    print(f"{'class':14} {'points':>8} {'survived':>8} {'failed':>6} {'s':>5}  what fails", flush=True)
    broken = total = 0
    for name, what, program in CLASSES:
        if chosen and name not in chosen:
            continue
        start = time.monotonic()
        points, failed, printed, skipped = run_class(program)
        broken += failed
        total += points or 0
        if failed:
            print(printed, end="")
        counts = f"{'-':>8} {'-':>8} {'-':>6}" if points is None or skipped else f"{points:8} {points - failed:8} {failed:6}"
        note = "skipped: " + skipped if skipped else what + (" (broke off)" if points is None else "")
        print(f"{name:14} {counts} {time.monotonic() - start:5.0f}  {note}", flush=True)
    print(f"fault: {total} points, {broken} failed")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
