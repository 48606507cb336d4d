#!/usr/bin/python3
"""Write a checkpoint for any config.json, at any size, as fast as the disk allows.

    make_checkpoint.py --preset ring-mini|ring-flash|FILE.json -o DIR [--layers N] [--experts N]
                       [--vocab N] [--shard-bytes SIZE] [--seed N] [--dtype bf16|f16|f32]
                       [--jobs N] [-n]

Names, shapes and dtypes are those of the release (checkpoint_shapes.py), shards and index as well.
Values are Gaussian with a standard deviation near 0.02 that varies by tensor, one in 100,000 an
outlier; norms are around 1. The same options give the same bytes (with the same numpy). A weight is
a window into one pool of random numbers per seed, which makes this fast: no two tensors start at
the same position, but the data is not suitable for statistics.

--layers, --experts and --vocab reduce the model. SIZE takes K, M, G (powers of 1024). -n prints only
the totals. --jobs N writes N shards in parallel, with the same bytes, if there are that many
(--shard-bytes). Memory: a few hundred MB at any size. Presets are config.json files
in tests/data/presets.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time

import numpy as np

import st_write
from checkpoint_shapes import Unsupported, tensors

PRESETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "presets")
DTYPES = {"bf16": ("BF16", "bfloat16"), "f16": ("F16", "float16"), "f32": ("F32", "float32")}
POOL_ELEMENTS = 1 << 23
SPREADS = (0.012, 0.02, 0.025, 0.04)
OUTLIERS_PER_ELEMENT = 1e-5


# The reduced config


def load_config(preset):
    path = preset if preset.endswith(".json") else os.path.join(PRESETS, preset + ".json")
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def cut_down(config, layers, experts, vocab, dtype):
    """Set the new sizes and all other values of the config that depend on them."""
    config[next((k for k in ("dtype", "torch_dtype") if k in config), "torch_dtype")] = DTYPES[
        dtype
    ][1]
    if layers is not None:
        cut_layers(config, layers)
    if experts is not None:
        cut_experts(config, experts)
    if vocab is not None:
        config["vocab_size"] = vocab
        for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
            if isinstance(config.get(key), int):
                config[key] = min(config[key], vocab - 1)
    return config


def cut_layers(config, layers):
    config["num_hidden_layers"] = layers
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:layers]
    if config.get("mlp_only_layers"):
        config["mlp_only_layers"] = [i for i in config["mlp_only_layers"] if i < layers]


def cut_experts(config, experts):
    key = next(
        (k for k in ("num_experts", "n_routed_experts", "num_local_experts") if config.get(k)), None
    )
    if key is None:
        raise Unsupported("--experts, but the model has none")
    config[key] = experts
    # The number of groups divides that of experts, and no more are chosen than there are.
    groups = config.get("n_group") or 1
    while experts % groups:
        groups -= 1
    for name, limit in (
        ("n_group", groups),
        ("topk_group", groups),
        ("num_experts_per_tok", experts),
    ):
        if config.get(name):
            config[name] = min(config[name], limit)


# Values


class Values:
    """Bytes of tensors: weights are windows into a pool, all others are drawn."""

    def __init__(self, seed, dtype, largest):
        self.seed, self.dtype = seed, dtype
        rng = np.random.default_rng(seed)
        base = rng.standard_normal(min(POOL_ELEMENTS, max(largest, 1024)), np.float32)
        outliers = rng.integers(0, len(base), max(1, int(len(base) * OUTLIERS_PER_ELEMENT)))
        base[outliers] *= rng.uniform(3, 10, len(outliers)).astype(np.float32)
        self.pools = [self.encode(base * np.float32(spread)) for spread in SPREADS]

    def encode(self, x):
        if self.dtype == "BF16":
            return to_bf16(x)
        return x.astype("<f2" if self.dtype == "F16" else "<f4")

    def parts(self, spec):
        """The bytes of a tensor as a sequence of buffers."""
        draw = int.from_bytes(
            hashlib.sha256(f"{self.seed}:{spec.name}".encode()).digest()[:8], "little"
        )
        count = int(np.prod(spec.shape, dtype=np.int64))
        if spec.kind == "weight":
            yield from window(self.pools[draw % len(SPREADS)], draw // len(SPREADS), count)
        else:
            yield small_tensor(np.random.default_rng(draw), spec.kind, count, self.encode)


def window(pool, start, count):
    at = start % len(pool)
    while count:
        part = pool[at : at + count]
        yield memoryview(part).cast("B")
        count -= len(part)
        at = 0


def small_tensor(rng, kind, count, encode):
    if kind == "norm":
        return encode(1 + 0.1 * rng.standard_normal(count, np.float32)).tobytes()
    if kind == "decay":
        return encode(rng.random(count, np.float32)).tobytes()
    values = 0.05 * rng.standard_normal(count, np.float32)
    return (values.astype("<f4") if kind == "f32-bias" else encode(values)).tobytes()


def to_bf16(x):
    """Round to nearest, ties to even, by bits; x is finite."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


# Shards


def dtype_of(spec, dtype):
    return "F32" if spec.kind == "f32-bias" else dtype


def plan_shards(specs, dtype, limit):
    """Greedy, in model order, as the releases were split: [[Spec, …], …]."""
    shards, room = [[]], limit
    for spec in specs:
        size = st_write.tensor_bytes(dtype_of(spec, dtype), spec.shape)
        if size > room and shards[-1]:
            shards.append([])
            room = limit
        shards[-1].append(spec)
        room -= size
    return shards


def shard_name(i, count):
    return f"model-{i + 1:05}-of-{count:05}.safetensors" if count > 1 else "model.safetensors"


def write_shard(path, specs, values):
    by_name = {s.name: s for s in specs}
    order = st_write.file_order([(s.name, dtype_of(s, values.dtype), s.shape) for s in specs])
    text, _ = st_write.header_text(order, {"format": "pt"})
    with open(path, "xb") as f:
        f.write(st_write.frame(text))
        for name, _, _ in order:
            for part in values.parts(by_name[name]):
                f.write(part)


def write_shards(jobs, values, work):
    """work: [(path, specs), …]. One process per job, because threads would take turns in the
    interpreter; forked, so that all share one pool of random numbers."""
    if jobs <= 1 or len(work) == 1:
        for path, specs in work:
            write_shard(path, specs, values)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(min(jobs, len(work)), worker_start, (values, work)) as pool:
        for _ in pool.imap_unordered(worker_write, range(len(work))):
            pass


def worker_start(values, work):
    worker_write.values, worker_write.work = values, work


def worker_write(i):
    path, specs = worker_write.work[i]
    write_shard(path, specs, worker_write.values)


def write_json(path, value):
    with open(path, "x", encoding="utf-8") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def write_checkpoint(directory, config, dtype, seed, limit, jobs=1):
    """Returns (tensors, elements, bytes, shards)."""
    specs = list(tensors(config))
    largest = max(int(np.prod(s.shape, dtype=np.int64)) for s in specs)
    values = Values(seed, dtype, largest)
    shards = plan_shards(specs, dtype, limit)
    os.makedirs(directory, exist_ok=True)
    write_json(os.path.join(directory, "config.json"), config)
    names = [shard_name(i, len(shards)) for i in range(len(shards))]
    paths = [os.path.join(directory, name) for name in names]
    write_shards(jobs, values, list(zip(paths, shards)))
    if len(shards) > 1:
        weight_map = {s.name: name for name, members in zip(names, shards) for s in members}
        index = {"metadata": {"total_size": totals(specs, dtype)[2]}, "weight_map": weight_map}
        write_json(os.path.join(directory, "model.safetensors.index.json"), index)
    return (*totals(specs, dtype), len(shards))


def totals(specs, dtype):
    elements = sum(int(np.prod(s.shape, dtype=np.int64)) for s in specs)
    return (
        len(specs),
        elements,
        sum(st_write.tensor_bytes(dtype_of(s, dtype), s.shape) for s in specs),
    )


def parse_size(text):
    factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:].upper())
    return int(text[:-1]) * factor if factor else int(text)


def main():
    parser = argparse.ArgumentParser(description="write a checkpoint of any size for tests")
    parser.add_argument("--preset", required=True, help="ring-mini, ring-flash or a config.json")
    parser.add_argument("-o", dest="output", metavar="DIR", help="must not contain a checkpoint")
    for name in ("layers", "experts", "vocab"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--shard-bytes", type=parse_size, default=10 << 30, metavar="SIZE")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="shards in parallel")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="print the totals, write nothing"
    )
    args = parser.parse_args()
    start = time.monotonic()
    try:
        config = cut_down(
            load_config(args.preset), args.layers, args.experts, args.vocab, args.dtype
        )
        dtype = DTYPES[args.dtype][0]
        if args.dry_run:
            print("%d tensors, %d parameters, %d bytes" % totals(list(tensors(config)), dtype))
            return 0
        if not args.output:
            parser.error("-o DIR is required")
        done = write_checkpoint(args.output, config, dtype, args.seed, args.shard_bytes, args.jobs)
    except (Unsupported, OSError) as e:
        sys.exit(f"make_checkpoint.py: {e}")
    seconds = time.monotonic() - start
    print(
        "%d tensors, %d parameters, %d bytes in %d shards" % done
        + f" ({done[2] / 1e9 / seconds:.2f} GB/s)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
