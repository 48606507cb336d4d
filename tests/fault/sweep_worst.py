#!/usr/bin/python3
"""The inputs that cost most for their size (tests/hostile/worst_cases.py), each at n and at 2n: twice the input may take
twice the steps, the memory, and the bytes read and written, and no more.

    sweep_worst.py [CASE]...     in an empty directory; COUNTED in the environment, the program of `make count`

Steps are counted, not timed (count.c). The last part is cancellation: SIGTERM arrives at several moments of a larger
input, and the processor time until the program has ended is at most a second. THIN=N takes every N-th case.
"""

import os
import shutil
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "hostile"))
import worst_cases  # noqa: E402

os.environ["OCTAVO_SANDBOX"] = "off"  # it would keep count.c from its file
FIELDS = ("blocks", "allocated", "live", "peak", "read", "written", "stop_ns")
GROWTH = 2.25  # of n log n at the sizes of the cases
SPARE = 200000  # of bytes, for what does not depend on n but differs
SPARE_PEAK = 2 << 20  # large arrays are rounded up to whole huge pages
LARGER = 16  # the input of cancellation
MOMENTS = (1, 2, 3)  # quarters of the steps
STOP_SECONDS = 1.0
MIB = 1 << 20


def remove_output():
    """Of an earlier run, which would be refused."""
    for name in ("out", "out.safetensors"):
        path = os.path.join("input", name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.remove(path)


def run(command, stop=0):
    """(exit status, counts by name, processor time in seconds)"""
    remove_output()
    environment = {**os.environ, "COUNT_FILE": os.path.abspath("counts"), "COUNT_STOP": str(stop), "MALLOC_ARENA_MAX": "1"}
    before = os.times()
    with open("messages", "w", encoding="utf-8") as messages:
        done = subprocess.run(
            [os.environ["COUNTED"], *command], stdout=subprocess.DEVNULL, stderr=messages, env=environment, check=False
        )
    after = os.times()
    with open("counts", "rb") as f:
        counts = dict(zip(FIELDS, struct.unpack(f"<{len(FIELDS)}Q", f.read())))
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return done.returncode, counts, used


def measure(case, n):
    shutil.rmtree("input", ignore_errors=True)
    return case.make("input", n)


def message():
    with open("messages", encoding="utf-8", errors="replace") as f:
        return f.read(300)


def growth_problems(case):
    status, once, _ = run(measure(case, case.n))
    if status != case.status:
        return [f"{case.name}: exit status {status}, expected {case.status}: {message()}"]
    status, twice, _ = run(measure(case, 2 * case.n))
    problems = [] if status == case.status else [f"{case.name}: exit status {status} at 2n"]
    for what in ("blocks", "allocated", "peak", "read", "written"):
        if twice[what] > GROWTH * once[what] + (SPARE_PEAK if what == "peak" else SPARE):
            problems.append(f"{case.name}: {what} grow from {once[what]} to {twice[what]} as n doubles")
    if case.bytes_each and twice["peak"] > case.bytes_each * 2 * case.n + SPARE_PEAK:
        problems.append(f"{case.name}: a peak of {twice['peak'] // (2 * case.n)} bytes for each of n, at most {case.bytes_each}")
    if case.steps_each and twice["blocks"] > case.steps_each * 2 * case.n:
        problems.append(f"{case.name}: {twice['blocks'] // (2 * case.n)} steps for each of n, at most {case.steps_each}")
    print(
        f"  {case.name:20} {twice['blocks'] / max(once['blocks'], 1):5.2f} times the steps, "
        f"{twice['blocks'] / 2 / case.n:8.0f} for each of n, peak {twice['peak'] / MIB:6.1f} MiB",
        flush=True,
    )
    return problems


def cancel_problems(case):
    """For each moment: the problems."""
    command = measure(case, LARGER * case.n)
    status, whole, _ = run(command)
    if status != case.status:
        return  # refused: so large an input is over a limit
    for quarter in MOMENTS:
        status, counts, used = run(command, whole["blocks"] * quarter // 4)
        late = used - counts["stop_ns"] / 1e9
        yield [] if status == -15 and late <= STOP_SECONDS else [
            f"{case.name}: SIGTERM after {quarter}/4 of the steps: exit status {status}, {late:.2f} s later"
        ]


def main():
    if not os.environ.get("COUNTED"):
        print("skipped: COUNTED is not set: make count builds the program")
        return 0
    thin = int(os.environ.get("THIN", "1"))
    chosen = [c for c in worst_cases.CASES if not sys.argv[1:] or c.name in sys.argv[1:]]
    points = failed = 0
    for number, case in enumerate(chosen):
        if number % thin != thin // 2:
            continue
        outcomes = [growth_problems(case)]
        if thin == 1:
            outcomes += list(cancel_problems(case))
        points += len(outcomes)
        failed += sum(bool(problems) for problems in outcomes)
        for problem in (p for problems in outcomes for p in problems):
            print(problem, flush=True)
    print(f"fault worst: {points} points, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
