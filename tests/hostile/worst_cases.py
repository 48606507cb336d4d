"""The inputs that cost most for their size: one of each kind of list that a file can make long.

    for case in worst_cases.CASES:
        command = case.make(directory, n)        arguments of octavo; the input has a size in proportion to n

What is repeated is legal as far as it is read, so that nothing is refused before the loops are reached.
"""

import base64
import gzip
import io
import json
import os
import struct
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from typing import Callable

EMPTY = (0, 0)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def safetensors(tensors):
    """A file of tensors without data: (name, dtype, shape), where some side is 0."""
    text = compact({name: {"dtype": dtype, "shape": shape, "data_offsets": EMPTY} for name, dtype, shape in tensors}).encode()
    return struct.pack("<Q", len(text)) + text


def one_element(names_):
    """A file of matrices of one element in BF16."""
    text = compact({name: {"dtype": "BF16", "shape": [1, 1], "data_offsets": [2 * i, 2 * i + 2]} for i, name in enumerate(names_)})
    return struct.pack("<Q", len(text)) + text.encode() + bytes(2 * len(names_))


def checkpoint(directory, tensors, config=None, name="model.safetensors"):
    """`tensors`: those of safetensors(), or a file."""
    write(os.path.join(directory, name), tensors if isinstance(tensors, bytes) else safetensors(tensors))
    if config is not None:
        write(os.path.join(directory, "config.json"), config if isinstance(config, str) else compact(config))
    return directory


ONE = [("a", "U8", [0])]


def tensors(n, name, dtype="BF16", shape=(0, 128)):
    return [(name % i, dtype, list(shape)) for i in range(n)]


def inspect(directory, *options):
    return ["inspect", directory, *options]


def plan(directory, *options):
    return ["convert", directory, "-o", os.path.join(directory, "out.octavo"), "-n", "--allow-none", *options]


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


# ---- packed files ----------------------------------------------------------------------------------------------

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


# ---- tokenizers ------------------------------------------------------------------------------------------------


def letters():
    printable = [b for b in range(256) if 0x20 < b < 0x7F or (b > 0xA0 and b != 0xAD)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(0x100 + i): b for i, b in enumerate(others)}}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def tokenizer(directory, text, vocab=None, merges=(), splits=(BYTE_LEVEL,), **members):
    write(
        os.path.join(directory, "tokenizer.json"),
        compact(
            {
                "version": "1.0",
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(splits)},
                "model": {"type": "BPE", "vocab": {**letters(), **(vocab or {})}, "merges": list(merges)},
                **members,
            }
        ),
    )
    write(os.path.join(directory, "text"), text)
    return ["tokenize", os.path.join(directory, "tokenizer.json"), "--text", os.path.join(directory, "text")]


def added(i, content, **flags):
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": 256 + i, "content": content, **usual, **flags}


def vocabulary(directory, n):
    words = ["a" * (i % 30 + 1) + f"{i:06}" for i in range(n)]
    return tokenizer(directory, "a", {word: 256 + i for i, word in enumerate(words)})


def one_word(directory, n):
    vocab = {"a" * 2**k: 255 + k for k in range(1, 8)}
    return tokenizer(directory, "a" * n, vocab, [f"{'a' * 2**k} {'a' * 2**k}" for k in range(7)])


KIMI_CODE = (
    "num_reserved_special_tokens = 256\npat_str = '|'.join([%s])\nf'<|reserved_token_{i}|>'\nauto = %s"
)
KIMI_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
KIMI_PARTS = (r"[\p{Han}]+", KIMI_WORD % ("*", "+"), KIMI_WORD % ("+", "*"), r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*")
KIMI_PARTS += (r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+")


def tiktoken(directory, ranks, lists=""):
    write(os.path.join(directory, "tiktoken.model"), ranks)
    write(
        os.path.join(directory, "tokenizer_config.json"), compact({"auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]}})
    )
    parts = ", ".join(f'r"""{p}"""' for p in KIMI_PARTS)
    write(os.path.join(directory, "tokenization_kimi.py"), KIMI_CODE % (parts, lists))
    write(os.path.join(directory, "text"), "a")
    return ["tokenize", directory, "--text", os.path.join(directory, "text")]


def rank_lines(tokens):
    return "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens))


def bytes_and(n):
    return [bytes([b]) for b in range(256)] + [b"a%06d" % i for i in range(n)]


def tiktoken_ranks(directory, n):
    return tiktoken(directory, rank_lines(bytes_and(n)))


def tiktoken_lines(directory, n):
    """Empty ones are skipped."""
    return tiktoken(directory, "\n" * n + rank_lines(bytes_and(0)))


def tiktoken_code(directory, n):
    """Many lists that are almost the one of the pattern."""
    return tiktoken(directory, rank_lines(bytes_and(0)), f'[r"""{KIMI_PARTS[0]}""",  ' * n)


def vocabulary_merges(directory, n):
    """As many merges as tokens, all of one pair: the last one counts."""
    words = {f"a{i:06}": 256 + i for i in range(n)}
    return tokenizer(directory, "a", {**words, "a0": 256 + n}, ["a 0"] * n)


def added_tokens(directory, n):
    return tokenizer(directory, "a" * 100, added_tokens=[added(i, f"<{i:06}>") for i in range(n)])


def spaces(directory, n):
    return tokenizer(directory, " \t" * n, added_tokens=[added(0, " ", rstrip=True), added(1, "\t")])


def long_token(directory, n):
    return tokenizer(directory, "a" * n, added_tokens=[added(0, "a" * 500 + "b")])


def steps(directory, n):
    return tokenizer(directory, "é" * n, splits=[BYTE_LEVEL] * 6)


def replacements(directory, n):
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return tokenizer(directory, "a" * n, normalizer={"type": "Sequence", "normalizers": [step] * 4})


def marks(directory, n):
    return tokenizer(directory, "a" + "\u0301\u0316" * n, normalizer={"type": "NFC"})


# ---- inputs of the forward pass ----------------------------------------------------------------------------------

MICRO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "ring-micro-linear")


def forward(directory, name, data, option="--tokens"):
    write(os.path.join(directory, name), data)
    return ["verify", MICRO, "--forward", option, os.path.join(directory, name)]


def ids_json(directory, n):
    """In one row each; the last one is no id."""
    return forward(directory, "ids", compact([[1]] * n + [[-1]]))


def ids_npy(directory, n):
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({n},), }}\n".encode()
    ids = struct.pack("<q", 1) * (n - 1) + struct.pack("<q", -1)
    return forward(directory, "ids", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + ids)


def ids_safetensors(directory, n):
    """Among many tensors."""
    return forward(directory, "ids", safetensors(tensors(n, "a%06d", "I32", [0])))


def reference_tensors(directory, n):
    return forward(directory, "dump", safetensors(tensors(n, "layers.%d.output", "F32", [0, 8])), "--reference")


def limits(directory, n):
    write(os.path.join(directory, "text"), "a")
    command = forward(directory, "limits", compact({"octavo_limits": 1, "f32": {"a": [[]] * n}}), "--limits")
    return [*command, "--text", os.path.join(directory, "text")]


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
    Case(scales, 8192, bytes_each=450),
    Case(parts, 8192),
    Case(metadata, 16384),
    Case(differences, 8192, 1),
    Case(verify_records, 4096),
    Case(verify_against, 4096),
    Case(verify_chunks, 2048, bytes_each=400),
    Case(verify_chunks_against, 512),
    Case(diff_chunks, 1024),
    Case(diff_chunks_source, 1024),
    Case(unpack_chunks, 1024),
    Case(export_chunks, 1024),
    Case(inspect_records, 4096, bytes_each=450),
    Case(inspect_stack, 4096),
    Case(diff_records, 4096, 1),
    Case(unpack_stacks, 4096),
    Case(export_records, 4096),
    Case(export_stacks, 4096),
    Case(export_shards, 128),
    Case(export_components, 64, steps_each=100000),
    Case(export_again, 256),
    Case(export_config, 4096),
    Case(export_quantizations, 4096, steps_each=200),
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
    Case(vocabulary, 16384),
    Case(one_word, 65536),
    Case(vocabulary_merges, 8192),
    Case(tiktoken_ranks, 32768),
    Case(tiktoken_lines, 1 << 22, bytes_each=3),
    Case(tiktoken_code, 4096),
    Case(added_tokens, 8192),
    Case(spaces, 65536),
    Case(long_token, 16384),
    Case(steps, 8192),
    Case(replacements, 16384),
    Case(marks, 16384),
    Case(ids_json, 16384, 5),
    Case(ids_npy, 65536, 5),
    Case(ids_safetensors, 8192, 5),
    Case(reference_tensors, 8192, 5),
    Case(limits, 16384, 5),
)
