"""The inputs that cost most for their size: one of each kind of list that a file can make long.

    for case in worst_cases.CASES:
        command = case.make(directory, n)        arguments of octavo; the input has a size in proportion to n

What is repeated is legal as far as it is read, so that nothing is refused before the loops are reached.
"""

import gzip
import io
import os
import struct
import tarfile
import zipfile
from dataclasses import dataclass
from typing import Callable

import worst_packed
import worst_tokens
from worst_files import ONE, checkpoint, compact, inspect, plan, safetensors, tensors, write

# ---- tensors ---------------------------------------------------------------------------------------------------


def names(directory, n):
    return inspect(checkpoint(directory, tensors(n, "a%06d", "U8", [0])))


def layers(directory, n):
    return plan(checkpoint(directory, tensors(n, "model.layers.%d.self_attn.q_proj.weight")))


def experts(directory, n):
    return plan(checkpoint(directory, tensors(n, "model.layers.0.mlp.experts.%d.up_proj.weight")))


def unequal_experts(directory, n):
    """One stack that never becomes one: every second expert is wider."""
    list_ = [(f"model.layers.0.mlp.experts.{i}.up_proj.weight", "BF16", [0, 128 + i % 2]) for i in range(n)]
    return plan(checkpoint(directory, list_))


def siblings(directory, n):
    return plan(checkpoint(directory, tensors(n, "model.layers.0.mixer.in_%06d.weight")))


def components(directory, n):
    """The number of the layer after 110 other components."""
    return inspect(checkpoint(directory, tensors(n, "1." * 110 + "layers.%d.q_proj.weight")))


def scales(directory, n):
    list_ = tensors(n // 2, "layers.%d.q_proj.weight", "F8_E4M3") + tensors(n // 2, "layers.%d.q_proj.weight_scale_inv", "F32", (0, 1))
    return inspect(checkpoint(directory, list_))


def parts(directory, n):
    """Words of other methods, none of which belongs to a weight."""
    return inspect(checkpoint(directory, tensors(n, "layers.%d.q_proj.qzeros", "I32")))


def metadata(directory, n):
    text = '{"__metadata__":{' + ",".join(f'"k{i}":"v"' for i in range(n)) + "}}"
    write(os.path.join(directory, "model.safetensors"), struct.pack("<Q", len(text)) + text.encode())
    return inspect(directory)


def differences(directory, n):
    a = checkpoint(os.path.join(directory, "a"), tensors(n, "layers.%d.a.weight"))
    b = checkpoint(os.path.join(directory, "b"), tensors(n, "layers.%d.b.weight"))
    return ["diff", a, b]


# ---- indexes ---------------------------------------------------------------------------------------------------


def index(directory, shard_of, n):
    write(os.path.join(directory, "model.safetensors.index.json"), compact({"weight_map": {f"a{i:06}": shard_of(i) for i in range(n)}}))
    return inspect(directory)


def missing_shards(directory, n):
    return index(directory, lambda i: f"s{i:06}.safetensors", n)


def ghosts(directory, n):
    checkpoint(directory, ONE, name="m.safetensors")
    return index(directory, lambda i: "m.safetensors", n)


# ---- configurations and recipes --------------------------------------------------------------------------------


def config_values(directory, n):
    return inspect(checkpoint(directory, ONE, {"a": [[]] * n, "b": {f"k{i}": i for i in range(n)}}))


def config_depth(directory, n):
    """60 levels, with many members in each."""
    value = {}
    for level in range(60):
        value = {"a": value, **{f"{level}-{i}": 1 for i in range(n // 60)}}
    return inspect(checkpoint(directory, ONE, value))


def quantization_groups(directory, n):
    group = {"weights": {"block_structure": [128, 128]}}
    return inspect(
        checkpoint(directory, ONE, {"quantization_config": {"quant_method": "fp8", "config_groups": {f"g{i}": group for i in range(n)}}})
    )


def ignored_modules(directory, n):
    ignored = [f"model.layers.{i}.mlp" for i in range(n)]
    return plan(checkpoint(directory, ONE, {"quantization_config": {"quant_method": "fp8", "ignore": ignored}}))


def rules(directory, n):
    rules_ = [{"match": f"*no.{i}.such*", "action": "keep"} for i in range(n)]
    write(os.path.join(directory, "recipe.json"), compact({"octavo_recipe": 1, "rules": rules_}))
    checkpoint(directory, tensors(20, "layers.%d.q_proj.weight"))
    return plan(directory, "--recipe", os.path.join(directory, "recipe.json"))


def slow_glob(directory, n):
    """The product of both lengths, for every name."""
    checkpoint(directory, tensors(n, "a" * 200 + "%06d", "U8", [0]))
    return inspect(directory, "--tensor", "*a*a*a*a*a*a*a*a*a*a*b*")


# ---- archives and directories ----------------------------------------------------------------------------------


def tar_bytes(n):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        model = safetensors(ONE)
        member = tarfile.TarInfo("model.safetensors")
        member.size = len(model)
        tar.addfile(member, io.BytesIO(model))
        for i in range(n):
            link = tarfile.TarInfo(f"d{i:06}/link")
            link.type = tarfile.SYMTYPE
            link.linkname = f"../d{i + 1:06}/link"
            tar.addfile(link)
    return made.getvalue()


def tar_members(directory, n):
    path = os.path.join(directory, "a.tar")
    write(path, tar_bytes(n))
    return inspect(path)


def tar_gz_members(directory, n):
    path = os.path.join(directory, "a.tar.gz")
    write(path, gzip.compress(tar_bytes(n), 1))
    return inspect(path)


def zip_members(directory, n):
    path = os.path.join(directory, "a.zip")
    os.makedirs(directory, exist_ok=True)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("model.safetensors", safetensors(ONE))
        for i in range(n):
            z.writestr(f"f{i:06}.json", "{}")
    return inspect(path)


def zeros(directory, n):
    """A member that nobody needs, of 1 KiB for each unit of n."""
    path = os.path.join(directory, "a.tar.gz")
    member = tarfile.TarInfo("cache.bin")
    member.size = n << 10
    end = tar_bytes(0)
    write(path, gzip.compress(member.tobuf() + bytes(member.size) + end, 9))
    return inspect(path)


def many_files(directory, n):
    checkpoint(directory, ONE, {})
    for i in range(n):
        write(os.path.join(directory, "x", f"{i}.json"), "{}")
    return plan(directory)


# ---- the list --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    make: Callable
    n: int
    status: int = 0  # that octavo exits with
    bytes_each: int = 0  # of memory for each of n, at most; 0: only its growth is bounded
    steps_each: int = 0  # the same of steps

    @property
    def name(self):
        return self.make.__name__


CASES = (
    Case(names, 8192, bytes_each=450),
    Case(layers, 8192, bytes_each=900),
    Case(experts, 8192, bytes_each=450),
    Case(unequal_experts, 8192, bytes_each=900),
    Case(siblings, 8192, bytes_each=900),
    Case(components, 2048, steps_each=12000),
    Case(scales, 8192, bytes_each=450),
    Case(parts, 8192),
    Case(metadata, 16384),
    Case(differences, 8192, 1),
    Case(worst_packed.verify_records, 4096),
    Case(worst_packed.verify_against, 4096),
    Case(worst_packed.verify_chunks, 2048, bytes_each=400),
    Case(worst_packed.verify_chunks_against, 512),
    Case(worst_packed.diff_chunks, 1024),
    Case(worst_packed.diff_chunks_source, 1024),
    Case(worst_packed.unpack_chunks, 1024),
    Case(worst_packed.export_chunks, 1024),
    Case(worst_packed.inspect_records, 4096, bytes_each=450),
    Case(worst_packed.inspect_stack, 4096),
    Case(worst_packed.diff_records, 4096, 1),
    Case(worst_packed.unpack_stacks, 4096),
    Case(worst_packed.export_records, 4096),
    Case(worst_packed.export_stacks, 4096),
    Case(worst_packed.export_shards, 128),
    Case(worst_packed.export_components, 64, steps_each=100000),
    Case(worst_packed.export_again, 256),
    Case(worst_packed.export_config, 4096),
    Case(worst_packed.export_quantizations, 4096, steps_each=200),
    Case(missing_shards, 8192, 5),
    Case(ghosts, 8192, 5),
    Case(config_values, 16384),
    Case(config_depth, 16384),
    Case(quantization_groups, 16384),
    Case(ignored_modules, 16384),
    Case(rules, 4096),
    Case(slow_glob, 2048, 2),
    Case(tar_members, 4096),
    Case(tar_gz_members, 4096),
    Case(zip_members, 4096),
    Case(zeros, 16384),
    Case(many_files, 400),
    Case(worst_tokens.vocabulary, 16384),
    Case(worst_tokens.one_word, 65536),
    Case(worst_tokens.vocabulary_merges, 8192),
    Case(worst_tokens.tiktoken_ranks, 32768),
    Case(worst_tokens.tiktoken_lines, 1 << 22, bytes_each=3),
    Case(worst_tokens.tiktoken_code, 4096),
    Case(worst_tokens.added_tokens, 8192),
    Case(worst_tokens.spaces, 65536),
    Case(worst_tokens.long_token, 16384),
    Case(worst_tokens.steps, 8192),
    Case(worst_tokens.replacements, 16384),
    Case(worst_tokens.marks, 16384),
    Case(worst_tokens.lines_short, 16384),
    Case(worst_tokens.lines_blank, 1 << 22, 5),
    Case(worst_tokens.lines_packed, 16384),
    Case(worst_tokens.line_long, 65536),
    Case(worst_tokens.line_values, 16384),
    Case(worst_tokens.text_files, 1024),
    Case(worst_tokens.ids_json, 16384, 5),
    Case(worst_tokens.ids_npy, 65536, 5),
    Case(worst_tokens.ids_safetensors, 8192, 5),
    Case(worst_tokens.reference_tensors, 8192, 5),
    Case(worst_tokens.limits, 16384, 5),
)
