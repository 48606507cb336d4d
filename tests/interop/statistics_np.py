#!/usr/bin/python3
"""Statistics of a forward report, computed again from its positions (spec/forward.md sections 8, 8.1, 8.2).

    statistics_np.py REPORT.json                     of octavo verify --forward --json: every bit must agree
    statistics_np.py REPORT.json NAME OTHER.json     also what REPORT says of the file of OTHER, which was run over the same
                                                     text: NAME is "ideal" or "versus"

Written from the specification. Shares nothing with the program: random numbers are Python's integers, exp
is exact fractions that are rounded, sums are numpy's cumsum, which adds one number after the other.
"""

import json
import math
import sys
from fractions import Fraction

import numpy as np

RESAMPLES = 2000
MASK = 2**64 - 1
LN2_HIGH, LN2_LOW = "0x1.62e42fefa38p-1", "0x1.ef35793c7673p-45"
EXP = """0x1.1eed8eff8d898p-29 0x1.ae64567f544e4p-26 0x1.27e4fb7789f5cp-22 0x1.71de3a556c734p-19
    0x1.a01a01a01a01ap-16 0x1.a01a01a01a01ap-13 0x1.6c16c16c16c17p-10 0x1.1111111111111p-7 0x1.5555555555555p-5
    0x1.5555555555555p-3 0x1p-1 0x1p0 0x1p0"""


def fma(a, b, c):
    """Rounded once, because the division of integers is."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def exp(x):
    n = fma(x, float.fromhex("0x1.71547652b82fep0"), 1.5 * 2.0**52) - 1.5 * 2.0**52
    r = fma(n, -float.fromhex(LN2_HIGH), x)
    r = fma(n, -float.fromhex(LN2_LOW), r)
    p = float.fromhex("0x1.6124613a86d09p-33")
    for c in EXP.split():
        p = fma(p, r, float.fromhex(c))
    return math.ldexp(p, int(n))


def total(x):
    return float(np.cumsum(x)[-1])


def draws(n):
    """All indices of all resamples, [2000, n]."""
    state, found = 0, []
    for _ in range(RESAMPLES * n):
        state = u = (state + 0x9E3779B97F4A7C15) & MASK
        u = ((u ^ (u >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        u = ((u ^ (u >> 27)) * 0x94D049BB133111EB) & MASK
        found.append((u ^ (u >> 31)) * n >> 64)
    return np.array(found).reshape(RESAMPLES, n)


def interval(x):
    """mean, standard error, low, high; None where there is none."""
    x = np.array(x, dtype=np.float64)
    if len(x) < 2:
        return (float(x[0]) if len(x) else None), None, None, None
    d = x - x[0]
    mean = total(d) / len(x)
    error = math.sqrt(total((d - mean) ** 2) / (len(x) - 1)) / math.sqrt(len(x))
    means = np.sort(x[0] + np.cumsum(d[draws(len(x))], axis=1)[:, -1] / len(x))
    return float(x[0]) + mean, error, float(means[49]), float(means[1949])


def rank(x, per_mille):
    return sorted(x)[-(-len(x) * per_mille // 1000) - 1]


def summary(positions, sequences, length):
    kl, top1 = np.array(positions["kl"]), np.array(positions["top1"], dtype=np.float64)
    # the last token of a sequence has no target
    source = np.array(positions["source_nll"]).reshape(sequences, length)[:, :-1].astype(np.float64)
    packed = np.array(positions["packed_nll"]).reshape(sequences, length)[:, :-1].astype(np.float64)
    by_sequence = {
        "kl": [total(row) / length for row in kl.reshape(sequences, length)],
        "top1": [total(row) / length for row in top1.reshape(sequences, length)],
        "perplexity_ratio": [total(row) / (length - 1) for row in packed - source],
    }
    perplexity = [exp(total(x.ravel()) / x.size) for x in (source, packed)]
    found = {
        "kl_mean": total(kl) / kl.size,
        "kl_standard_error": interval(by_sequence["kl"])[1],
        "kl_median": rank(kl, 500),
        "kl_p99": rank(kl, 990),
        "kl_p999": rank(kl, 999),
        "kl_max": max(kl),
        "top1": total(top1) / top1.size,
        "source_perplexity": perplexity[0],
        "packed_perplexity": perplexity[1],
        "perplexity_ratio": perplexity[1] / perplexity[0],
    }
    for name, x in by_sequence.items():
        ends = interval(x)[2:]
        if name == "perplexity_ratio" and ends[0] is not None:
            ends = tuple(exp(end) for end in ends)
        found[f"{name}_low"], found[f"{name}_high"] = ends
    return found


def sums(positions, name, sequences, length):
    x = [[0.0 if v is None else float(v) for v in positions[name][s * length : (s + 1) * length]] for s in range(sequences)]
    return np.array([total(row) for row in x])


def errors_allowed(n):
    """Standard errors that chance exceeds as rarely as 3 of very many values: Student's t, expanded in 1 / (n - 1)."""
    v = float(n - 1)
    return 3 + 7.5 / v + 17.25 / v**2 + 30.1875 / v**3


def paired(a, b, sequences, length):
    """The differences of two files, flat: "kl mean", ... Less divergence wins."""
    found = {}
    for name, key, count, worse in (("kl", "kl", length, 1), ("top1", "top1", length, -1), ("nll", "packed_nll", length - 1, 1)):
        x, y = (sums(p, key, sequences, length) for p in (a, b))
        values = interval((x - y) / count)
        found |= {f"{name} {what}": v for what, v in zip(("mean", "standard_error", "low", "high"), values)}
        found[f"{name} judged"] = sequences >= 8
        found[f"{name} worse"] = sequences >= 8 and values[1] != 0 and worse * values[0] > errors_allowed(sequences) * values[1]
        if name == "kl":
            found |= {"wins": int((x < y).sum()), "losses": int((x > y).sum())}
    return found | {"sequences": sequences}


def flat(tree):
    """The names of members after each other."""
    return {f"{k} {m}" if m else k: w for k, v in tree.items() for m, w in (v.items() if isinstance(v, dict) else [("", v)])}


def agree(what, reported, expected):
    """Print one line, or one for each difference; return whether all agree."""
    wrong = [name for name, value in expected.items() if reported[name] != value]
    for name in wrong:
        print(f"{what}: {name}: reported {reported[name]!r}, expected {expected[name]!r}")
    if not wrong:
        print(f"{what}: {len(expected)} numbers agree")
    return not wrong


def check(report):
    shape = report["sequences"], report["length"]
    for v in report["variants"]:
        yield agree(f"{v['activations']}, {shape[0]} x {shape[1]}", v["summary"], summary(v["positions"], *shape))


def check_pair(report, name, other):
    shape = report["sequences"], report["length"]
    for a, b in zip(report["variants"], other["variants"]):
        # the other run knows no ideal file, and of experts only what its own says
        alone = {k: v for k, v in b["summary"].items() if k not in ("kl_choice", "kl_routing")}
        yield agree(f"{a['activations']}, {name} alone", a[name], alone)
        pair = a["paired" if name == "ideal" else "versus_paired"]
        what = f"{a['activations']}, difference, nearer in {pair['wins']}, farther in {pair['losses']}"
        yield agree(what, flat(pair), paired(a["positions"], b["positions"], *shape))


def main():
    reports = []
    for path in sys.argv[1:2] + sys.argv[3:4]:
        with open(path, encoding="utf-8") as f:
            reports.append(json.load(f)["forward"])
    agreed = list(check(reports[0]))
    if len(reports) == 2:
        agreed += check_pair(reports[0], sys.argv[2], reports[1])
    sys.exit(0 if agreed and all(agreed) else 1)


if __name__ == "__main__":
    main()
