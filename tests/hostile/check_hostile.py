#!/usr/bin/python3
"""Run octavo on every malformed checkpoint and every broken packed file; called by run.sh.

    check_hostile.py OCTAVO SCRATCH

Prints every case that was not refused, got a wrong exit status, crashed, hung, left files behind or
wrote control bytes to the terminal; then a summary line. Exit status 1 if there was such a case.
"""

import os
import re
import subprocess
import sys

import make_safetensors
import patch_packed
import small_checkpoint

SECONDS = 60  # far more than anything takes, even under a sanitizer


class Run:
    """One run of the tool, and the problems that count in every case."""

    def __init__(self, octavo, *arguments):
        self.problems = []
        try:
            done = subprocess.run(
                [octavo, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self.status, self.out, self.err = None, "", ""
            self.problems.append(f"still running after {SECONDS} seconds")
            return
        self.status = done.returncode
        self.out, self.err = (b.decode("utf-8", "replace") for b in (done.stdout, done.stderr))
        if self.status < 0 or self.status == 70 or "Sanitizer" in self.err:
            self.problems.append(f"crashed, exit status {self.status}")
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", self.out + self.err):
            self.problems.append("control bytes in its output")

    def expect_status(self, statuses):
        if self.status is not None and self.status not in statuses:
            self.problems.append(
                f"exit status {self.status}, expected {' or '.join(map(str, statuses))}"
            )
        if self.status and not (self.out + self.err).strip():
            self.problems.append("failed without a message")

    def expect_messages(self, messages):
        """On failure there is exactly one error line, and it matches every regular expression."""
        if self.status == 0:
            return
        lines = [
            line for line in self.err.splitlines() if not re.match("octavo: note:|hint:", line)
        ]
        if len(lines) != 1 or not lines[0].startswith("octavo: "):
            self.problems.append(f"{len(lines)} error lines, expected one")
        if self.out:
            self.problems.append("a result on standard output")
        for message in messages:
            if not any(re.search(message, line, re.IGNORECASE) for line in lines):
                self.problems.append(f"no line with {message!r}")


class Counter:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name, run):
        if not run.problems:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED: {name}: {'; '.join(run.problems)}")
        for line in (run.err.splitlines() + run.out.splitlines())[:3]:
            print(f"    {line[:300]}")


def check_checkpoints(octavo, scratch, counter):
    corpus, target = os.path.join(scratch, "checkpoints"), os.path.join(scratch, "output")
    os.makedirs(corpus)
    os.makedirs(target)
    for case in make_safetensors.write_all(corpus):
        run = Run(
            octavo,
            "convert",
            os.path.join(corpus, case["path"]),
            "-o",
            os.path.join(target, "x.octavo"),
        )
        run.expect_status(case["statuses"])
        run.expect_messages(case["messages"])
        left = os.listdir(target)
        if left != (["x.octavo"] if run.status == 0 else []):
            run.problems.append(f"left behind: {left}")
        for name in left:
            os.remove(os.path.join(target, name))
        counter.add(f"convert {case['name']}", run)


def make_good(octavo, scratch, counter):
    """The packed file of the small checkpoint, None if the tool cannot make it."""
    checkpoint, path = os.path.join(scratch, "small"), os.path.join(scratch, "good.octavo")
    small_checkpoint.write(checkpoint)
    rules = [word for r in small_checkpoint.RULES for word in ("--quantize", r["match"])]
    run = Run(octavo, "convert", checkpoint, "-o", path, *rules)
    run.expect_status((0,))
    counter.add("convert the small checkpoint", run)
    if run.problems:
        return None
    with open(path, "rb") as f:
        return f.read()


def check_packed(octavo, scratch, counter):
    good = make_good(octavo, scratch, counter)
    path = os.path.join(scratch, "variant.octavo")
    for name, statuses, raw in patch_packed.variants(good) if good else ():
        with open(path, "wb") as f:
            f.write(raw)
        run = Run(octavo, "verify", path)
        run.expect_status(statuses)
        # inspect reads less, but must survive the same files, and show no recipe or provenance that verify refuses.
        shown = Run(octavo, "inspect", "--json", path)
        shown.expect_status(statuses if name.startswith(("RCPE:", "PROV:")) else (0, *statuses))
        run.problems += [f"inspect: {p}" for p in shown.problems]
        counter.add(f"verify {name}", run)


def main():
    octavo, scratch = sys.argv[1:]
    counter = Counter()
    check_checkpoints(octavo, scratch, counter)
    check_packed(octavo, scratch, counter)
    print(f"hostile: {counter.passed} passed, {counter.failed} failed")
    return 1 if counter.failed else 0


if __name__ == "__main__":
    sys.exit(main())
