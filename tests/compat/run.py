#!/usr/bin/python3
"""Every checkpoint of this folder, for every preset of export: what octavo says, and whether that is true.

    run.py [--jobs N] [--models DIR]... [NAME...]

Each checkpoint is converted; the plan's decisions are those of its table; verify confirms the result. For
each preset, `convert -n --for`, `export -n` and `export` agree; what is exported passes check_export.py;
what is refused leaves nothing. --models adds real checkpoints, which also make round trips (models.py).
NAMEs are patterns of cases. $OCTAVO is the program.
"""

import argparse
import fnmatch
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile

import cases_all
import hints
import models
from cases import CASES, PRESETS
from check_export import SECOND, check

HERE = os.path.dirname(os.path.abspath(__file__))
OCTAVO = os.environ.get("OCTAVO", os.path.join(HERE, "..", "..", "build", "octavo"))
LEFT = {"left": ("keep", "carry")}
DEVICE = ("--device", "cpu", "--threads", "1")


def octavo(*arguments):
    """(exit status, everything printed)"""
    done = subprocess.run(
        [OCTAVO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout.decode(errors="replace")


class Walk:
    """One checkpoint in SOURCE; faults are (check, what is wrong)."""

    def __init__(self, case, source, scratch):
        self.case, self.source, self.scratch = case, source, scratch
        self.options = list(case.options)
        self.faults, self.exports = [], 0
        self.printed = self.converted = ""

    def fault(self, name, text):
        text = " | ".join(text.replace(self.scratch + "/", "").split("\n"))
        self.faults.append((name, text))

    def must(self, name, holds, text):
        if not holds:
            self.fault(name, text)
        return holds

    def run(self, *arguments):
        status, text = octavo(*arguments)
        self.printed += text
        self.must("crash", 0 <= status < 70, f"{arguments[0]}: exit {status}: {text[-300:]}")
        return status, text

    # Conversion

    def convert(self, name, *options):
        """(exit status, what was printed, path of the packed file)"""
        path = os.path.join(self.scratch, name)
        status, text = self.run(
            "convert", self.source, "-o", path, *DEVICE, *self.options, *options
        )
        if status:
            self.must(
                "left-behind", name not in "".join(os.listdir(self.scratch)), f"{name} is left"
            )
        return status, text, path

    def walk(self):
        status, text, path = self.convert("packed")
        self.converted = text
        expected = self.case.convert
        self.must(
            "convert", status in expected, f"exit {status}, not {expected}: {text.strip()[:300]}"
        )
        for pattern in self.case.says:
            self.must(
                "says", re.search(pattern, text, re.I), f"no /{pattern}/ in: {text.strip()[:400]}"
            )
        if status == 5:
            self.follow("vllm", text)
        if status and self.case.mended:
            self.options += self.case.mended
            status, text, path = self.convert("packed")
            self.must("mended", status == 0, f"exit {status} with {self.case.mended}: {text[:300]}")
        if status:
            for preset in PRESETS:
                code, said = self.run("convert", self.source, "-n", "--for", preset, *self.options)
                self.must(
                    f"agree:{preset}", code == status, f"convert {status}, -n {code}: {said[:200]}"
                )
        else:
            self.check_plan()
            self.check_packed(path)
        for pattern in self.case.never:
            self.must("never", not re.search(pattern, self.printed, re.I), f"says /{pattern}/")
        return self

    def check_plan(self):
        status, text = self.run("convert", self.source, "-n", "--json", "-q", *self.options)
        if not self.must("plan", status == 0, f"convert -n: exit {status}: {text[:200]}"):
            return
        records = json.loads(text)["plan"]["records"]
        for pattern, wanted in self.case.decide.items():
            found = [r for r in records if fnmatch.fnmatchcase(r["name"], pattern)]
            self.must("decide", found, f"no tensor matches {pattern}")
            decision, _, reason = wanted.partition(":")
            for r in found:
                right = r["decision"] in LEFT.get(decision, (decision,))
                right = right and reason in ("", r["reason"])
                self.must(
                    "decide", right, f"{r['name']}: {r['decision']} ({r['reason']}), not {wanted}"
                )
        for r in records if self.case is models.NOTHING else ():
            self.must("decide", r["reason"] != "not-linear", f"{r['name']}: not known")

    def check_packed(self, path):
        status, text = self.run("verify", path, "--against", self.source, "--threads", "1")
        self.must("verify", status == 0, f"exit {status}: {text[-300:]}")
        power, _, other = self.convert("powers", "--scales", "ue8m0")
        for preset in PRESETS:
            if preset == "compressed-tensors" and power == 0:
                self.check_preset(preset, other, "--scales", "ue8m0")
                self.check_preset(preset, path, stated=False)
            else:
                self.check_preset(preset, path)

    # One preset

    def check_preset(self, preset, path, *options, stated=True):
        out = os.path.join(self.scratch, "out")
        plan, planned = self.run(
            "convert", self.source, "-n", "--for", preset, *self.options, *options
        )
        dry, _ = self.run("export", path, "-n", "-o", out, "--for", preset)
        status, text = self.run("export", path, "-o", out, "--for", preset, "--threads", "1")
        agree = dry == status and plan == int(status != 0) and status in (0, 1, 5)
        self.must(
            f"agree:{preset}",
            agree,
            f"convert -n {plan}, export -n {dry}, export {status}: {text.strip()[:300]}",
        )
        if stated:
            self.check_stated(preset, status, text, planned)
        if status:
            left = [n for n in os.listdir(self.scratch) if n.strip(".").startswith("out")]
            self.must(f"left-behind:{preset}", not left, f"{left} is left")
        if status == 5:
            self.follow(preset, text, *options)
        way = models.way_out(status, text)
        if way:
            status, text = self.run("export", path, "-o", out, "--for", preset, *way)
            self.must(f"way-out:{preset}", status in (0, 5), f"{way}: exit {status}: {text[:300]}")
            said = way[0] == "--dequantize" or "unloadable" in text
            self.must(f"way-out:{preset}", said, f"{way}: no word of it: {text[:300]}")
        if status == 0:
            self.check_written(preset, out)
        shutil.rmtree(out, ignore_errors=True)

    def check_stated(self, preset, status, text, planned):
        wanted = self.case.status(preset)
        ok = not wanted or status in wanted
        self.must(
            f"status:{preset}", ok, f"export: exit {status}, not {wanted}: {text.strip()[:300]}"
        )
        for pattern in self.case.reasons(preset) if ok and status else ():
            said = re.search(pattern, text, re.I)
            self.must(f"why:{preset}", said, f"no /{pattern}/ in: {text.strip()[:300]}")
        for pattern in self.case.warns:
            said = re.search(pattern, planned, re.I)
            self.must(f"warns:{preset}", said, f"no /{pattern}/ in: {planned.strip()[-300:]}")

    def follow(self, preset, text, *options):
        packed, out = (os.path.join(self.scratch, n) for n in ("hinted", "hinted-out"))
        follow = hints.Follow(self.run, self.source, packed, out)
        found = follow.leads_astray(preset, text, [*self.options, *options])
        self.must(f"hint:{preset}", not found, str(found))

    def check_written(self, preset, out):
        self.exports += 1
        try:
            for text in check(self.source, out, preset)[:5]:
                self.fault(f"export:{preset}", text)
        except (AssertionError, KeyError, ValueError, StopIteration) as e:
            self.fault(f"export:{preset}", f"cannot be checked: {e!r}")
        self.check_left_out(preset, out)
        for name in self.case.files:
            there = os.path.exists(os.path.join(out, name))
            self.must(f"files:{preset}", there, f"{name} is not exported")
        for name in self.case.absent:
            there = os.path.exists(os.path.join(out, name))
            self.must(f"files:{preset}", not there, f"{name} is exported")

    def check_left_out(self, preset, out):
        """Every file of the source is exported, or what convert printed names it."""
        for folder, _, names in os.walk(self.source):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.source)
                if (
                    name.endswith((".safetensors", ".index.json", ".png", ".jpeg"))
                    or name[0] == "."
                    or path in SECOND
                ):
                    continue
                there = os.path.exists(os.path.join(out, path)) or path in self.converted
                self.must(f"files:{preset}", there, f"{path} is neither exported nor named")


def walk_case(name):
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "source")
        CASES[name].make(source)
        done = Walk(CASES[name], source, scratch).walk()
    return name, done.faults, done.exports


def walk_model(source):
    with tempfile.TemporaryDirectory() as scratch:
        done = Walk(models.NOTHING, source, scratch).walk()
        trips = models.Trips(octavo, source, scratch)
    done.faults += trips.faults
    return models.name_of(source), done.faults, done.exports


def walk(job):
    return walk_model(job) if os.path.isabs(job) else walk_case(job)


# All of them


def tell(name, faults):
    """One line for each fault, with all presets that have it."""
    lines = {}
    for what, text in faults:
        kind, _, preset = what.partition(":")
        lines.setdefault((kind, text), []).append(preset)
    for (kind, text), presets in lines.items():
        where = " ".join(p for p in presets if p)
        print(f"{name}: {kind}{' for ' + where if where else ''}: {text}")


def report(results):
    """Print all faults; returns whether there are none."""
    for name, faults, _ in results:
        tell(name, faults)
    exports = sum(r[2] for r in results)
    print(f"compat: {len(results)} checkpoints, {exports} exports checked")
    return not any(faults for _, faults, _ in results)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--models", action="append", default=[], metavar="DIR")
    parser.add_argument("--thin", type=int, default=1, metavar="N", help="every N-th checkpoint")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    assert cases_all
    wanted = args.names or ["*"]
    everything = [*CASES, *(m for d in args.models for m in models.checkpoints(d))]
    jobs = [j for j in everything if any(fnmatch.fnmatchcase(models.name_of(j), p) for p in wanted)]
    jobs = sorted(jobs, key=os.path.isabs, reverse=True)[:: args.thin]
    assert jobs, "no such case"
    with multiprocessing.Pool(args.jobs) as pool:
        results = pool.map(walk, jobs, chunksize=1)
    return 0 if report(sorted(results)) else 1


if __name__ == "__main__":
    sys.exit(main())
