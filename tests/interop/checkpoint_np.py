"""A Hugging Face checkpoint in numpy: headers are parsed here, data is mapped. For well-formed files."""

import fnmatch
import json
import os
from dataclasses import dataclass, field

import numpy as np

import packed_format as pf

# The lists of spec/cli.md section 4.2; the tool's list of embedded files is checked against them by
# equal bytes.
EMBEDDED = [
    "config.json",
    "*_config.json",
    "generation_config*.json",
    "config_*.json",
    "configuration.json",
    "params.json",
    "model_args.json",
    "modules.json",
    "tokenizer*",
    "special_tokens_map*.json",
    "added_tokens*.json",
    "*vocab*.json",
    "*vocab*.txt",
    "vocab.bpe",
    "merges*",
    "dict*.txt",
    "tekken*.json",
    "normalizer.json",
    "*.model",
    "*.model.v[0-9]*",
    "*.spm",
    "*.tiktoken",
    "*.jinja",
    "chat_template*",
    "*.py",
    "README*.md",
]
EMBEDDED_IN_ANY_CASE = [
    "*licen[cs]e*",
    "*notice*",
    "copying*",
    "copyright*",
    "patents*",
    "*use*policy*",
    "*policy.md",
    "*policy.txt",
    "*policy.pdf",
    "third*part*",
    "*terms*.md",
    "*terms*.txt",
    "*terms*.pdf",
]
# By component: '*' matches no '/'.
EMBEDDED_BELOW = ["additional_chat_templates/*.jinja", "[0-9]*_*/*config.json"]
EMBEDDED_BELOW_IN_ANY_CASE = ["*licen[cs]e*/*", "*notice*/*"]
NOT_EMBEDDED = ("adapter_config.json",)


def matches(name, patterns):
    parts = name.split("/")
    return any(
        len(parts) == len(globs) and all(map(fnmatch.fnmatchcase, parts, globs))
        for globs in (pattern.split("/") for pattern in patterns)
    )


def is_embedded(name):
    return name not in NOT_EMBEDDED and (
        matches(name, EMBEDDED + EMBEDDED_BELOW)
        or matches(name.lower(), EMBEDDED_IN_ANY_CASE + EMBEDDED_BELOW_IN_ANY_CASE)
    )


@dataclass
class Tensor:
    name: str
    dtype: str
    shape: list
    data: np.ndarray = field(repr=False)  # uint8, the bytes of the tensor


@dataclass
class Shard:
    name: str
    size: int
    header_sha256: str
    tensors: int


class Checkpoint:
    """tensors: {name: Tensor}; shards: sorted by name."""

    def __init__(self, directory):
        self.directory = directory
        self.tensors = {}
        self.shards = [self.read_shard(name) for name in shard_names(directory)]

    def read_shard(self, name):
        mapped = np.memmap(os.path.join(self.directory, name), np.uint8, "r")
        end = 8 + int.from_bytes(mapped[:8].tobytes(), "little")
        header = json.loads(mapped[8:end].tobytes())
        header.pop("__metadata__", None)
        for tensor, entry in header.items():
            start, stop = entry["data_offsets"]
            assert tensor not in self.tensors, tensor
            self.tensors[tensor] = Tensor(
                tensor, entry["dtype"], entry["shape"], mapped[end + start : end + stop]
            )
        return Shard(name, len(mapped), pf.sha256(mapped[:end].tobytes()).hex(), len(header))

    def config(self):
        """The contents of config.json, {} without one."""
        path = os.path.join(self.directory, "config.json")
        if not os.path.exists(path):
            return {}
        with open(path, encoding="utf-8") as f:
            return json.load(f)

    def embedded(self):
        """[(name, bytes)] of the files that travel with the weights."""
        names = []
        for name in os.listdir(self.directory):
            path = os.path.join(self.directory, name)
            below = os.listdir(path) if os.path.isdir(path) else ()
            names += [f"{name}/{file}" for file in below] or [name]
        out = []
        for name in sorted(filter(is_embedded, names)):
            path = os.path.join(self.directory, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    out.append((name, f.read()))
        return out


def files_below(directory):
    """The names of all files in a directory and below, sorted by bytes."""
    return sorted(
        os.path.relpath(os.path.join(at, name), directory)
        for at, _, names in os.walk(directory)
        for name in names
    )


def shard_names(directory):
    index = os.path.join(directory, "model.safetensors.index.json")
    if os.path.exists(index):
        with open(index, encoding="utf-8") as f:
            return sorted(set(json.load(f)["weight_map"].values()))
    return ["model.safetensors"]


def widen(tensor):
    """BF16, F16 or F32 as float32, which is exact; in the shape of the tensor."""
    if tensor.dtype == "BF16":
        values = (tensor.data.view("<u2").astype(np.uint32) << 16).view(np.float32)
    elif tensor.dtype == "F16":
        values = tensor.data.view("<f2").astype(np.float32)
    else:
        values = tensor.data.view("<f4")
    return values.reshape(tensor.shape)
