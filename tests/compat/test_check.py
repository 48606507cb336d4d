#!/usr/bin/python3
"""Tests of check_export.py: it finds nothing in right exports, and every fault that is planted in one.

Exports are made here, by hand: the test needs no octavo."""

import json
import os
import sys
import tempfile
import unittest

import numpy as np

import check_export
import fp8_values as v
import tensors as t

PRESET = {"fp8": "vllm", "ct": "compressed-tensors"}


def quantized(name, tensor):
    """(codes, scales) of a BF16 matrix, rounded to nearest by search."""
    x = v.numbers(tensor)
    scale = (v.largest_of_tiles(x) / 448).astype("<f4").astype(float)
    table = np.sort(v.E4M3[:127])
    at = np.searchsorted((table[1:] + table[:-1]) / 2, np.abs(x) / scale)
    return (at + np.where(x < 0, 128, 0)).astype(np.uint8), scale[::128, ::128]


class Case(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.source, self.out = (os.path.join(scratch.name, n) for n in ("source", "out"))
        self.m = t.Checkpoint("source")
        t.moe(self.m)
        self.m.files["LICENSE"] = "As you like it.\n"
        self.m.save(self.source)

    def export(self, preset="vllm"):
        """A right export of the source: everything but the router is FP8."""
        e = t.Checkpoint("export")
        e.tensors, e.files = dict(self.m.tensors), dict(self.m.files)
        suffix = "_scale" if preset == "compressed-tensors" else "_scale_inv"
        for name in [n for n in e.tensors if n.endswith("_proj.weight") and preset != "bf16"]:
            codes, scale = quantized(name, v.Tensor(*e.tensors[name]))
            e.put(name, "F8_E4M3", codes.shape, codes.tobytes())
            e.put(name + suffix, "F32", scale.shape, scale.astype("<f4").tobytes())
        config = {**t.BLOCK_FP8, "ignored_layers": ["model.layers.0.mlp.gate"]}
        text = self.m.files["config.json"].rstrip()[:-1].rstrip()
        if preset != "bf16":
            text += f',\n  "quantization_config": {json.dumps(config)}'
        e.files["config.json"] = text + "\n}\n"
        return e

    def faults(self, e, preset="vllm"):
        e.files[check_export.INDEX] = json.dumps(
            {
                "metadata": {"total_size": sum(len(x[2]) for x in e.tensors.values())},
                "weight_map": {n: "model.safetensors" for n in e.tensors},
            }
        )
        e.save(self.out)
        return check_export.check(self.source, self.out, preset)

    def must_find(self, e, *words, preset="vllm"):
        found = "\n".join(self.faults(e, preset))
        for word in words:
            self.assertIn(word, found)


Q = "model.layers.0.self_attn.q_proj.weight"
E0 = "model.layers.0.mlp.experts.0.up_proj.weight"


class Right(Case):
    def test_fp8(self):
        self.assertEqual(self.faults(self.export()), [])

    def test_bf16(self):
        self.assertEqual(self.faults(self.export("bf16"), "bf16"), [])


class Wrong(Case):
    def config(self, e, change):
        config = json.loads(e.files["config.json"])
        change(config)
        e.files["config.json"] = json.dumps(config, indent=2)

    def test_scales(self):
        for change, words in (
            (lambda e: e.tensors.pop(Q + "_scale_inv"), "no " + Q),
            (lambda e: e.f32(Q + "_scale_inv", 2, 3), "scales of shape"),
            (lambda e: e.raw(Q + "_scale_inv", "U8", (2, 2)), "scales in U8"),
            (lambda e: e.f32(Q + "_scale_inv", 2, 2, value=0.5), "values differ"),
            (lambda e: e.rename(Q + "_scale_inv", Q + "_scale"), "not in the source"),
        ):
            e = self.export()
            change(e)
            self.must_find(e, words)

    def test_tensors(self):
        for change, words in (
            (lambda e: e.tensors.pop("model.norm.weight"), "model.norm.weight: lost"),
            (lambda e: e.bf16("model.extra", 3), "model.extra: not in the source"),
            (lambda e: e.bf16("model.norm.weight", t.H), "its bytes changed"),
            (lambda e: e.raw(E0, "F8_E4M3", (128, t.H)), "values differ"),
            (lambda e: e.bf16("model.norm.weight", t.H, 1), "model.norm.weight: shape"),
            (
                lambda e: e.raw("model.layers.0.mlp.up_proj.qweight", "I32", (8, 8)),
                "nothing describes",
            ),
            (lambda e: e.f32("model.layers.0.mlp.up_proj.input_scale"), "nothing describes"),
        ):
            e = self.export()
            change(e)
            self.must_find(e, words)

    def test_list(self):
        for entry, words in (
            ("model.layers.0.self_attn.q_proj", "leaves it out"),
            ("model.layers.0.mlp.experts", "leaves it out"),
            (None, "not in the list"),
        ):
            e = self.export()
            self.config(
                e,
                lambda c, x=entry: c["quantization_config"].update(ignored_layers=[x] if x else []),
            )
            self.must_find(e, words)

    def test_wide_without_entry(self):
        e = self.export()
        e.tensors[Q] = self.m.tensors[Q]
        del e.tensors[Q + "_scale_inv"]
        self.must_find(e, f"{Q}: not FP8, and not in the list")

    def test_descriptions(self):
        nested = {"text_config": {"quantization_config": t.BLOCK_FP8}}
        for change, words in (
            (lambda c: c.update(nested), "text_config.quantization_config"),
            (lambda c: c.pop("quantization_config"), "contradict"),
            (lambda c: c.update(hidden_size=255), "outside the description"),
            (
                lambda c: c["quantization_config"].update(weight_block_size=[64, 64]),
                "weight_block_size",
            ),
            (
                lambda c: c["quantization_config"].update(activation_scheme="static"),
                "activation_scheme",
            ),
            (lambda c: c["quantization_config"].update(scale_fmt="ue8m0"), "ue8m0"),
            (lambda c: c["quantization_config"].update(quant_method="gptq"), "quant_method"),
        ):
            e = self.export()
            self.config(e, change)
            self.must_find(e, words)

    def test_reformatted(self):
        e = self.export()
        e.files["config.json"] = json.dumps(json.loads(e.files["config.json"]))
        self.must_find(e, "not byte for byte")

    def test_files(self):
        for name, text, words in (
            ("hf_quant_config.json", "{}", "a second description"),
            ("LICENSE", "Not as you like it.\n", "differs from the source"),
            ("stray.txt", "", "not in the source"),
        ):
            e = self.export()
            e.files[name] = text
            self.must_find(e, words)
            os.unlink(os.path.join(self.out, name))

    def test_fp8_in_bf16(self):
        self.must_find(self.export(), "there is a quantization_config", "are FP8", preset="bf16")

    def test_embedding(self):
        e = self.export()
        name = "model.embed_tokens.weight"
        codes, scale = quantized(name, v.Tensor(*e.tensors[name]))
        e.put(name, "F8_E4M3", codes.shape, codes.tobytes())
        e.put(name + "_scale_inv", "F32", scale.shape, scale.astype("<f4").tobytes())
        self.must_find(e, "FP8, which vllm never reads")

    def test_carried_codes_with_other_scales(self):
        t.fp8(self.m, Q)
        self.m.config["quantization_config"] = t.BLOCK_FP8
        del self.m.files["config.json"]
        self.m.save(self.source)
        e = self.export()
        e.tensors[Q] = self.m.tensors[Q]
        e.tensors[Q + "_scale_inv"] = self.m.tensors[Q + "_scale_inv"]
        self.config(e, lambda c: None)
        self.assertEqual([x for x in self.faults(e) if Q in x], [])
        e.f32(Q + "_scale_inv", 2, 2)
        self.must_find(e, "the same codes with other scales")


if __name__ == "__main__":
    sys.exit(unittest.main())
