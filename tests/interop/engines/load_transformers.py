#!/usr/bin/env python3
"""Exports --for hf, loaded by transformers through its fine-grained FP8 quantizer, on a GPU.

    tests/interop/engines/prepare.sh OUT CHECKPOINT...                   on the machine with octavo
    python3 tests/interop/engines/load_transformers.py OUT/*             on the machine with the GPU

Run by hand, not by `make test`. Needs torch, transformers (5.17 is what this was written for),
accelerate, safetensors and a GPU of compute capability 8.9 or later; no network. CHECKPOINTs have a
golden.safetensors with input_ids and logits (float32, not quantized). --device cpu tries everything except
the kernels.

For each directory and both kinds of scales, ways to load:

  fp8         through the quantizer. Every matrix that is FP8 in the export must be in the model
              bit for bit, codes and scales, in an FP8 module, and no other matrix may be in one; all
              other tensors must be the same as well. Run with bfloat16 and with float32 activations.
  dequantize  the same with dequantize=True. Every parameter must equal that of the bf16 export.

Logits are compared with an emulation in float32 on the CPU (the numbers of the export in a plain
model, activations rounded to FP8 as spec/forward.md defines it), with the bf16 export in float32, and
with golden.safetensors. Exit status: 0 all agree, 1 not.

The matrix product itself comes from a package of the Hub, kernels-community/finegrained-fp8. If
that cannot be loaded, a product of these tests replaces it, and the first line says so.
"""

import argparse
import collections
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
import traceback

import torch
import transformers
import w8a8
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, FineGrainedFP8Config
from transformers.integrations import finegrained_fp8
from transformers.quantizers.quantizer_finegrained_fp8 import FineGrainedFP8HfQuantizer

SCALES = ("f32", "ue8m0")
FP8 = torch.float8_e4m3fn
# An FP8 model may differ from its emulation by this fraction of the change that rounding the activations to
# FP8 makes: its sums and its bfloat16 move a few activations to another code. Sums of products in FP8
# have 14 bits on Hopper.
LIMITS = {torch.bfloat16: 1.5, torch.float32: 0.75}


def read_tensors(directory):
    tensors = {}
    for name in sorted(os.listdir(directory)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(directory, name), "pt") as f:
                tensors.update({key: f.get_tensor(key) for key in f.keys()})
    return tensors


def load(directory, device, dtype, experts="eager", **options):
    model, info = AutoModelForCausalLM.from_pretrained(
        directory,
        dtype=dtype,
        device_map=device if device == "cuda" else None,
        attn_implementation="eager",
        experts_implementation=experts,
        output_loading_info=True,
        **options,
    )
    problems = {what: sorted(names)[:4] for what, names in info.items() if names}
    assert not problems, problems
    for p in model.parameters():  # some keep the dtype of the file; the numbers are the same
        if dtype == torch.float32 and p.dtype == torch.bfloat16:
            p.data = p.data.float()
    return model.eval().requires_grad_(False)


def logits_of(model, ids):
    with torch.no_grad():
        return model(input_ids=ids.to(model.device), use_cache=False).logits.float().cpu()


# The product


def cut_out(path):
    """The kernels in integrations/finegrained_fp8.py of transformers 4.57, as a module."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    head = "import torch\nimport triton\nimport triton.language as tl\n\n\n"
    kernels = text[text.index("@triton.jit") : text.index("@torch.compile")]
    with tempfile.TemporaryDirectory() as scratch:
        copy = os.path.join(scratch, "kernels_4_57.py")
        with open(copy, "w", encoding="utf-8") as f:
            f.write(head + kernels)
        spec = importlib.util.spec_from_file_location("kernels_4_57", copy)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def pad_columns(t):
    """Padded with zeros to a multiple of 128, which those kernels need and which changes no sum."""
    more = -t.shape[-1] % w8a8.TILE
    if more == 0:
        return t.contiguous()
    return torch.cat([t.float(), t.new_zeros(*t.shape[:-1], more).float()], -1).to(t.dtype)


def wrapped_4_57(path):
    """The Triton kernels that transformers 4.57 had in its own tree."""
    kernels = cut_out(path)

    def matmul(x, weight, scales, block_size, output_dtype, activation_scale=None):
        codes, of_x = kernels.act_quant(pad_columns(x), block_size[1])
        wide = w8a8.widen_scales(scales).contiguous()
        return kernels.w8a8_block_fp8_matmul_triton(
            codes, pad_columns(weight), of_x, wide, block_size, output_dtype=output_dtype
        )

    return matmul, "the Triton kernels of transformers 4.57"


def choose_matmul(args):
    """A description for people."""
    own = w8a8.matmul_for(args.device)
    if args.kernels:
        own = wrapped_4_57(args.kernels)
    elif args.device == "cuda":
        try:
            finegrained_fp8.load_finegrained_fp8_kernel()
            return "kernels-community/finegrained-fp8"
        except Exception as e:  # whatever prevents access to the Hub
            print(f"the kernels of the Hub cannot be loaded: {type(e).__name__}: {str(e)[:120]}")
    finegrained_fp8._FINEGRAINED_FP8 = finegrained_fp8.FineGrainedFP8(
        matmul=own[0], batched_matmul=None, grouped_matmul=w8a8.grouped_by(own[0])
    )
    os.environ["TRANSFORMERS_DISABLE_DEEPGEMM_LINEAR"] = "1"
    return f"REPLACED by {own[1]}"


# The bits


def digest(codes, scales):
    raw = codes.contiguous().view(torch.uint8).cpu().numpy().tobytes()
    return hashlib.sha256(raw + w8a8.widen_scales(scales.cpu()).numpy().tobytes()).hexdigest()


def fp8_of_export(tensors):
    """By name; experts in three dimensions are split."""
    found = {}
    for name, t in tensors.items():
        if t.dtype == FP8 and t.dim() == 2:
            found[name] = digest(t, tensors[name + "_scale_inv"])
        elif t.dtype == FP8:
            for e, (codes, scales) in enumerate(zip(t, tensors[name + "_scale_inv"])):
                found[f"{name}[{e}]"] = digest(codes, scales)
    return found


def halves(codes, scales):
    half, of_half = codes.shape[0] // 2, scales.shape[0] // 2
    return [(codes[:half], scales[:of_half]), (codes[half:], scales[of_half:])]


def matrices_of(module, joined):
    """(codes, scales) of an FP8 module; gate and up are separate, unless `joined`."""
    if isinstance(module, finegrained_fp8.FP8Linear):
        return [(module.weight, module.weight_scale_inv)]
    pairs = []
    for e in range(module.num_experts):
        both = module.gate_up_proj[e], module.gate_up_proj_scale_inv[e]
        pairs += [both] if joined else halves(*both)
        pairs.append((module.down_proj[e], module.down_proj_scale_inv[e]))
    return pairs


def fp8_modules(model):
    kinds = (finegrained_fp8.FP8Linear, finegrained_fp8.FP8Experts)
    return {name: m for name, m in model.named_modules() if isinstance(m, kinds)}


def check_bits(model, tensors):
    """Checks that exactly the matrices of the export are FP8 in the model."""
    exported = fp8_of_export(tensors)
    modules = fp8_modules(model)
    loaded = collections.Counter()
    for name, module in modules.items():
        for codes, scales in matrices_of(module, name + ".gate_up_proj" in tensors):
            assert codes.dtype == FP8, (name, codes.dtype)
            loaded[digest(codes, scales)] += 1
        if name + ".weight" in exported:
            one = digest(module.weight, module.weight_scale_inv)
            assert one == exported[name + ".weight"], name
    assert loaded == collections.Counter(exported.values()), "not the matrices of the export"
    for name, p in model.named_parameters():
        if name in tensors and tensors[name].dtype != FP8 and not name.endswith("_scale_inv"):
            assert torch.equal(p.cpu().float(), tensors[name].float()), name
    experts = sum(isinstance(m, finegrained_fp8.FP8Experts) for m in modules.values())
    return (
        f"{len(modules) - experts} linear and {experts} experts modules, {len(exported)} matrices"
    )


# The expected logits


@contextlib.contextmanager
def exact_checkpoint(directory, tensors):
    """The dequantized values of an export, fl32(code * scale), as a float32 checkpoint."""
    with tempfile.TemporaryDirectory() as scratch:
        wide = {}
        for name, t in tensors.items():
            if t.dtype == FP8:
                wide[name] = w8a8.dequantize(t, tensors[name + "_scale_inv"])
            elif not name.endswith("_scale_inv"):
                wide[name] = t.float()
        save_file(wide, os.path.join(scratch, "model.safetensors"), {"format": "pt"})
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
            config = json.load(f)
        config.pop("quantization_config", None)
        with open(os.path.join(scratch, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
        generation = os.path.join(directory, "generation_config.json")
        if os.path.exists(generation):
            shutil.copy(generation, scratch)
        yield scratch


def emulated(directory, tensors, modules, ids):
    with exact_checkpoint(directory, tensors) as exact:
        model = load(exact, "cpu", torch.float32)
    with w8a8.emulation(model, modules) as mode:
        logits = logits_of(model, ids)
    assert mode.calls > 0
    return logits


def rms(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


def told(found, expected):
    p, q = expected.log_softmax(-1), found.log_softmax(-1)
    kl = (p.exp() * (p - q)).sum(-1).mean().item()
    top = (found.argmax(-1) == expected.argmax(-1)).float().mean().item()
    return f"rms {rms(found, expected):.2e} KL {max(kl, 0):.2e} top-1 {100 * top:.1f} %"


# Ways to load


def try_fp8(where, tensors, references, ids, device):
    """Returns whether it agrees."""
    good = True
    for dtype in (torch.bfloat16, torch.float32):
        model = load(where, device, dtype, experts=None)
        what = check_bits(model, tensors)
        if "emulation" not in references:
            references["emulation"] = emulated(where, tensors, fp8_modules(model), ids)
            print(f"  fp8: loaded, {what}, all bits those of the export")
        found = logits_of(model, ids)
        room = LIMITS[dtype] * rms(references["emulation"], references["dequantized"])
        agrees = rms(found, references["emulation"]) <= room
        good = good and agrees
        label = f"  fp8 {str(dtype).removeprefix('torch.')}: {'agrees' if agrees else 'DIFFERS'}"
        for name in ("emulation", "dequantized", "golden"):
            label += f"; {name} {told(found, references[name])}"
        print(label, flush=True)
    between = told(references["emulation"], references["dequantized"])
    print(f"  (emulation against dequantized: {between})")
    return good


def edges(tensors):
    """How transformers computes tiles when it dequantizes: dimensions divided by numbers of scales."""
    if any(t.dtype == FP8 and t.dim() == 3 for t in tensors.values()):
        return "refused"  # by load() here, because transformers leaves its scales over as unused keys
    sides = [(d, -(-d // w8a8.TILE)) for t in tensors.values() if t.dtype == FP8 for d in t.shape]
    if any(d % tiles for d, tiles in sides):
        return "refused"
    return "misread" if any(tiles > 1 and d != tiles * w8a8.TILE for d, tiles in sides) else "right"


def try_dequantize(where, plain, tensors, device):
    """Returns whether it is as expected. Dimensions that are not multiples of 128 are known to go wrong."""
    expected = edges(tensors)
    config = FineGrainedFP8Config(dequantize=True)
    try:
        model = load(where, device, torch.bfloat16, quantization_config=config)
    except Exception as e:  # expected or not, it is reported
        print(f"  dequantize: refused ({expected} expected): {type(e).__name__}: {str(e)[:100]}")
        return expected == "refused"
    assert not fp8_modules(model)
    found, wanted = model.state_dict(), load(plain, device, torch.bfloat16).state_dict()
    assert found.keys() == wanted.keys()
    differ = [n for n in found if not torch.equal(found[n], wanted[n])]
    print(f"  dequantize: {len(differ)} of {len(found)} tensors differ ({expected} expected)")
    return expected == "misread" or (expected == "right" and not differ)


def check_directory(directory, scales, device):
    where, plain = (os.path.join(directory, f"{kind}-{scales}") for kind in ("hf", "bf16"))
    tensors = read_tensors(where)
    with safe_open(os.path.join(directory, "golden.safetensors"), "pt") as f:
        ids, golden = f.get_tensor("input_ids"), f.get_tensor("logits").float()
    dequantized = logits_of(load(plain, "cpu", torch.float32), ids)
    print(f"{os.path.basename(directory)}, {scales} scales", flush=True)
    print(f"  (dequantized against golden: {told(dequantized, golden)})")
    references = {"dequantized": dequantized, "golden": golden}
    good = True
    for way in (
        lambda: try_fp8(where, tensors, references, ids, device),
        lambda: try_dequantize(where, plain, tensors, device),
    ):
        try:
            good = way() and good
        except Exception:  # the next one is tried nevertheless
            traceback.print_exc(file=sys.stdout)
            good = False
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--kernels", metavar="FILE", help="integrations/finegrained_fp8.py of transformers 4.57"
    )
    parser.add_argument("directories", nargs="+", metavar="DIRECTORY")
    args = parser.parse_args()
    if args.device == "cpu":
        FineGrainedFP8HfQuantizer.validate_environment = lambda *_, **__: None
        print("no GPU: the check for one is taken out of the quantizer")
    device = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {device}")
    print(f"the product of FP8 matrices: {choose_matmul(args)}", flush=True)
    count, bad = 0, []
    for directory in args.directories:
        for scales in SCALES:
            directory = directory.rstrip("/")
            if not os.path.isdir(os.path.join(directory, f"hf-{scales}")):
                print(f"{os.path.basename(directory)}, {scales} scales: does not exist")
                continue
            count += 1
            if not check_directory(directory, scales, args.device):
                bad.append(f"{os.path.basename(directory)} ({scales})")
    print(f"{count} exports tried, {len(bad)} wrong {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
