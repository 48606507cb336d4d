#!/usr/bin/python3
"""Compare exports of a packed file with the file itself, read by the second reader, and with what
spec/export.md says about names, dtypes, numbers, index and configuration.

    export_check.py [--need-safetensors] CHECKPOINT...

Each checkpoint is converted with both scale formats and exported for every runtime; if that is
refused, --dequantize or the other scale format must help. $OCTAVO is the program. With
--need-safetensors the safetensors library also loads every shard, and must find the same.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import fp8_np as fp8
import packed_format as pf
import read_packed
from checkpoint_np import Checkpoint, Tensor, files_below, widen

OCTAVO = os.environ.get("OCTAVO", "build/octavo")
KEYS = {
    "hf": "modules_to_not_convert",
    "vllm": "ignored_layers",
    "sglang": "ignored_layers",
    "ant-sglang": "ignored_layers",
    "areal": "ignored_layers",
    "compressed-tensors": "ignore",
    "bf16": None,
}
# The components of names that these runtimes need in the dtype of the source.
WIDE = {"ant-sglang": "shared_experts", "areal": "g_proj"}
MERGED = {
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
    "q_proj": "qkv_proj",
    "k_proj": "qkv_proj",
    "v_proj": "qkv_proj",
    "q_a_proj": "fused_qkv_a_proj_with_mqa",
    "kv_a_proj_with_mqa": "fused_qkv_a_proj_with_mqa",
}
LIST = "octavo-export.json"
INDEX = "model.safetensors.index.json"


def run(*arguments):
    return subprocess.run([OCTAVO, *arguments], capture_output=True, text=True, check=False)


def octavo(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


# What a record means


def members(r):
    """(name, slice of its first dimension or None) of every tensor that a record represents."""
    if pf.is_stack(r["name"]):
        return [(pf.expand(r["name"], i), i) for i in range(r["shape"][0])]
    return [(r["name"], None)]


def array(packed, r, kind):
    return np.frombuffer(packed.data(r), kind).reshape(r["shape"])


def narrow(x, dtype):
    """float32 to the nearest of dtype, ties to even, F16 at most 65504; as bytes."""
    if dtype == "F32":
        return x.astype("<f4").tobytes()
    if dtype == "F16":
        return np.clip(x, -65504.0, 65504.0).astype("<f2").tobytes()
    bits = x.astype("<f4").view("<u4").astype(np.uint64)
    up = (bits & 0xFFFF) + (bits >> 16 & 1) > 0x8000
    return ((bits >> 16) + up).astype("<u2").tobytes()


def module_of(name, preset):
    """The module of which a weight is a part for the runtime."""
    slot = pf.expert_slot(name)
    before, _, last = name.removesuffix(".weight").rpartition(".")
    if slot:
        return slot[0]
    return (before, MERGED[last]) if last in MERGED and preset != "hf" else name


def is_ragged_half(r, ndim):
    """transformers joins gate and up of an expert, and their scales: both must end with a tile."""
    last = r["name"].removesuffix(".weight").rpartition(".")[2]
    return (
        ndim == 2
        and pf.expert_slot(r["name"]) is not None
        and last in ("gate_proj", "up_proj", "w1", "w3")
        and r["shape"][-2] % pf.TILE != 0
    )


def wide_names(packed, preset):
    """(codes that must not be codes in the export, modules with a part that is not FP8)."""
    codes, split = {}, set()
    for r in packed.records:
        for name, k in members(r):
            ndim = len(r["shape"]) - (k is not None)
            stacked = ndim == 3 and preset != "hf"
            if r["cls"] == pf.CODES:
                codes[name] = stacked or WIDE.get(preset, " ") in name.split(".")
                if preset == "hf":
                    codes[name] |= is_ragged_half(r, ndim)
            weight = ndim == 2 and name.endswith(".weight")
            weight = weight or (ndim == 3 and pf.expert_slot(name) is not None)
            if r["cls"] == pf.KEPT and weight or codes.get(name):
                split.add(module_of(name, preset))
    if preset == "bf16":
        return set(codes), set()
    return {n for n, wide in codes.items() if wide or module_of(n, preset) in split}, split


def numbers(codes, scales, dtype):
    """fl32(code * scale), rounded: spec/quant.md section 3, spec/export.md section 6."""
    if codes.ndim == 3:
        return b"".join(numbers(c, s, dtype) for c, s in zip(codes, scales))
    rows, cols = codes.shape
    spread = np.repeat(np.repeat(scales, pf.TILE, 0), pf.TILE, 1)[:rows, :cols]
    with np.errstate(over="ignore"):
        return narrow(fp8.decode(codes) * spread, dtype)


def scales_of(packed, r):
    """The scales of a codes record as a Tensor."""
    s = packed.records[r["scale_idx"]]
    data = np.frombuffer(packed.data(s), np.uint8)
    return Tensor(s["name"], pf.DTYPES[s["dtype"]][0], s["shape"], data)


def stays(r, scales, preset):
    """Whether the scales of a codes record keep their dtype in the export."""
    return exported_dtype(r, scales, preset) == scales.dtype


def exported_dtype(r, scales, preset):
    """The dtype in which they are exported: in compressed-tensors' own dialect that of the source, in
    other dialects BF16 unless they have 16 bits already; for other runtimes their own."""
    if preset != "compressed-tensors" or scales.dtype in ("BF16", "F16"):
        return scales.dtype
    if pf.DIALECT_NAMES[r["dialect"]] == preset:
        return pf.DTYPES[r["src_dtype"]][0].replace("F8_E4M3", "F32")
    return "BF16"


def loses_scales(packed, preset, wide):
    """Whether there are scales to export that would have to be rounded."""
    return any(
        r["cls"] == pf.CODES
        and any(name not in wide for name, _ in members(r))
        and not stays(r, scales_of(packed, r), preset)
        and pf.DIALECT_NAMES[r["dialect"]] != preset
        and not packed.records[r["scale_idx"]]["flags"] & 1
        for r in packed.records
    )


# How runtimes match their lists


def ends_match(line, module):
    """transformers: the beginning up to the end of a component, or any end."""
    return f"{module}.".startswith(f"{line}.") or module.endswith(line)


def run_match(line, module):
    """SGLang: components in a row, with or without a leading "model."."""
    return f".{line.removeprefix('model.')}." in f".{module}."


# One export


class Export:
    def __init__(self, packed, directory, preset, need_safetensors, warned):
        self.packed = packed
        self.directory = directory
        self.preset = preset
        self.warned = warned  # ids of what the plan says
        self.wide, _ = wide_names(packed, preset)
        self.seen = set()
        self.fp8 = set()
        self.scale_records = set()
        self.ring = False
        self.checkpoint = Checkpoint(directory)
        self.check_tensors()
        assert set(self.checkpoint.tensors) == self.seen, set(self.checkpoint.tensors) ^ self.seen
        self.check_index()
        self.check_files()
        self.check_config()
        if need_safetensors:
            self.check_library()

    def tensor(self, name, dtype, shape):
        self.seen.add(name)
        t = self.checkpoint.tensors[name]
        assert (t.dtype, t.shape) == (dtype, list(shape)), (name, t)
        return t.data.tobytes()

    def check_tensors(self):
        for r in self.packed.records:
            if r["cls"] == pf.KEPT:
                self.check_kept(r)
            elif r["cls"] == pf.CODES:
                self.check_codes(r)

    def check_kept(self, r):
        shape = r["shape"][1:] if pf.is_stack(r["name"]) else r["shape"]
        whole = self.packed.data(r)
        size = len(whole) // max(1, len(members(r)))
        for k, (name, _) in enumerate(members(r)):
            found = self.tensor(name, pf.DTYPES[r["dtype"]][0], shape)
            assert found == bytes(whole[k * size : (k + 1) * size]), name

    def check_codes(self, r):
        codes = array(self.packed, r, np.uint8)
        scales = scales_of(self.packed, r)
        values, raw = fp8.scale_values(scales), scales.data.reshape(*scales.shape, -1)
        suffix = "_scale" if self.preset == "compressed-tensors" else "_scale_inv"
        for name, k in members(r):
            k = slice(None) if k is None else k
            one, shape = codes[k], values[k].shape
            if name in self.wide:
                dtype = pf.DTYPES[r["src_dtype"]][0].replace("F8_E4M3", "BF16")
                assert self.tensor(name, dtype, one.shape) == numbers(one, values[k], dtype), name
                continue
            self.fp8.add(name.removesuffix(".weight"))
            self.scale_records.add(r["scale_idx"])
            assert self.tensor(name, "F8_E4M3", one.shape) == one.tobytes(), name
            if stays(r, scales, self.preset):
                assert self.tensor(name + suffix, scales.dtype, shape) == raw[k].tobytes(), name
            else:
                self.tensor(name + suffix, exported_dtype(r, scales, self.preset), shape)
                wide = widen(self.checkpoint.tensors[name + suffix])
                assert wide.astype("<f4").tobytes() == values[k].astype("<f4").tobytes(), name

    def read(self, name):
        with open(os.path.join(self.directory, name), "rb") as f:
            return f.read()

    def check_index(self):
        index = json.loads(self.read(INDEX))
        sizes = [len(t.data) for t in self.checkpoint.tensors.values()]
        assert index["metadata"]["total_size"] == sum(sizes)
        assert set(index["weight_map"]) == self.seen
        count = len(self.checkpoint.shards)
        for i, shard in enumerate(self.checkpoint.shards):
            assert shard.name == f"model-{i + 1:05}-of-{count:05}.safetensors", shard
        for shard in self.checkpoint.shards:
            with open(os.path.join(self.directory, shard.name), "rb") as f:
                header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
            assert header.pop("__metadata__") == {"format": "pt"}
            for name, entry in header.items():
                assert index["weight_map"][name] == shard.name, name
                width = max(1, pf.DTYPE_BITS[entry["dtype"]] // 8)
                assert entry["data_offsets"][0] % width == 0, name

    def check_files(self):
        listed = json.loads(self.read(LIST))
        assert listed["octavo_export"] == 1 and listed["for"] == self.preset
        assert listed["root"] == self.packed.trailer["root"].hex()
        assert sorted(listed["files"] + [LIST]) == files_below(self.directory)
        for name, data in self.packed.files:
            if name != "config.json":
                assert self.read(name) == data, name

    # quantization_config

    def check_config(self):
        before = json.loads(dict(self.packed.files)["config.json"])
        text = self.read("config.json")
        config = json.loads(text)
        found = config.pop("quantization_config", None)
        source = before.pop("quantization_config", None)
        assert config == before
        self.ring = config.get("model_type") == "bailing_moe_linear"
        if not self.fp8:
            assert found is None
            assert source or text == dict(self.packed.files)["config.json"]
            return
        ignored = found.pop(KEYS[self.preset], [])
        assert ignored == sorted(set(ignored)), ignored
        self.check_ignored(ignored)
        if self.preset == "compressed-tensors":
            group = found["config_groups"]["group_0"]
            assert found["quant_method"] == "compressed-tensors"
            assert found["format"] == group["format"] == "float-quantized"
            assert group["targets"] == ["Linear"]
            assert group["weights"]["strategy"] == "block"
            assert group["weights"]["block_structure"] == [128, 128]
            assert group["input_activations"]["group_size"] == 128
            return
        expected = {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": [128, 128],
        }
        said = fp8.member(source, "scale_fmt") == "ue8m0"
        used = [self.packed.records[i] for i in self.scale_records]
        if all(s["flags"] & 1 or (said and s["origin"] == pf.CARRIED) for s in used):
            expected["scale_fmt"] = "ue8m0"
        assert found == expected, found

    def check_ignored(self, ignored):
        """No entry excludes an FP8 module, or the plan says so, and every matrix of a layer that is not
        FP8 has an entry."""
        matched = {"hf": ends_match, "sglang": run_match}.get(self.preset, str.__eq__)
        hit = [(line, m) for line in ignored for m in self.fp8 if matched(line, m)]
        assert bool(hit) == ("not-quantized" in self.warned), hit
        if self.preset != "compressed-tensors":  # which asks for expert 0, and there may be none
            assert "no-scales" not in self.warned
        for name, t in self.checkpoint.tensors.items():
            module = name.removesuffix(".weight")
            if module == name or len(t.shape) != 2 or t.dtype == "F8_E4M3" or "layers" not in name:
                continue
            own = any(
                f"{module}.{end}" in self.seen for end in ("expert_bias", "e_score_correction_bias")
            )
            if own or (self.preset == "ant-sglang" and "shared_experts" in name):
                assert module not in ignored, module
            else:
                assert self.spelled(module) in ignored, module
        if self.preset in ("hf", "compressed-tensors"):
            assert "lm_head" in ignored

    def spelled(self, module):
        slot = pf.expert_slot(module)
        if slot and self.preset != "compressed-tensors":
            module = slot[0].removesuffix(".")
        if not self.ring or self.preset not in ("sglang", "ant-sglang"):
            return module
        before, _, last = module.rpartition(".")
        gated = f"{before}.g_proj.weight" in self.seen
        names = {
            "query_key_value": "qkv_proj",
            "g_proj": "output_gate",
            "dense": "out_proj" if gated else "o_proj",
        }
        spelled = f"{before}.{names.get(last, last)}"
        return spelled.replace(".mlp.", ".") if self.preset == "ant-sglang" else spelled

    def check_library(self):
        import safetensors

        seen = set()
        for shard in self.checkpoint.shards:
            with open(os.path.join(self.directory, shard.name), "rb") as f:
                for name, entry in safetensors.deserialize(f.read()):
                    t = self.checkpoint.tensors[name]
                    assert (entry["dtype"], list(entry["shape"])) == (t.dtype, t.shape), name
                    assert bytes(entry["data"]) == t.data.tobytes(), name
                    seen.add(name)
        assert seen == self.seen


# All exports


def check_preset(packed, path, preset, scratch, need_safetensors):
    """Export until it works; every refusal must have a valid reason."""
    out = os.path.join(scratch, "out")
    options = ["-q", "--allow-unloadable", "--for", preset, "--shard-size", "700K", "--threads", "3"]
    wide, split = wide_names(packed, preset)
    if loses_scales(packed, preset, wide):
        done = run("export", path, "-o", out, "--dequantize", *options)
        assert done.returncode == 5 and "--scales ue8m0" in done.stderr, done
        return 0
    if preset == "ant-sglang" and any(str(m).endswith(".experts.") for m in split):
        done = run("export", path, "-o", out, "--dequantize", *options)
        assert done.returncode == 5 and "reads all experts as FP8" in done.stderr, done
        return 0
    if wide and preset != "bf16":
        done = run("export", path, "-o", out, *options)
        assert done.returncode == 5 and "--dequantize" in done.stderr, done
        assert not os.path.exists(out)
        options.append("--dequantize")
    octavo("export", path, "-o", out, *options)
    plan = json.loads(octavo("export", path, "-n", "--json", *options[1:]))
    warned = {w["id"] for w in plan["fit"]["warnings"]}
    Export(packed, out, preset, need_safetensors, warned)
    octavo("export", path, "-o", out, "-f", *options, "--shard-size", "1G", "--threads", "1")
    Export(packed, out, preset, need_safetensors, warned)
    shutil.rmtree(out)
    return 2


def check_checkpoint(directory, args):
    count = 0
    kinds = [("f32", "ieee"), ("ue8m0", "ieee"), ("f32", "compressed-tensors")]
    for scales, dialect in kinds:
        arithmetic = ["--scales", scales, "--dialect", dialect]
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, "packed.octavo")
            octavo("convert", directory, "-o", path, "-q", *arithmetic, *args.convert)
            packed = read_packed.PackedFile(path)
            packed.check_all()
            for preset in KEYS if dialect == "ieee" else [dialect]:
                count += check_preset(packed, path, preset, scratch, args.need_safetensors)
    return count


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--need-safetensors", action="store_true")
    parser.add_argument("--convert", action="append", default=[], metavar="OPTION")
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT")
    args = parser.parse_args()
    count = sum(check_checkpoint(c, args) for c in args.checkpoints)
    print(f"interop: {count} exports of {len(args.checkpoints)} checkpoints are right")


if __name__ == "__main__":
    sys.exit(main())
