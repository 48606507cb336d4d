#!/usr/bin/env python3
"""Exports --for compressed-tensors, decompressed by the compressed-tensors package, on a CPU.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.17.0 compressed-tensors==0.20.0 accelerate
    OCTAVO=build/octavo venv/bin/python tests/interop/engines/decompress_ct.py CHECKPOINT...

Run by hand, not by `make test`, because torch is large. Each checkpoint is converted with --scales ue8m0
and exported. (Experts in three dimensions are not FP8 there.) Then the package reads
quantization_config, finds by its own matching which modules have FP8 weights (which must be those with
codes in the export) and that the scheme is its preset FP8_BLOCK, and decompresses all of them.
Every weight must equal that of `export --for bf16`, and bf16(fl32(code * scale)) computed by numpy, to
the last bit. If transformers knows the architecture, it also tries to load the export, and should give
the logits of the bf16 export; it does not load experts with tiles. Finally, its emulation of FP8
activations is compared with ours.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
import w8a8
from compressed_tensors.compressors import ModelCompressor
from compressed_tensors.quantization import (
    QuantizationConfig,
    apply_quantization_config,
    disable_quantization,
    enable_quantization,
)
from compressed_tensors.quantization.quant_scheme import PRESET_SCHEMES
from loguru import logger
from safetensors import safe_open

OCTAVO = os.environ.get("OCTAVO", "build/octavo")
TILE = 128


def octavo(*arguments):
    subprocess.run([OCTAVO, *arguments, "-q"], check=True)


def make_exports(checkpoint, scratch):
    """(compressed, bf16): two exports of one packed file."""
    packed = os.path.join(scratch, "packed.octavo")
    octavo("convert", checkpoint, "-o", packed, "--scales", "ue8m0")
    out = []
    for runtime in ("compressed-tensors", "bf16"):
        out.append(os.path.join(scratch, runtime))
        octavo("export", packed, "-o", out[-1], "--for", runtime, "--dequantize", "--allow-unloadable")
    return out


def read_tensors(directory):
    tensors = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(directory, name), "pt") as f:
                for key in f.keys():
                    tensors[key] = f.get_tensor(key)
    return tensors


# A module for every weight, as in an engine


class Router(torch.nn.Module):
    """Routers that correct their scores are a separate class in every engine."""


def module_for(name, weight, tensors):
    if "embed" in name:
        return torch.nn.Embedding(*weight.shape, device="meta")
    if any(f"{name}.{end}" in tensors for end in ("expert_bias", "e_score_correction_bias")):
        return Router()
    rows, cols = weight.shape
    return torch.nn.Linear(cols, rows, bias=False, device="meta")


def build_tree(tensors):
    root = torch.nn.Module()
    for key, tensor in tensors.items():
        name = key.removesuffix(".weight")
        if name == key or tensor.dim() != 2:
            continue
        *parents, last = name.split(".")
        module = root
        for part in parents:
            if not hasattr(module, part):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.add_module(last, module_for(name, tensor, tensors))
    return root


def fill(root, tensors):
    """The package must allocate a scale like that of the export."""
    for name, module in root.named_modules():
        for end in ("weight", "weight_scale"):
            value = tensors.get(f"{name}.{end}")
            slot = getattr(module, end, None)
            if value is not None and slot is not None:
                assert slot.shape == value.shape, (name, end, slot.shape, value.shape)
                setattr(module, end, torch.nn.Parameter(value, requires_grad=False))


def product(codes, scale):
    """bf16(fl32(code * scale)), ties to even, in numpy."""
    values = codes.float().numpy()
    rows, cols = values.shape
    spread = np.repeat(np.repeat(scale.float().numpy(), TILE, 0), TILE, 1)[:rows, :cols]
    bits = (values * spread).view(np.uint32).astype(np.uint64)
    return (bits + 0x7FFF + (bits >> 16 & 1) >> 16).astype(np.uint16)


def bits_of(tensor):
    assert tensor.dtype == torch.bfloat16, tensor.dtype
    return tensor.contiguous().view(torch.int16).numpy().view(np.uint16)


def check_preset(scheme):
    preset = PRESET_SCHEMES["FP8_BLOCK"]
    for part, expected in preset.items():
        found = getattr(scheme, part).model_dump(exclude_unset=True)
        whole = expected.model_dump()
        assert all(whole[key] == value for key, value in found.items()), (part, found, whole)
        for key in ("num_bits", "type", "strategy", "symmetric", "dynamic"):
            assert getattr(getattr(scheme, part), key) == getattr(expected, key), (part, key)
    assert scheme.weights.block_structure == preset["weights"].block_structure
    assert scheme.input_activations.group_size == preset["input_activations"].group_size


def check_decompress(directory, plain):
    """The number of weights that the package decompressed to the right bits."""
    with open(os.path.join(directory, "config.json"), "rb") as f:
        config = QuantizationConfig.model_validate(json.load(f)["quantization_config"])
    tensors = read_tensors(directory)
    expected = read_tensors(plain)
    root = build_tree(tensors)
    apply_quantization_config(root, config, run_compressed=True)
    fp8 = {k.removesuffix(".weight") for k, t in tensors.items() if t.dtype == torch.float8_e4m3fn}
    matched = {n: m for n, m in root.named_modules() if hasattr(m, "quantization_scheme")}
    assert set(matched) == fp8, set(matched) ^ fp8
    for module in matched.values():
        check_preset(module.quantization_scheme)
    fill(root, tensors)
    ModelCompressor(quantization_config=config).decompress_model(root)
    for name, module in matched.items():
        found = bits_of(module.weight)
        wanted = product(tensors[name + ".weight"], tensors[name + ".weight_scale"])
        assert np.array_equal(found, wanted), name
        assert np.array_equal(found, bits_of(expected[name + ".weight"])), name
    others = {k for k in tensors if not k.endswith("_scale")} - {f"{n}.weight" for n in fp8}
    assert all(torch.equal(tensors[k], expected[k]) for k in others)
    return len(matched)


# The same through transformers


def load(directory, **options):
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=torch.bfloat16,
        attn_implementation="eager",
        output_loading_info=True,
        **options,
    )
    problems = {k: v for k, v in info.items() if v}
    assert not problems, problems
    return model.float()


def logits_of(model):
    ids = torch.arange(3, 3 + 2 * 48).reshape(2, 48) % model.config.vocab_size
    with torch.no_grad():
        return model(input_ids=ids).logits


def compare_emulations(model, plain, fp8):
    """It rounds activations by itself; reports the difference from w8a8.py."""
    if any(m.in_features % TILE for n, m in model.named_modules() if n in fp8):
        return "its emulation of activations refuses inputs that 128 does not divide"
    with w8a8.emulation(plain, fp8):
        ours = logits_of(plain)
    theirs = logits_of(model)
    rms = ((theirs - ours).norm() / ours.norm()).item()
    away = ((ours - logits_of(plain)).norm() / ours.norm()).item()
    return f"its W8A8 emulation: rms {rms:.1e} from ours (activations in FP8 change {away:.1e})"


def check_transformers(directory, plain):
    from transformers import CONFIG_MAPPING, CompressedTensorsConfig

    with open(os.path.join(directory, "config.json"), "rb") as f:
        model_type = json.load(f)["model_type"]
    if model_type not in CONFIG_MAPPING:
        return f"transformers: not tried, it does not know {model_type}"
    try:
        model = load(directory, quantization_config=CompressedTensorsConfig(dequantize=True))
    except Exception as e:  # any exception is reported
        return f"transformers: REFUSES it: {type(e).__name__}: {str(e).strip()[:80]}"
    plain = load(plain)
    fp8 = {n for n, m in model.named_modules() if hasattr(m, "quantization_scheme")}
    model.apply(disable_quantization)
    same = "ARE" if torch.equal(logits_of(model), logits_of(plain)) else "ARE NOT"
    model.apply(enable_quantization)
    emulations = compare_emulations(model, plain, fp8)
    return f"transformers: loads it, logits {same} those of the bf16 export; {emulations}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    # It warns about every matrix whose dimensions are not multiples of 128, and continues with clipped tiles.
    logger.disable("compressed_tensors")
    for checkpoint in parser.parse_args().checkpoints:
        with tempfile.TemporaryDirectory() as scratch:
            directory, plain = make_exports(checkpoint, scratch)
            count = check_decompress(directory, plain)
            line = check_transformers(directory, plain)
        name = os.path.basename(checkpoint.rstrip("/"))
        print(f"{name}: {count} weights decompressed, all bits right; {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
