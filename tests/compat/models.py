"""Real checkpoints of many architectures: round trips through octavo. Used by run.py."""

import os
import shutil

import fp8_values as v
from cases import PRESETS, Case

NOTHING = Case("a real checkpoint", None)


def checkpoints(directory):
    """Absolute paths of the checkpoints in it."""
    found = [os.path.abspath(os.path.join(directory, n)) for n in sorted(os.listdir(directory))]
    return [p for p in found if os.path.exists(os.path.join(p, "config.json"))]


def name_of(job):
    """zoo/llama of a path, a case's name as it is."""
    return "/".join(job.split("/")[-2:])


def way_out(status, text):
    """Options with which export writes what it refused, or None."""
    if status == 1:
        return ("--allow-unloadable",)
    if status == 5 and "--dequantize" in text:
        return ("--dequantize", "--allow-unloadable")
    return None


class Trips:
    """What was exported is converted again, and exported again: the tensors are the same."""

    def __init__(self, octavo, source, scratch):
        self.octavo, self.faults = octavo, []
        self.packed, self.again, self.out, self.twice = (
            os.path.join(scratch, n) for n in ("first", "again", "out", "twice")
        )
        if not self.run("trip", "convert", source, "-o", self.packed, "-q", "--scales", "ue8m0"):
            return
        for preset in PRESETS[:-1]:
            self.trip(preset)
            for path in (self.out, self.twice):
                shutil.rmtree(path, ignore_errors=True)
        if self.run("unpack", "unpack", self.packed, "-o", self.out, "-q", "--dequantize", "bf16"):
            self.export_plain()

    def run(self, check, *arguments):
        status, text = self.octavo(*arguments)
        if status:
            self.faults.append((check, f"{arguments[0]}: exit {status}: {text.strip()[-300:]}"))
        return status == 0

    def trip(self, preset):
        check = f"trip:{preset}"
        export = ("export", self.packed, "-o", self.out, "--for", preset)
        status, text = self.octavo(*export)
        way = way_out(status, text) or ()
        if status and not (way and self.octavo(*export, *way)[0] == 0):
            return
        if not self.run(check, "convert", self.out, "-o", self.again, "-q", "-f"):
            return
        again = ("export", self.again, "-o", self.twice, "-q", "--for", preset)
        if self.run(check, *again, *way) and v.read(self.out) != v.read(self.twice):
            self.faults.append((check, "exported again, the tensors differ"))

    def export_plain(self):
        """The plain export has the numbers that unpack writes."""
        if not self.run("unpack", "export", self.packed, "-o", self.twice, "-q", "--for", "bf16"):
            return
        a, b = v.read(self.out), v.read(self.twice)
        if a != b:
            other = sorted(n for n in set(a) | set(b) if a.get(n) != b.get(n))
            self.faults.append(("unpack", f"export --for bf16 differs from unpack: {other[:3]}"))
