#!/usr/bin/python3
"""Exports of checkpoints that are already FP8, and round trips.

    fp8_export.py [--need-safetensors] [CHECKPOINT...]

Carried tensors come out as they were in the source: the same names (except those of scales), dtypes
and bytes; config.json keeps every byte except its quantization_config. An export that is converted and
exported again is the same, file by file; this is also checked for the CHECKPOINTs. $OCTAVO is the program.
"""

import argparse
import filecmp
import json
import os
import sys
import tempfile

import export_check
import fp8_checkpoint
import fp8_np as fp8
import packed_format as pf
import read_packed
from checkpoint_np import Checkpoint
from export_check import octavo, run
from fp8_checkpoint import KINDS

EXPORTED = (
    "deepseek",
    "deepseek-pow2",
    "e8m0",
    "qwen",
    "compressed",
    "half",
    "fused",
    "values",
    "rows",
    "tiles-64x64",
    "tiles-256x32",
)
BLOCK_PRESETS = ("hf", "vllm", "sglang", "areal")
AGAIN = ("hf", "vllm", "sglang", "compressed-tensors")


def convert(source, path, *options):
    octavo("convert", source, "-o", path, "-q", "--requantize", *options)
    packed = read_packed.PackedFile(path)
    packed.check_all()
    return packed


# Comparison with the source


def carried_of(packed):
    """{name: name of its scales in the source} of the tensors that were carried."""
    records = [r for r in packed.records if r["cls"] == pf.CODES and r["origin"] == pf.CARRIED]
    return [name for r in records for name, _ in export_check.members(r)]


def check_source(packed, source, directory, preset):
    """Everything that is carried or kept has the dtype, shape and bytes that the source has."""
    theirs, ours = Checkpoint(source).tensors, Checkpoint(directory).tensors
    carried = carried_of(packed)
    suffix = "_scale" if preset == "compressed-tensors" else "_scale_inv"
    for name in carried:
        assert same(ours[name], theirs[name]), name
        scales = fp8.scales_of(theirs[name], theirs)
        if preset != "compressed-tensors" or scales.dtype in ("BF16", "F16"):
            assert same(ours[name + suffix], scales), name
    for r in packed.records:
        for name, _ in export_check.members(r) if r["cls"] == pf.KEPT else ():
            assert same(ours[name], theirs[name]), name
    return len(carried)


def same(a, b):
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.data.tobytes() == b.data.tobytes()


def check_config(kind, directory):
    """Everything except quantization_config has every byte of the source."""
    before = fp8_checkpoint.config_text(kind.quantization).decode()
    own = json.dumps(kind.quantization, indent=4)
    rest = (
        before.replace(f'\n "quantization_config" : {own} ,', "", 1)
        if kind.quantization
        else before
    )
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
        text = f.read()
    spaceless = "".join(rest[: rest.rindex("}")].split())
    assert "".join(text.split()).startswith(spaceless), text
    for part in ('{ "model_type":"deepseek_v3"', '\t"rope_theta": 1.00E+4,"note":"\\u00e9 é }"'):
        assert part in text and part in rest, text
    assert text.count("quantization_config") == int("quantization_config" in json.loads(text))


def check_kind(kind, scratch, need_safetensors):
    source, path = os.path.join(scratch, kind.name), os.path.join(scratch, "packed.octavo")
    fp8_checkpoint.write(kind, source)
    count = 0
    for scales in ("f32", "ue8m0"):
        packed = convert(source, path, "-f", "--scales", scales)
        for preset in export_check.KEYS:
            count += export_check.check_preset(packed, path, preset, scratch, need_safetensors)
        for preset in (*BLOCK_PRESETS, "compressed-tensors", "bf16"):
            count += check_against_source(kind, packed, path, source, preset)
    return count


def check_against_source(kind, packed, path, source, preset):
    """If nothing must be dequantized, the export is the source; returns the number of exports."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        done = run("export", path, "-o", out, "-q", "--allow-unloadable", "--for", preset)
        if done.returncode:
            assert done.returncode == 5 and not os.path.exists(out), done
            return 0
        if preset != "bf16":
            check_source(packed, source, out, preset)
        check_config(kind, out)
    return 1


# Round trips


def differences(a, b):
    """Names of the files that differ between two exports, except the list, which names the packed file."""
    names = sorted({*os.listdir(a), *os.listdir(b)} - {export_check.LIST})
    return filecmp.cmpfiles(a, b, names, shallow=False)[1:]


def names_of(packed):
    return [r["name"] for r in packed.records]


def round_trip(source, scales, preset):
    """Export, convert, export: the two exports are the same. Returns whether the runtime accepts it."""
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "packed.octavo")
        first, second = os.path.join(scratch, "first"), os.path.join(scratch, "second")
        before = names_of(convert(source, path, "--scales", scales))
        done = run("export", path, "-o", first, "-q", "--allow-unloadable", "--for", preset, "--shard-size", "2M")
        if done.returncode:
            assert done.returncode == 5, done
            return 0
        packed = convert(first, path, "-f")  # with f32: all FP8 is carried
        origins = {r["origin"] for r in packed.records if r["cls"] == pf.CODES}
        assert origins <= {pf.CARRIED}, (source, preset, origins)
        octavo("export", path, "-o", second, "-q", "--allow-unloadable", "--for", preset, "--shard-size", "2M")
        # Experts whose dtypes differed in the source are a stack now, which moves them in the shards.
        if names_of(packed) == before:
            found = differences(first, second)
            assert found == ([], []), (source, preset, found)
        octavo("diff", "-q", path, first)
        octavo("verify", "-q", path, "--against", second)
        return 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--need-safetensors", action="store_true")
    parser.add_argument("checkpoints", nargs="*", metavar="CHECKPOINT")
    args = parser.parse_args()
    count = trips = 0
    with tempfile.TemporaryDirectory() as scratch:
        for kind in (k for k in KINDS if k.name in EXPORTED):
            count += check_kind(kind, scratch, args.need_safetensors)
        sources = [os.path.join(scratch, name) for name in ("deepseek-pow2", "qwen", "compressed")]
        for source in sources + args.checkpoints:
            for scales in ("f32", "ue8m0"):
                trips += sum(round_trip(source, scales, preset) for preset in AGAIN)
    print(f"interop: {count} exports of FP8 checkpoints are right, {trips} round trips")


if __name__ == "__main__":
    sys.exit(main())
