#!/usr/bin/python3
"""Compare `octavo verify --forward` with forward_np.py, on small random models of every shape that a configuration
can have.

    OCTAVO=build/octavo forward_check.py SCRATCH_DIRECTORY

The golden results of ring-micro-linear come from one hybrid model; the models here include softmax-only ones, YaRN, tied
heads, odd head counts, incomplete groups of layers, and every router option.
"""

import json
import os
import subprocess
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import forward_np  # noqa: E402
import make_checkpoint  # noqa: E402

LIMIT = 1e-5
MODELS = os.path.join(HERE, "..", "data", "ring-micro-linear", "config.json")

SOFTMAX_ONLY = {
    "architectures": ["BailingMoeV2ForCausalLM"],
    "model_type": "bailing_moe",
    "layer_group_size": None,
    "group_norm_size": None,
    "linear_silu": None,
}
YARN = {
    "type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "beta_fast": 32,
    "beta_slow": 1,
}
# Name: changes to the configuration of ring-micro-linear (None: the key is removed), slopes.
CASES = {
    "hybrid": ({}, "trained"),
    "hybrid, hf": ({}, "hf"),
    "softmax only": (SOFTMAX_ONLY, "trained"),
    "softmax only, yarn": ({**SOFTMAX_ONLY, "rope_scaling": YARN}, "trained"),
    "yarn": ({"rope_scaling": {**YARN, "attention_factor": 1.25}}, "trained"),
    "tied": ({**SOFTMAX_ONLY, "tie_word_embeddings": True}, "trained"),
    "incomplete group": ({"num_hidden_layers": 8, "layer_group_size": 3}, "trained"),
    "six heads of 40": ({"head_dim": 40, "num_key_value_heads": 3}, "hf"),
    "silu": ({"linear_silu": True}, "trained"),
    "shares as they are": ({"norm_topk_prob": False, "routed_scaling_factor": 1.5}, "trained"),
    "no bias": ({"moe_router_enable_expert_bias": False}, "trained"),
    "one group": ({"n_group": 1, "topk_group": 1, "num_experts_per_tok": 3}, "trained"),
    "one norm group": ({"group_norm_size": 1}, "trained"),
    "two dense layers": ({"first_k_dense_replace": 2}, "trained"),
    "whole heads turn": ({"partial_rotary_factor": 1.0, "rope_theta": 600000}, "trained"),
}


def make(directory, change):
    with open(MODELS, encoding="utf-8") as f:
        config = json.load(f)
    config.update(change)
    config = {k: v for k, v in config.items() if v is not None or k == "rope_scaling"}
    make_checkpoint.write_checkpoint(
        directory, config, make_checkpoint.DTYPES["bf16"][0], 3, 10 << 30
    )


def reference(directory, slope, path):
    ids = np.random.default_rng(7).integers(0, 512, (2, 40))
    model = forward_np.Model(*forward_np.read_checkpoint(directory), slope)
    results = forward_np.forward(model, ids, None)
    forward_np.st_write.write_file(
        path,
        [
            (name, dtype, list(x.shape), x.astype(kind).tobytes())
            for name, x in results.items()
            for dtype, kind in [("I32", "<i4") if x.dtype.kind == "i" else ("F32", "<f4")]
        ],
    )


def complaints(report):
    """What is wrong."""
    form = report["forward"]["variants"][0]
    for layer in form["layers"]:
        for key in ("hidden_rms", "local_error"):
            if not layer[key] <= LIMIT:
                yield f"layer {layer['layer']}: {key} {layer[key]}"
        if layer["router_agreement"] not in (None, 1):
            yield f"layer {layer['layer']}: experts agree for {layer['router_agreement']}"
    if not form["summary"]["kl_max"] <= 1e-8:
        yield f"kl_max {form['summary']['kl_max']}"


def check(octavo, scratch, number, change, slope):
    directory = os.path.join(scratch, f"model{number}")
    path = os.path.join(scratch, f"reference{number}.safetensors")
    make(directory, change)
    reference(directory, slope, path)
    command = [octavo, "verify", directory, "--forward", "--reference", path, "--slope", slope]
    done = subprocess.run(
        [*command, "--mode", "both", "--json"], stdout=subprocess.PIPE, check=False
    )
    report = json.loads(done.stdout)
    if done.returncode != 0:
        return [f"exit status {done.returncode}: {report['error']['message']}"]
    return list(complaints(report))


def main():
    failed = 0
    for number, (name, (change, slope)) in enumerate(CASES.items()):
        found = check(os.environ["OCTAVO"], sys.argv[1], number, change, slope)
        failed += bool(found)
        for text in found:
            print(f"{name}: {text}")
    print(f"forward: {len(CASES) - failed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
