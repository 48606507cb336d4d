#!/usr/bin/env python3
"""The baseline of a whole conversion: a checkpoint to block FP8 as a typical PyTorch script does it.

    python_convert.py CHECKPOINT OUT_DIR [--device cuda|cpu] [--max-bytes SIZE] [--json]

One shard after another, as the public scripts do: safe_open, get_tensor, `.cuda()`, the Triton
kernel of peer_kernels.py (on a CPU: the same in PyTorch), `.cpu()`, save_file with `weight` and
`weight_scale_inv`, then index and config. The two-dimensional tensors of the
linear layers of spec/quant.md section 6 are quantized; everything else is copied.

The clock starts when PyTorch is loaded, the device is open and the kernel is compiled. --max-bytes
ends after the first shard that reaches it. Prints GB/s of source bytes; nothing is synced.
"""

import argparse
import json
import os
import resource
import shutil
import sys
import time

import torch
from peer_kernels import TILE, torch_quantize, triton_quantize
from safetensors import safe_open
from safetensors.torch import save_file

LINEAR = frozenset(
    "q_proj k_proj v_proj o_proj qkv_proj out_proj g_proj query_key_value dense output_gate"
    " q_a_proj q_b_proj kv_a_proj_with_mqa kv_b_proj gate_proj up_proj down_proj gate_up_proj"
    " w1 w2 w3".split()
)
WIDE = (torch.bfloat16, torch.float16, torch.float32)


def is_quantized(name, tensor):
    parts = name.split(".")
    linear = parts[-1] == "weight" and len(parts) > 1 and parts[-2] in LINEAR
    return linear and ".layers." in name and tensor.dim() == 2 and tensor.dtype in WIDE


def padded_quantize(x):
    """torch_quantize for any dimensions."""
    rows, cols = x.shape
    padded = torch.nn.functional.pad(x, (0, -cols % TILE, 0, -rows % TILE))
    codes, scales = torch_quantize(padded)
    return codes[:rows, :cols].contiguous(), scales.contiguous()


def convert_shard(source, target, device, quantize):
    """Returns the bytes of the tensors read and the names written."""
    result, done = {}, 0
    with safe_open(source, framework="pt", device="cpu") as shard:
        for name in shard.keys():
            tensor = shard.get_tensor(name)
            done += tensor.numel() * tensor.element_size()
            if is_quantized(name, tensor):
                codes, scales = quantize(tensor.to(device))
                result[name] = codes.cpu()
                result[name + "_scale_inv"] = scales.cpu()
            else:
                result[name] = tensor
    save_file(result, target, metadata={"format": "pt"})
    return done, list(result)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2)


def finish(source, target, weight_map):
    write_json(os.path.join(target, "model.safetensors.index.json"), {"weight_map": weight_map})
    with open(os.path.join(source, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    config["quantization_config"] = {
        "quant_method": "fp8",
        "fmt": "e4m3",
        "weight_block_size": [128, 128],
        "activation_scheme": "dynamic",
    }
    write_json(os.path.join(target, "config.json"), config)


def convert(source, target, device, limit):
    """Returns (bytes of source, seconds, shards)."""
    quantize = triton_quantize if device == "cuda" else padded_quantize
    quantize(torch.ones(256, 256, dtype=torch.bfloat16, device=device))
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.monotonic()
    weight_map, done, count = {}, 0, 0
    for name in sorted(n for n in os.listdir(source) if n.endswith(".safetensors")):
        if done >= limit:
            break
        paths = (os.path.join(d, name) for d in (source, target))
        size, written = convert_shard(*paths, device, quantize)
        weight_map.update(dict.fromkeys(written, name))
        done += size
        count += 1
    finish(source, target, weight_map)
    return done, time.monotonic() - start, count


def parse_size(text):
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper())
    return int(text[:-1]) * factor if factor else int(text)


def main():
    parser = argparse.ArgumentParser(description="convert a checkpoint as a PyTorch script does")
    parser.add_argument("source", metavar="CHECKPOINT")
    parser.add_argument("target", metavar="OUT_DIR", help="emptied first")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--max-bytes", type=parse_size, default=1 << 62, metavar="SIZE")
    parser.add_argument("--json", action="store_true", help="one object instead of a line")
    args = parser.parse_args()
    shutil.rmtree(args.target, ignore_errors=True)
    os.makedirs(args.target)
    done, seconds, shards = convert(args.source, args.target, args.device, args.max_bytes)
    result = {
        "source_bytes": done,
        "seconds": seconds,
        "source_gb_per_s": done / seconds / 1e9,
        "shards": shards,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "gpu_memory_bytes": torch.cuda.max_memory_allocated() if args.device == "cuda" else 0,
        "device": args.device,
    }
    if args.json:
        print(json.dumps(result))
    else:
        print(f"{result['source_gb_per_s']:.2f} GB/s, {seconds:.2f} s, {shards} shards")
    return 0


if __name__ == "__main__":
    sys.exit(main())
