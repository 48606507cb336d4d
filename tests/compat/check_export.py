#!/usr/bin/python3
"""Whether an exported directory is what its runtime reads and what its source was.

    check_export.py SOURCE EXPORT PRESET

Knows spec/export.md and what runtimes read (matching.py), and nothing of octavo: it compares two
directories. Prints a line for every fault; exit status 1 if there is one.

check(SOURCE, EXPORT, PRESET) returns the lines.
"""

import json
import os
import re
import sys

import numpy as np

import fp8_values as v
import json_tokens
import matching

# Files that describe a quantization to some loader.
SECOND = (
    "hf_quant_config.json",
    "quantize_config.json",
    "quant_config.json",
    "quantization_config.json",
)
# Parts of other methods, which no configuration of an export describes.
FOREIGN = re.compile(
    r"\.(weight_packed|weight_shape|qweight|qzeros|g_idx|W_q|SCB|weight_format|weight_scale_2|"
    r"weight_global_scale|input_global_scale|input_scale|qscale_act|qscale_weight|scale_weight)$"
    r"|\.(absmax|quant_map)$|\.quant_state\.|\.weight\._(data|scale)$|^scaled_fp8$"
)
STACKED = re.compile(r"_(blocks|scales)$")
WIDE = ("BF16", "F16", "F32", "F64")
INDEX = "model.safetensors.index.json"
TILE = 128


class Faults(list):
    def unless(self, holds, text):
        if not holds:
            self.append(text)
        return holds


def check(source, exported, preset):
    faults = Faults()
    ours, theirs = v.read(exported), v.read(source)
    check_index(faults, exported, ours)
    check_files(faults, source, exported)
    found = check_config(faults, source, exported)
    block = find_blocks(load(source, "config.json"))
    codes = [n for n, t in ours.items() if is_weight(n, t) and t.dtype == v.FP8]
    scales = {}
    if preset == "bf16":
        faults.unless(found is None, "bf16, but there is a quantization_config")
        faults.unless(not codes, f"bf16, but {codes[:1]} are FP8")
        codes = []
    elif faults.unless(bool(codes) == bool(found), "config and FP8 tensors contradict each other"):
        scales = check_scales(faults, ours, codes, found or {}, preset)
        if codes:
            check_list(faults, ours, codes, scales, found, preset)
    check_account(faults, theirs, ours, scales)
    for name in sorted(set(theirs) & set(ours) - set(scales.values())):
        if faults.unless(ours[name].shape == theirs[name].shape, f"{name}: shape"):
            check_values(faults, name, theirs, ours, block, scales)
    return list(faults)


def is_weight(name, t):
    scale = name.endswith(("_scale", "_scale_inv", ".scale"))
    return len(t.shape) in (2, 3) and not scale and min(t.shape) > 0


def load(directory, name):
    with open(os.path.join(directory, name), encoding="utf-8") as f:
        return json.load(f)


# Files and config


def check_index(faults, exported, ours):
    index = load(exported, INDEX)
    on_disk = {n for n in os.listdir(exported) if n.endswith(".safetensors")}
    faults.unless(
        set(index["weight_map"].values()) == on_disk, "index: other shards than there are"
    )
    faults.unless(set(index["weight_map"]) == set(ours), "index: other tensors than there are")
    total = sum(len(t.data) for t in ours.values())
    faults.unless(index["metadata"]["total_size"] == total, "index: total_size")


def check_files(faults, source, exported):
    for folder, _, names in os.walk(exported):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), exported)
            faults.unless(path not in SECOND, f"{path}: a second description")
            own = name.endswith(".safetensors") or path in (
                "config.json",
                INDEX,
                "octavo-export.json",
            )
            before = os.path.join(source, path)
            if own or not faults.unless(os.path.exists(before), f"{path}: not in the source"):
                continue
            with open(before, "rb") as a, open(os.path.join(exported, path), "rb") as b:
                faults.unless(a.read() == b.read(), f"{path}: differs from the source")


def descriptions(value, path=()):
    """Paths of every member called quantization_config or compression_config, unless it is null."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("quantization_config", "compression_config") and inner is not None:
                yield (*path, key)
            yield from descriptions(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from descriptions(inner, (*path, i))


def find_blocks(config):
    for path in descriptions(config):
        inner = config
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict) and inner.get("weight_block_size"):
            return inner["weight_block_size"]
    return None


def check_config(faults, source, exported):
    """Everything is as in the source except the description; returns that, or None."""
    config = load(exported, "config.json")
    for path in descriptions(config):
        faults.unless(path == ("quantization_config",), f"config.json: {'.'.join(map(str, path))}")
    texts = []
    for directory in (source, exported):
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
            texts.append(f.read())
    same = json_tokens.without_descriptions(texts[0]) == json_tokens.without_descriptions(texts[1])
    faults.unless(same, "config.json: changed outside the description")
    if not json_tokens.has_descriptions(texts[0]):
        kept = texts[0][: texts[0].rindex("}")].rstrip()
        faults.unless(texts[1].startswith(kept), "config.json: not byte for byte the source's")
    return config.get("quantization_config")


# FP8


def check_scales(faults, ours, codes, found, preset):
    """Every FP8 tensor has scales of the right name, shape and dtype; returns {weight: scales}."""
    suffix = matching.RUNTIMES[preset][2]
    scales = {}
    for name in codes:
        t, scale = ours[name], ours.get(name + suffix)
        if not faults.unless(scale is not None, f"{name}: no {name + suffix}"):
            continue
        scales[name] = name + suffix
        grid = (*t.shape[:-2], -(-t.shape[-2] // TILE), -(-t.shape[-1] // TILE))
        faults.unless(scale.shape == grid, f"{name}: scales of shape {scale.shape}, not {grid}")
        dtypes = (
            ("BF16", "F16", "F32") if preset == "compressed-tensors" else (*WIDE[:3], "F8_E8M0")
        )
        faults.unless(scale.dtype in dtypes, f"{name}: scales in {scale.dtype}")
    if not codes:
        return scales
    if preset == "compressed-tensors":
        weights = found["config_groups"]["group_0"]["weights"]
        faults.unless(weights["block_structure"] == [TILE, TILE], "config: block_structure")
        faults.unless(found["quant_method"] == "compressed-tensors", "config: quant_method")
        return scales
    faults.unless(found.get("quant_method") == "fp8", "config: quant_method")
    faults.unless(found.get("weight_block_size") == [TILE, TILE], "config: weight_block_size")
    faults.unless(found.get("activation_scheme") == "dynamic", "config: activation_scheme")
    powers = all(are_powers(v.numbers(ours[s])) for s in scales.values())
    if found.get("scale_fmt") == "ue8m0":
        faults.unless(powers, "config: ue8m0, but there are other scales")
    return scales


def are_powers(x):
    return bool(np.all(np.frexp(x)[0] == 0.5))


def check_list(faults, ours, codes, scales, found, preset):
    """The list leaves out no FP8 module, and every matrix that is not FP8."""
    key, rule, _ = matching.RUNTIMES[preset]
    ignored = found.get(key, [])
    for other in ("ignored_layers", "modules_to_not_convert", "ignore"):
        faults.unless(other == key or other not in found, f"config: {other} besides {key}")
    for name in codes:
        module = matching.module_of(name)
        faults.unless(not rule(module, ignored), f"{name}: FP8, but the list leaves it out")
        faults.unless(
            not matching.is_never_fp8(module, preset, ours),
            f"{name}: FP8, which {preset} never reads",
        )
    for name in sorted(set(ours) - set(scales.values())):
        t, module = ours[name], matching.module_of(name)
        linear = len(t.shape) == 2 and name.endswith(".weight")
        linear |= len(t.shape) == 3 and t.dtype in WIDE and bool(matching.EXPERT.match(module))
        if not linear or t.dtype == v.FP8 or matching.is_never_fp8(module, preset, ours):
            continue
        listed = rule(module, ignored) or rule(ring_name(module, ours), ignored)
        faults.unless(listed, f"{name}: not FP8, and not in the list")


def ring_name(module, ours):
    """What SGLang calls a module of Ring-linear (spec/export.md section 5)."""
    before, _, last = module.rpartition(".")
    gated = f"{before}.g_proj.weight" in ours
    names = {"query_key_value": "qkv_proj", "g_proj": "output_gate"}
    names["dense"] = "out_proj" if gated else "o_proj"
    return f"{before}.{names.get(last, last)}".replace(".mlp.", ".")


# Tensors


def check_account(faults, theirs, ours, scales):
    """Nothing is lost except scales of the source; nothing is added except ours."""
    own = set(scales.values())
    parts = {s for n, t in theirs.items() if t.dtype == v.FP8 for s in v.scale_names(n)}
    for name in theirs:
        part = name in parts or name.rpartition(".")[2] in v.ACTIVATION or name == "scaled_fp8"
        faults.unless(name in ours or part, f"{name}: lost")
    for name, t in ours.items():
        faults.unless(name in theirs or name in own, f"{name}: not in the source")
        left = bool(FOREIGN.search(name)) or name in parts
        left |= t.dtype.startswith(("F8_", "F6_", "F4")) and len(t.data) > 0 and name not in scales
        left |= bool(STACKED.search(name)) and t.dtype not in WIDE
        faults.unless(name in own or not left, f"{name}: nothing describes it")
        if is_weight(name, t) and name.endswith(".weight"):
            faults.unless(t.dtype in (*WIDE, v.FP8), f"{name}: {t.dtype}, which nothing describes")


def check_values(faults, name, theirs, ours, block, scales):
    a, b = theirs[name], ours[name]
    if (a.dtype, a.data) == (b.dtype, b.data) and name not in scales:
        faults.unless(a.dtype != v.FP8 or not is_weight(name, a), f"{name}: FP8 without scales")
        return
    if a.dtype not in (*WIDE, v.FP8) or not is_weight(name, a):
        faults.append(f"{name}: {a.dtype} became {b.dtype}, or its bytes changed")
        return
    try:
        check_numbers(faults, name, theirs, ours, block, scales)
    except ValueError as e:
        faults.append(f"{name}: {e}")


def check_numbers(faults, name, theirs, ours, block, scales):
    """A matrix in another form, or with other scales."""
    a, b = theirs[name], ours[name]
    before = v.values(name, theirs, block)
    after = v.values(name, ours)
    if a.dtype == v.FP8 and b.dtype == v.FP8 and a.data == b.data:
        theirs_scale = theirs[v.scales_of(name, theirs)]
        if theirs_scale.shape == ours[scales[name]].shape:
            same = np.array_equal(before, after)
            faults.unless(same, f"{name}: the same codes with other scales")
            return
    if a.dtype == v.FP8 and b.dtype == "BF16" and b.data == v.to_bf16(before):
        return  # dequantized, exactly
    # A code is off by half a unit in its last place at most, and the scale is at most twice the smallest.
    bound = np.abs(before) * (2.0**-4 + 2.0**-8) + v.largest_of_tiles(before) * (2 / 448 * 2.0**-9)
    worst = np.abs(before - after) - bound
    faults.unless(
        not np.any(worst > 0), f"{name}: values differ, by {np.nanmax(np.abs(before - after))}"
    )
    faults.unless(np.array_equal(np.isnan(before), np.isnan(after)), f"{name}: NaN")


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    faults = check(*sys.argv[1:])
    print(*faults, sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
