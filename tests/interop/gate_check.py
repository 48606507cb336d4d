#!/usr/bin/python3
"""Compare everything that `octavo verify --forward` reports of a packed file with gate_np.py: errors, ideal
errors and distances of parts, measures of states and logits, pairs, coverage, and which parts are at fault.

    OCTAVO=build/octavo gate_check.py SCRATCH_DIRECTORY [-v] [CASE...]

The models are ring-micro-linear and random ones; the files are as octavo writes them, with planted faults, or have
codes that another tool made. Without CASE: all. -v: how far apart both are, as a multiple of what is allowed.
"""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # faster for matrices this small
import numpy as np  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import forward_check  # noqa: E402
import gate_np as gate  # noqa: E402
import make_checkpoint  # noqa: E402
import packed_format as pf  # noqa: E402
import plant_fault  # noqa: E402
import quantizer_np as quantizer  # noqa: E402
import read_packed  # noqa: E402
import st_write  # noqa: E402
from checkpoint_np import Checkpoint, widen  # noqa: E402
from dialects_np import round_to  # noqa: E402

OCTAVO = os.environ.get("OCTAVO", "build/octavo")
MICRO = os.path.join(HERE, "..", "data", "ring-micro-linear")
SEQUENCES = 8
# What: (relative, absolute) difference that is allowed; the first that matches counts. octavo computes in float32,
# which changes an increment or a logit by a few 1e-7 of its size: on these models up to 4e-6 of an error above 0.001,
# 8e-5 of a position's KL above 0.001, 2.4e-5 of other measures of KL, 8e-7 of a mean log-probability. Small errors,
# small KL and differences of pairs are left of larger numbers, hence the absolute part. What is exactly 0 here must be
# exactly 0 there.
ALLOWED = {
    r"\.parts|\.layers": (1e-5, 1e-8),
    r"top[15]": (1e-12, 1e-12),
    r"paired\.kl": (1e-4, 1e-8),
    r"paired\.nll": (1e-4, 2e-6),
    r"positions": (2e-4, 5e-8),
    r"": (1e-4, 0),
}


@dataclass
class Case:
    name: str
    model: str  # one of forward_check.CASES, or "micro"
    options: list = field(default_factory=list)  # of convert
    fault: tuple = ()  # of plant_fault.py
    versus: list = None  # options of convert for a second file
    dtype: str = "bf16"  # of the source
    carried: bool = False  # codes by another rule, in a checkpoint of BF16 and FP8
    fp8: bool = False  # that checkpoint is the source
    length: int = 12  # of a sequence
    faults: list = field(default_factory=list)  # the parts at fault


# Most experts are chosen by no token, and a layer of multi-token prediction is never read.
MODELS = forward_check.CASES | {
    "many experts": ({"num_experts": 32, "num_nextn_predict_layers": 1}, "trained"),
}
UE8M0, DEEPGEMM = ["--scales", "ue8m0"], ["--dialect", "deepgemm"]
DENSE = "model.layers.2.attention.dense.weight"
SELDOM = "model.layers.1.mlp.experts.3.up_proj.weight"
EXPERT = "model.layers.3.mlp.experts.1.up_proj.weight"
CASES = [
    Case("as defined", "micro", versus=UE8M0),
    Case("powers of two", "softmax only, yarn", UE8M0, versus=[]),
    Case("heads of 40", "six heads of 40", versus=DEEPGEMM),
    Case("shares as they are", "shares as they are", DEEPGEMM, versus=UE8M0 + DEEPGEMM),
    Case("incomplete group", "incomplete group", UE8M0),
    Case("quantized head", "tied", ["--quantize", "*word_embeddings*"], versus=[]),
    Case("from float32", "no bias", dtype="f32", versus=UE8M0),
    Case("a scale", "micro", fault=("scale", DENSE), versus=[], faults=[("attention", 2)]),
    Case("a scale of an expert", "micro", UE8M0, fault=("scale", EXPERT), versus=[], faults=[("mlp", 3)]),
    Case("codes", "hybrid", fault=("rotate", DENSE), versus=[], faults=[("attention", 2)]),
    Case("rows of a router", "micro", fault=("exchange", "model.layers.1.mlp.gate.weight"), faults=[("router", 1)]),
    Case("a final norm", "one group", fault=("element", "model.norm.weight"), faults=[("head", None)]),
    Case("many experts", "many experts", versus=UE8M0, length=2),
    Case(
        "an expert that the source never chooses",
        "many experts",
        fault=("scale", SELDOM),
        length=2,
        faults=[(None, 1)],
    ),
    Case("carried", "micro", carried=True, versus=[], faults=[("attention", 1)]),
    Case("carried, from float32", "softmax only", dtype="f32", carried=True, faults=[("attention", 1)]),
    Case("quantized again", "micro", UE8M0 + ["--requantize"], fp8=True, versus=[]),
    Case("codes that were carried", "micro", fault=("rotate", DENSE), fp8=True, faults=[("attention", 2)]),
]


# Files


def source_of(case, directory):
    """(the directory of the source, the form of slopes)."""
    if case.model == "micro" and case.dtype == "bf16":
        return MICRO, "trained"
    change, slope = MODELS[case.model]
    with open(forward_check.MODELS, encoding="utf-8") as f:
        config = {**json.load(f), **change}
    config = {k: v for k, v in config.items() if v is not None or k == "rope_scaling"}
    make_checkpoint.write_checkpoint(
        directory, config, make_checkpoint.DTYPES[case.dtype][0], 3, 10 << 30
    )
    return directory, slope


def convert(source, path, options):
    subprocess.run([OCTAVO, "convert", source, "-o", path, "-q", *options], check=True)


def codes_toward_zero(x):
    """Codes and scales as a careless tool computes them."""
    scales = quantizer.tile_scales(np.abs(quantizer.cut(x)).max(axis=(2, 3)), "f32")
    magnitude = np.abs(x) / gate.spread(scales, x.shape)
    codes = np.searchsorted(quantizer.MAGNITUDES, magnitude, side="right") - 1
    return codes.astype(np.uint8) | np.signbit(x).astype(np.uint8) << 7, scales


def write_fp8(packed, source, directory):
    """The tensors that `packed` has quantized as FP8: those of attention in layer 1 toward zero, others to the nearest
    code."""
    checkpoint = Checkpoint(source)
    quantized = [n for r in packed.records if r["cls"] == pf.CODES for n in gate.members(r)]
    tensors = []
    for name, t in checkpoint.tensors.items():
        x = widen(t)
        if name not in quantized:
            x, dtype = (x, "F32") if x.ndim == 1 and t.dtype == "F32" else (to_bf16(x), "BF16")
            tensors.append((name, dtype, t.shape, x.tobytes()))
            continue
        careless = ".layers.1.attention." in name
        codes, scales = codes_toward_zero(x) if careless else quantizer.quantize_matrix(x, "f32")[:2]
        tensors.append((name, "F8_E4M3", t.shape, codes.tobytes()))
        tensors.append((name + "_scale_inv", "F32", scales.shape, scales.astype("<f4").tobytes()))
    os.mkdir(directory)
    st_write.write_file(os.path.join(directory, "model.safetensors"), tensors)
    block = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as f:
        json.dump({**checkpoint.config(), "quantization_config": block}, f)


def to_bf16(x):
    return (round_to("BF16", x).view(np.uint32) >> 16).astype("<u2")


def make_files(case, scratch):
    """The source, its slopes, the packed file and the one to compare it with or None."""
    source, slope = source_of(case, os.path.join(scratch, "source"))
    path, other = os.path.join(scratch, "packed.octavo"), None
    if case.carried or case.fp8:
        wide = os.path.join(scratch, "wide.octavo")
        convert(source, wide, [])
        write_fp8(read_packed.PackedFile(wide), source, os.path.join(scratch, "fp8"))
        source = os.path.join(scratch, "fp8") if case.fp8 else source
    convert(os.path.join(scratch, "fp8") if case.carried else source, path, case.options)
    if case.versus is not None:
        other = os.path.join(scratch, "versus.octavo")
        convert(source, other, case.versus)
    if case.fault:
        with open(path, "rb") as f:
            bad = plant_fault.plant(f.read(), *case.fault)
        with open(path, "wb") as f:
            f.write(bad)
    return source, slope, path, other


# What is expected


def subjects_of(weights, truth, config, slope, ids):
    """{name: Subject}; the same weights are computed once."""
    found = {}
    for name, own in weights.items():
        twin = [n for n in found if same_weights(weights[n], own)]
        side = None if twin else gate.Side(config, own, slope)
        found[name] = found[twin[0]] if twin else gate.Subject(side, truth, ids)
    return found


def same_weights(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def expected(ids, source, slope, path, other):
    checkpoint, packed = Checkpoint(source), read_packed.PackedFile(path)
    packed.check_all()
    config, tensors = checkpoint.config(), gate.source_tensors(checkpoint)
    truth = gate.follow(gate.Side(config, gate.source_weights(tensors), slope), ids)
    weights = {
        "packed": gate.packed_weights(packed),
        "ideal": gate.ideal_weights(packed, tensors),
    }
    if other:
        weights["versus"] = gate.packed_weights(read_packed.PackedFile(other))
    subjects = subjects_of(weights, truth, config, slope, ids)
    claims = gate.claimed(packed, tensors)
    defined = {step: names <= claims for step, names in subjects["packed"].reads.items()}
    parts = gate.parts(truth, subjects, defined)
    form = {"parts": parts, "layers": gate.layers_of(truth, subjects["packed"])}
    return {
        "form": form | of_logits(truth.logits, subjects, ids),
        "coverage": gate.coverage(packed, truth, config, subjects["packed"].read, ids),
        "faults": gate.faults(parts, subjects),
    }


def of_logits(z, subjects, ids):
    y = {name: s.own.logits for name, s in subjects.items()}
    found = {
        "summary": gate.summary(z, y["packed"], ids, subjects["packed"].chosen(ids)),
        "ideal": gate.summary(z, y["ideal"], ids),
        "versus": None,
        "paired": gate.paired(z, y["packed"], y["ideal"], ids),
        "versus_paired": None,
        "positions": {"kl": gate.divergence(z, y["packed"]).ravel().tolist()},
    }
    if "versus" in y:
        found["versus"] = gate.summary(z, y["versus"], ids)
        found["versus_paired"] = gate.paired(z, y["packed"], y["versus"], ids)
    return found


# Comparison


def distances(where, found, wanted):
    """(where, found, expected, difference as a multiple of what is allowed) of all numbers; infinity where
    other values or numbers that should be 0 differ."""
    if isinstance(wanted, dict):
        for key, value in wanted.items():
            yield from distances(f"{where}.{key}", found[key], value)
    elif isinstance(wanted, list):
        if len(wanted) != len(found):
            yield where, found, wanted, math.inf
        for i, (a, b) in enumerate(zip(found, wanted)):
            yield from distances(f"{where}[{i}]", a, b)
    elif isinstance(wanted, float) and isinstance(found, float) and wanted != 0:
        relative, absolute = next(v for k, v in ALLOWED.items() if re.search(k, where))
        yield where, found, wanted, abs(found - wanted) / (relative * abs(wanted) + absolute)
    else:
        yield where, found, wanted, 0 if found == wanted else math.inf


def verify(source, slope, path, other, ids, tokens):
    with open(tokens, "w", encoding="utf-8") as f:
        json.dump(ids.tolist(), f)
    command = [OCTAVO, "verify", path, "--against", source, "--only", "forward", "--json"]
    command += ["--slope", slope, "--tokens", tokens] + (["--versus", other] if other else [])
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout)


def check(case, scratch):
    """[(where, found, expected, difference)] of everything that is compared."""
    ids = np.random.default_rng(7).integers(0, 512, (SEQUENCES, case.length))
    files = make_files(case, scratch)
    wanted = expected(ids, *files)
    status, report = verify(*files, ids, os.path.join(scratch, "tokens.json"))
    if "forward" not in report:
        return [("exit status", status, report["error"], math.inf)]
    faults = [(p["part"], p["layer"]) for p in report["faults"]]
    found = list(distances("", report["forward"]["variants"][0], wanted["form"]))
    found += distances("coverage", report["forward"]["coverage"], wanted["coverage"])
    found += distances("faults", faults, wanted["faults"])
    found += distances("exit status", status, 6 if is_bad(wanted) else 0)
    found += distances("the oracle's faults", wanted["faults"], case.faults)
    return found


def is_bad(wanted):
    pairs = wanted["form"]["paired"]
    return bool(wanted["faults"]) or any(pairs[name]["worse"] for name in ("kl", "top1", "nll"))


def main():
    directory, *names = sys.argv[1:]
    verbose = "-v" in names
    names = [n for n in names if n != "-v"]
    cases = [c for c in CASES if not names or c.name in names]
    assert len(cases) >= len(names), names
    failed = 0
    for case in cases:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            found = sorted(check(case, scratch), key=lambda f: -f[3])
        wrong = [f for f in found if not f[3] <= 1]
        failed += bool(wrong)
        for where, ours, theirs, distance in found[:20] if verbose else wrong[:20]:
            print(f"{case.name}: {where}: {ours}, expected {theirs} ({distance:.2g})")
    print(f"gate: {len(cases) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
