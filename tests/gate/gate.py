#!/usr/bin/python3
"""Does `verify --forward` find every fault, name its part and no other, and stay silent without one?

    gate.py faults   [MODEL]...    faults planted one by one in files that claim to be their definition
    gate.py rounding [MODEL]...    FP8 that other rules have made, without a fault and with each
    gate.py alarms   [MODEL]...    files without a fault: lengths, sequences and forms of scales

Each prints a table in Markdown and, before it, what went wrong; exit status 1 if anything did. Nothing is random that
has no seed. OCTAVO and OCTAVO_MODELS in the environment (subjects.py). `make gate` runs all of it; THIN=N takes every
N-th case.
"""

import itertools
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "hostile")]
import rounding  # noqa: E402
from faults import fault_of_expert, faults_of, unchosen, used_experts  # noqa: E402
from plant_fault import plant  # noqa: E402
from subjects import subjects  # noqa: E402

LENGTH = 128
MARGIN = 1.05
SCALES = ("f32", "ue8m0")
VARIANTS = ("f32", "fp8")
FAULTS = ("micro", "nano", "mini-shaped", "llama", "qwen3", "ling", "fp8-micro", "fp8-qwen3")
TRIED = {
    "faults": FAULTS,
    "rounding": ("micro", "nano", "llama", "qwen3"),
    "alarms": (*FAULTS, "zoo/llama", "zoo/llama-tied", "zoo/qwen3"),
}
THIN = int(os.environ.get("THIN") or 1)


class Gate:
    """Counts, complaints and the cells of a table {row: {column: text}}."""

    def __init__(self):
        self.cases = self.wrong = 0
        self.table = {}

    def expect(self, holds, where, complaint):
        if not holds:
            self.wrong += 1
            print(f"{where}: {complaint}", flush=True)
        return holds

    def put(self, row, column, text):
        self.table.setdefault(row, {})[column] = text

    def print_table(self, first, columns):
        print(f"\n| {first} | {' | '.join(columns)} |")
        print("|---" * (1 + len(columns)) + "|")
        for row, cells in self.table.items():
            print(f"| {row} | {' | '.join(cells.get(c, '') for c in columns)} |")
        print(flush=True)


# What a report says


def place(o):
    return o["part"], o["layer"]


def text_of(places):
    return ", ".join(p if i is None else f"{p or 'states'} {i}" for p, i in sorted(places, key=str)) or "nothing"


def faults_found(found, variant):
    return {place(f) for f in found.report["faults"] if f["activations"] == variant}


def faults_measured(found, variant):
    """Those of parts; the others are of states that the packed model computes with experts of its own choice."""
    return {place(f) for f in found.report["faults"] if f["activations"] == variant and f["distance"] is not None}


def faults_by_rule(parts):
    """The parts that are at fault by their numbers, whatever the report makes of them."""
    return {
        place(p)
        for p in parts
        if (p["distance"] > 0 if p["claim"] == "definition" else p["error"] > MARGIN * p["ideal_error"])
    }


def order_of(subject, parts):
    """Whether the parts are all there, in the order of computing."""
    layers = [
        (part, i)
        for i in range(subject.layers)
        for part in ("attention", "router", "mlp")
        if part != "router" or i in subject.choices(LENGTH)
    ]
    return [place(p) for p in parts] == [("embedding", None), *layers, ("head", None)]


def check_report(gate, where, subject, found):
    """What holds for every report: complete, and consistent with itself."""
    if not gate.expect(found.report.get("faults") is not None, where, f"no faults in the report: {found.messages}"):
        return False
    for v in found.variants():
        named, own = faults_measured(found, v["activations"]), faults_by_rule(v["parts"])
        gate.expect(order_of(subject, v["parts"]), where, "parts are missing or out of order")
        gate.expect(named == own, where, f"{v['activations']}: names {text_of(named)}, numbers say {text_of(own)}")
    expected = 6 if found.report["faults"] else 0
    return gate.expect(found.status == expected, where, f"exit status {found.status}, expected {expected}")


# Faults in files that claim to be their definition


def try_fault(gate, subject, good, fault, length=LENGTH):
    """The report, after checks that hold for every fault: the plant itself, and the parts that are named."""
    where = f"{subject.name}: {fault.what}"
    bad = subject.path("bad.octavo")
    with open(bad, "wb") as f:
        f.write(plant(good, *fault.plant))
    gate.cases += 1
    wrong = subject.wrong_tensors(bad)
    gate.expect(wrong == fault.tensors, where, f"planted in {sorted(fault.tensors)}, weights differ in {wrong}")
    found = subject.verify(bad, length, 1)
    if not check_report(gate, where, subject, found):
        return None
    for variant in VARIANTS:
        named = faults_found(found, variant)
        gate.expect(named == fault.parts, where, f"{variant}: found in {text_of(named)}")
    return found


def smallest_distance(found, fault):
    """Of the parts that are at fault; 0 if none should be."""
    own = [p["distance"] for v in found.variants() for p in v["parts"] if place(p) in fault.parts]
    return min(own, default=0)


def kind_of(fault):
    """A row of the table: the fault without its layer, the number of its expert or its part."""
    return fault.what.split(" (")[0].replace(" of expert", " of an expert").rstrip("0123456789 ")


def try_model(gate, subject):
    packed = subject.convert()
    with open(packed, "rb") as f:
        good = f.read()
    smallest = {}
    for fault in faults_of(subject, subject.choices(LENGTH))[::THIN]:
        found = try_fault(gate, subject, good, fault)
        distance = smallest_distance(found, fault) if found else float("nan")
        kind = kind_of(fault)
        smallest[kind] = min(distance, smallest.get(kind, distance))
    for kind, distance in smallest.items():
        gate.put(kind, subject.name, f"{distance:.2g}" if distance else "not found")
    try_rare_experts(gate, subject, good, packed)


def used_of(subject, packed, length):
    """Experts by layer: that the source chooses; and that the packed model chooses in each of its variants."""
    return used_experts(subject.choices(length)), [used_experts(subject.choices(length, packed, v)) for v in VARIANTS]


def try_rare_experts(gate, subject, good, packed):
    """Experts that no model chooses for the first tokens, and experts that only the packed model chooses."""
    experts = subject.config.get("num_experts") or 0
    tried = set()
    for length in range(LENGTH, 0, -1) if experts else ():
        own, variants = used_of(subject, packed, length)
        left = unchosen({i: own[i].union(*(v[i] for v in variants)) for i in own}, experts)
        if left and "left" not in tried:
            tried.add("left")
            try_unchosen(gate, subject, good, length, left, own)
        only = [(i, e) for i in sorted(own) for e in set.intersection(*(v[i] for v in variants)) - own[i]]
        if only and "only" not in tried:
            tried.add("only")
            fault = fault_of_expert(*only[0], "only the packed model chose", [(None, only[0][0])])
            found = try_fault(gate, subject, good, fault, length)
            gate.put("row of an expert that only the packed model chose", subject.name, "found" if found else "?")


def try_unchosen(gate, subject, good, length, left, used):
    """A fault is not found, and the report says that the expert was not used."""
    fault = fault_of_expert(*left, "no token chose", [])
    found = try_fault(gate, subject, good, fault, length)
    if found:
        check_coverage(gate, subject, fault, found, left[0], len(used[left[0]]))


def check_coverage(gate, subject, fault, found, layer, expected):
    said, experts = found.report["forward"]["coverage"]["layers"][layer], subject.config["num_experts"]
    gate.expect(said == expected, f"{subject.name}: {fault.what}", f"{said} experts used, not {expected}")
    gate.put("row of an expert that no token chose", subject.name, f"not found, {said} of {experts} used")


def run_faults(gate, names, scratch):
    for subject in subjects(names, scratch):
        try_model(gate, subject)
    gate.print_table("fault", names)


# FP8 that other rules have made


def worst_ratio(found, parts=None):
    """The largest error of a part with FP8, compared with the ideal's."""
    return max(
        p["error"] / p["ideal_error"]
        for v in found.variants()
        for p in v["parts"]
        if p["claim"] == "other" and p["ideal_error"] > 0 and (parts is None or place(p) in parts)
    )


def try_rule(gate, subject, rule, quantized):
    """Codes of another rule: octavo must carry them, and judge them by their error alone."""
    directory = subject.path("foreign")
    rounding.write(subject.source, rule, quantized, directory)
    packed = subject.convert(source=directory, name="foreign.octavo")
    shutil.rmtree(directory)
    where = f"{subject.name}: {rule}"
    found = subject.verify(packed, LENGTH, 1)
    gate.cases += 1
    if not check_report(gate, where, subject, found):
        return None
    what, *_, passes = rounding.RULES[rule]
    gate.expect(passes is None or (found.status == 0) == passes, where, f"exit status {found.status}; {what}")
    others = {place(p) for p in found.variants()[0]["parts"] if p["claim"] == "other"}
    coded = {(part, i) for i in range(subject.layers) for part in ("attention", "mlp")}
    gate.expect(others == coded, where, f"of another rule: {text_of(others)}")
    gate.put(f"{rule}: {what}", subject.name, f"{worst_ratio(found):.3f}{'' if found.status == 0 else ' found'}")
    return packed


def try_foreign_fault(gate, subject, good, fault):
    """Whether it is found, and by how much the error grows; a part that is kept is found as ever."""
    where = f"{subject.name}: codes of another rule: {fault.what}"
    bad = subject.path("bad.octavo")
    with open(bad, "wb") as f:
        f.write(plant(good, *fault.plant))
    found = subject.verify(bad, LENGTH, 1)
    gate.cases += 1
    if not check_report(gate, where, subject, found):
        return None
    for variant in VARIANTS:
        named = faults_found(found, variant)
        gate.expect(named <= fault.parts, where, f"{variant}: found in {text_of(named)}")
    parts = {p for p in fault.parts if p[0] in ("attention", "mlp")}
    seen = min(len(faults_found(found, v) & fault.parts) for v in VARIANTS)
    return seen > 0, worst_ratio(found, parts) if parts else float("inf")


def try_foreign_faults(gate, subject, packed):
    with open(packed, "rb") as f:
        good = f.read()
    kinds = {}
    for fault in faults_of(subject, subject.choices(LENGTH))[::THIN]:
        result = try_foreign_fault(gate, subject, good, fault)
        if result:
            kinds.setdefault(kind_of(fault), []).append(result)
    for kind, results in kinds.items():
        seen, least = sum(s for s, _ in results), min(r for _, r in results)
        ratio = "" if least == float("inf") else f", {least:.3f}"
        gate.put(kind, subject.name, f"{seen} of {len(results)}{ratio}")


def run_rounding(gate, names, scratch):
    faulty = Gate()
    for subject in subjects(names, scratch):
        quantized = subject.quantized()
        for rule in list(rounding.RULES)[::THIN]:
            packed = try_rule(gate, subject, rule, quantized)
            if packed and rule == FAULTY_RULE:
                try_foreign_faults(faulty, subject, packed)
    gate.print_table("rule: largest error / ideal error", names)
    print(f"Faults in codes of the rule {FAULTY_RULE}: found, of how many; the least error / ideal error of the part")
    faulty.print_table("fault", names)
    gate.cases += faulty.cases
    gate.wrong += faulty.wrong


# Files without a fault


def try_alarm(gate, subject, packed, scales, length, sequences, weights=False):
    where = f"{subject.name}, {scales} scales, {sequences} x {length} tokens{', all checks' * weights}"
    found = subject.verify(packed, length, sequences, weights)
    gate.cases += 1
    if check_report(gate, where, subject, found):
        gate.expect(found.status == 0, where, f"an alarm: {found.report['faults']}")


def run_alarms(gate, names, scratch):
    for subject in subjects(names, scratch):
        start, before, alarms = time.monotonic(), gate.cases, gate.wrong
        for scales in SCALES:
            packed = subject.convert("--scales", scales, "--requantize")
            for length, sequences in list(itertools.product((64, 128, 512), (1, 2, 8)))[::THIN]:
                try_alarm(gate, subject, packed, scales, length, sequences)
            try_alarm(gate, subject, packed, scales, 64, 2, weights=True)
        gate.put(subject.name, "cases", str(gate.cases - before))
        gate.put(subject.name, "alarms", str(gate.wrong - alarms))
        gate.put(subject.name, "seconds", f"{time.monotonic() - start:.0f}")
    gate.print_table("model", ("cases", "alarms", "seconds"))


FAULTY_RULE = "bf16"
COMMANDS = {"faults": run_faults, "rounding": run_rounding, "alarms": run_alarms}


def main():
    command, *names = sys.argv[1:]
    gate, start = Gate(), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        COMMANDS[command](gate, names or TRIED[command], scratch)
    print(f"gate {command}: {gate.cases} cases, {gate.wrong} wrong", flush=True)
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return 1 if gate.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
