"""Worst cases (worst_cases.py): packed files, made by the program under test."""

import os
import subprocess

from worst_files import checkpoint, inspect, one_element, tensors

FP8_CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}


def pack(directory, name, list_, config=None, options=()):
    """A packed file of these tensors, made by the program under test."""
    source = checkpoint(os.path.join(directory, name), list_, config)
    path = os.path.join(directory, name + ".octavo")
    command = [os.environ["COUNTED"], "convert", source, "-o", path, "--allow-none", "--no-read-back", "-q", *options]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COUNT_")}
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=environment)
    return path


def stacks(n, dtype="BF16"):
    """Of two experts each."""
    return [(f"model.layers.{i // 2}.mlp.experts.{i % 2}.up_proj.weight", dtype, [0, 128]) for i in range(n)]


def records(n):
    return tensors(n, "model.layers.%d.self_attn.q_proj.weight")


def verify_records(directory, n):
    return ["verify", pack(directory, "a", records(n))]


def verify_against(directory, n):
    return ["verify", pack(directory, "a", stacks(n)), "--against", os.path.join(directory, "a")]


def expert_chunks(directory, name, n, options=()):
    """One record of n experts of one element each: n chunks, of a byte."""
    names_ = [f"model.layers.0.mlp.experts.{i}.up_proj.weight" for i in range(n)]
    return pack(directory, name, one_element(names_), FP8_CONFIG, options)


def verify_chunks(directory, n):
    return ["verify", expert_chunks(directory, "a", n, ["--digest", "sha256"])]


def verify_chunks_against(directory, n):
    return ["verify", expert_chunks(directory, "a", n), "--against", os.path.join(directory, "a")]


def diff_chunks(directory, n):
    """All digests differ, and no byte."""
    return ["diff", expert_chunks(directory, "a", n), expert_chunks(directory, "b", n, ["--digest", "sha256"])]


def diff_chunks_source(directory, n):
    return ["diff", expert_chunks(directory, "a", n), os.path.join(directory, "a")]


def unpack_chunks(directory, n):
    return ["unpack", expert_chunks(directory, "a", n), "-o", os.path.join(directory, "out.safetensors"), "--dequantize", "f32"]


def export_chunks(directory, n):
    return [*export_plan(directory, expert_chunks(directory, "a", n)), "--dequantize"]


def export_quantizations(directory, n):
    """Objects that could describe a quantization, each in the one before it, and do not: of a long text."""
    value = {str(i): "a" * 100 for i in range(n // 16)}
    for _ in range(58):
        value = {"quantization": value}
    return export_plan(directory, pack(directory, "a", records(20), {**FP8_CONFIG, "b": value}))


def inspect_records(directory, n):
    return inspect(pack(directory, "a", tensors(n, "a%06d", "U8", [0])))


def inspect_stack(directory, n):
    """One record with many members, whose names are expanded for the glob."""
    path = pack(directory, "a", tensors(n, "model.layers.0.mlp.experts.%d.up_proj.weight"))
    return inspect(path, "--tensor", "*experts.1*")


def diff_records(directory, n):
    return ["diff", pack(directory, "a", stacks(n)), pack(directory, "b", records(n))]


def unpack_stacks(directory, n):
    return ["unpack", pack(directory, "a", stacks(n)), "-o", os.path.join(directory, "out.safetensors"), "--dequantize", "f32"]


def export_plan(directory, path, runtime="hf"):
    return ["export", path, "--for", runtime, "-o", os.path.join(directory, "out"), "--allow-unloadable"]


def export_records(directory, n):
    """Every second matrix is kept, so that the list of what is not FP8 is long."""
    return export_plan(directory, pack(directory, "a", records(n), FP8_CONFIG, ["--keep", "*[02468].self_attn*"]))


def export_stacks(directory, n):
    return export_plan(directory, pack(directory, "a", stacks(n), FP8_CONFIG, ["--keep", "*[02468].mlp*"]))


def export_shards(directory, n):
    """A shard for each tensor."""
    path = pack(directory, "a", tensors(n, "a%06d", "U8", [0]), FP8_CONFIG)
    return [*export_plan(directory, path), "--shard-size", "1"]


def export_again(directory, n):
    """Over a directory of as many files, each of which has to be in its list."""
    first = export_shards(directory, n)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COUNT_")}
    subprocess.run([os.environ["COUNTED"], *first, "-q"], check=True, stderr=subprocess.DEVNULL, env=environment)
    os.rename(os.path.join(directory, "out"), os.path.join(directory, "old"))
    return [*first[:-2], "--shard-size", "1", "-o", os.path.join(directory, "old"), "-f"]


def export_components(directory, n):
    """Names of 120 components, any of which could begin an entry of the list; entries differ from them in their ends only."""
    names_ = ["a." * 115 + f"{i:06}.weight" for i in range(n)]
    path = pack(directory, "a", one_element(names_), FP8_CONFIG, ["--quantize", "*", "--keep", "*[02468].weight"])
    return export_plan(directory, path, "sglang")


def export_config(directory, n):
    """A long configuration, nested as deep as is allowed."""
    value = {}
    for level in range(50):
        value = {"a": value, **{f"{level}-{i}": 1 for i in range(n // 50)}}
    return export_plan(directory, pack(directory, "a", records(20), {**FP8_CONFIG, "b": value}))
