"""The built-in rules of spec/quant.md section 6: which tensors are quantized, and why the others are not.

The lists and the table of kinds are read from that page, so that page and program cannot disagree.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import packed_format as pf

QUANTIZABLE = ("BF16", "F16", "F32")
FP8 = ("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")
PAGE = Path(__file__).resolve().parent.parent.parent / "spec" / "quant.md"


def words_of(text):
    """All words within backquotes."""
    return {word for quoted in re.findall(r"`([^`]*)`", text) for word in quoted.split()}


def between(text, start, end):
    first = text.index(start) + len(start)
    return text[first : text.index(end, first)]


@dataclass
class Kind:
    parent: str
    siblings: list  # of lists: one of each has to be there
    names: set
    reason: str


def read_kinds(text):
    kinds = []
    for line in text.splitlines():
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 5 and cells[3].startswith("`"):
            parent, siblings, names, reason = (c.strip("`") for c in cells[:4])
            needed = [word.split("\\|") for word in siblings.split()]
            kinds.append(Kind(parent, needed, set(names.split()), reason))
    return kinds


class Page:
    """What the page says."""

    def __init__(self):
        text = PAGE.read_text(encoding="utf-8")
        self.linear1 = words_of(between(text, "Known linear layers:", "\n\n"))
        set2 = between(text, "### Set 2", "Further rules")
        rows = [[c.strip() for c in line.split(" | ")] for line in set2.splitlines()]
        rows = [r for r in rows if len(r) == 2 and r[0].startswith("| ")]
        self.rows = {r[0].strip("| `"): words_of(r[1]) for r in rows}
        self.towers = words_of(between(set2, "Towers:", "\n\n"))
        self.kinds = read_kinds(set2)

    def of(self, reason):
        return self.rows[reason]


PAGE_READ = Page()


def split(name):
    """The name up to the module, its parent, and the module."""
    parts = name.split(".")
    if len(parts) > 1 and parts[-1] == "weight":
        parts.pop()
    return "".join(p + "." for p in parts[:-1]), parts[-2] if len(parts) > 1 else "", parts[-1]


def reason1(name, dtype, shape):
    if dtype in FP8:
        return "fp8"
    if dtype not in QUANTIZABLE:
        return "dtype"
    if not (len(shape) == 2 or len(shape) == 3 and "experts" in name.split(".")):
        return "shape"
    if not all(shape):
        return "empty"
    if pf.layer_of(name) is None:
        return "outside-layers"
    return "linear" if split(name)[2] in PAGE_READ.linear1 else "not-linear"


def kind_of(prefix, parent, module, names):
    for k in PAGE_READ.kinds:
        beside = all(
            any(prefix + s in names or prefix + s + ".weight" in names for s in one_of)
            for one_of in k.siblings
        )
        if module in k.names and k.parent in ("", parent) and beside:
            return k.reason
    return "not-linear"


def reason2(name, dtype, shape, names):
    """`names`: of all tensors of the model."""
    page, parts = PAGE_READ, name.split(".")
    prefix, parent, module = split(name)
    outside = pf.layer_of(name) is None
    tests = [
        ("fp8", dtype in FP8),
        ("dtype", dtype not in QUANTIZABLE),
        ("tower", page.towers & set(parts)),
        ("recurrence", module in page.of("recurrence")),
        ("vector", len(shape) < 2 or module.endswith(("bias", "norm")) or parent.endswith("norm")),
        ("convolution", "conv" in module),
        ("shape", len(shape) > 3),
        ("empty", not all(shape)),
        ("embedding", module in page.of("embedding")),
        ("head", module in page.of("head") - ({"output"} if not outside else set())),
        ("mtp", outside and any(p.startswith("mtp") for p in parts)),
        ("outside-layers", outside),
        ("router", "router" in parts),
    ]
    for reason, holds in tests:
        if holds:
            return reason
    kind = kind_of(prefix, parent, module, names)
    stacks = page.of("that of its kind") - {"linear", "experts"}
    if kind == "linear" and len(shape) == 3 and not ("experts" in parts or module in stacks):
        return "not-linear"
    return kind


def builtin_reason(rule_set, name, dtype, shape, names):
    """Why a tensor is kept, "linear" if it is quantized."""
    if rule_set == 1:
        return reason1(name, dtype, shape)
    return reason2(name, dtype, shape, names)


def is_linear_name(rule_set, name):
    """Is it the name of a linear layer within a layer, in some kind of module?"""
    module, page = split(name)[2], PAGE_READ
    known = page.linear1
    if rule_set != 1:
        known = set().union(*(k.names for k in page.kinds if k.reason == "linear"))
    tower = rule_set != 1 and page.towers & set(name.split("."))
    return pf.layer_of(name) is not None and module in known and not tower
