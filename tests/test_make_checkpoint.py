#!/usr/bin/python3
"""Tests of make_checkpoint.py: same names, shapes and dtypes as real checkpoints, the published
totals, same bytes for the same seed.

Real checkpoints: tests/data/ring-micro-linear, and those under $OCTAVO_MODELS (default
../shared/models) where it exists.
"""

import filecmp
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "interop"))
sys.path.insert(0, HERE)
import make_checkpoint as maker  # noqa: E402
from checkpoint_np import Checkpoint, widen  # noqa: E402
from checkpoint_shapes import tensors  # noqa: E402

MODELS = os.environ.get("OCTAVO_MODELS", os.path.join(HERE, "..", "..", "shared", "models"))


def real_checkpoints():
    found = [
        os.path.join(HERE, "data", "ring-micro-linear"),
        os.path.join(MODELS, "ring-nano-linear"),
    ]
    found += sorted(glob.glob(os.path.join(MODELS, "zoo", "*")))
    return [d for d in found if os.path.exists(os.path.join(d, "config.json"))]


def signature(checkpoint):
    return {t.name: (t.dtype, list(t.shape)) for t in checkpoint.tensors.values()}


def make(directory, preset, *options):
    command = [
        sys.executable,
        os.path.join(HERE, "make_checkpoint.py"),
        "--preset",
        preset,
        "-o",
        directory,
        *options,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Checkpoint(directory)


class MakeCheckpoint(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)

    def path(self, name):
        return os.path.join(self.scratch.name, name)

    def test_like_real_checkpoints(self):
        for directory in real_checkpoints():
            with self.subTest(directory):
                config = os.path.join(directory, "config.json")
                made = make(self.path(os.path.basename(directory)), config, "--shard-bytes", "1M")
                self.assertEqual(signature(made), signature(Checkpoint(directory)))

    def test_published_totals(self):
        """Parameters, tensors and bytes of the two releases."""
        for preset, expected in (
            ("ring-mini", (14845, 16423448320, 32846906368)),
            ("ring-flash", (24217, 104181665536, 208363346944)),
        ):
            specs = list(tensors(maker.load_config(preset)))
            self.assertEqual(maker.totals(specs, "BF16"), expected)

    def test_cut_down(self):
        made = make(
            self.path("cut"), "ring-mini", "--layers", "2", "--experts", "3", "--vocab", "100"
        )
        with open(self.path("cut/config.json"), encoding="utf-8") as f:
            config = json.load(f)
        self.assertEqual(
            signature(made),
            {s.name: ("F32" if s.kind == "f32-bias" else "BF16", s.shape) for s in tensors(config)},
        )
        self.assertEqual(
            (config["num_hidden_layers"], config["num_experts"], config["vocab_size"]), (2, 3, 100)
        )
        self.assertEqual(config["num_experts"] % config["n_group"], 0)
        self.assertLessEqual(config["num_experts_per_tok"], 3)
        self.assertNotIn("model.layers.2.input_layernorm.weight", made.tensors)

    def test_index_and_shards(self):
        micro = os.path.join(HERE, "data", "ring-micro-linear", "config.json")
        made = make(self.path("shards"), micro, "--shard-bytes", "1M")
        with open(self.path("shards/model.safetensors.index.json"), encoding="utf-8") as f:
            index = json.load(f)
        self.assertEqual(set(index["weight_map"]), set(made.tensors))
        self.assertEqual(
            index["metadata"]["total_size"], sum(len(t.data) for t in made.tensors.values())
        )
        self.assertGreater(len(made.shards), 3)
        self.assertTrue(all(s.size <= (1 << 20) + 65536 for s in made.shards))

    def test_reproducible(self):
        micro = os.path.join(HERE, "data", "ring-micro-linear", "config.json")
        a, b, c = (
            make(self.path(n), micro, "--seed", seed)
            for n, seed in (("a", "7"), ("b", "7"), ("c", "8"))
        )
        name = "model.layers.1.mlp.experts.0.up_proj.weight"
        for t in a.tensors.values():
            self.assertEqual(t.data.tobytes(), b.tensors[t.name].data.tobytes(), t.name)
        self.assertNotEqual(a.tensors[name].data.tobytes(), c.tensors[name].data.tobytes())

    def test_jobs(self):
        """Any number of processes write the same files; an error in one process fails the run."""
        micro = os.path.join(HERE, "data", "ring-micro-linear", "config.json")
        options = (micro, "--shard-bytes", "1M", "--jobs")
        for jobs in ("1", "3", "64"):
            make(self.path(jobs), *options, jobs)
        names = sorted(os.listdir(self.path("1")))
        self.assertGreater(len(names), 5)
        for jobs in ("3", "64"):
            self.assertEqual(sorted(os.listdir(self.path(jobs))), names)
            _, different, odd = filecmp.cmpfiles(
                self.path("1"), self.path(jobs), names, shallow=False
            )
            self.assertEqual((different, odd), ([], []))
        os.remove(self.path("3/config.json"))
        again = [sys.executable, maker.__file__, "--preset", *options, "3", "-o", self.path("3")]
        failed = subprocess.run(again, capture_output=True, text=True)
        self.assertEqual(failed.returncode, 1)
        self.assertRegex(failed.stderr, r"\Amake_checkpoint.py: .*File exists.*\n\Z")

    def test_values(self):
        for dtype in maker.DTYPES:
            made = make(
                self.path(dtype), "ring-mini", "--layers", "1", "--vocab", "100", "--dtype", dtype
            )
            for t in made.tensors.values():
                x = widen(t)
                self.assertTrue(np.isfinite(x).all(), t.name)
                low, high = (0.9, 1.1) if "norm" in t.name else (-0.01, 0.01)
                self.assertTrue(low < x.mean() < high, (t.name, x.mean()))
                if x.ndim == 2:
                    self.assertTrue(0.008 < x.std() < 0.06, (t.name, x.std()))
            amax = max(
                np.abs(widen(t)).max() / widen(t).std()
                for t in made.tensors.values()
                if len(t.shape) == 2
            )
            self.assertGreater(amax, 6, "no outliers")


if __name__ == "__main__":
    unittest.main()
