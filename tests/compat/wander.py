#!/usr/bin/python3
"""Random checkpoints, made of the parts of tensors.py, through convert, verify and export.

    wander.py FIRST [COUNT [DIR]]

Run by hand, not by `make test`. A seed, from FIRST on, gives a family of models, another method or spelling
for some of its weights, descriptions that agree with the tensors or not, and options; run.py checks what
octavo makes of it, with two presets for each. DIR gets the checkpoint. Prints faults, with what was done.
Hints are not followed: where the source contradicts itself, no option mends that.
"""

import fnmatch
import json
import os
import random
import shutil
import sys
import tempfile

import cases_all
import run
import tensors as t
from cases import CASES, PRESETS, Case

assert cases_all
FROM_CASES = ("step35-stacks", "granite-stacks", "gpt-oss-bf16", "qwen3-vl-moe-stacks", "ling-3")
FROM_CASES += ("qwen35-moe-stacks", "qwen35-gdn", "qwen3-next", "indexer-bf16", "kimi-linear")
FROM_CASES += ("mamba2-hybrid", "gemma3-towers", "glm-mtp", "nested-head")
ARCHITECTURES = ("LlamaForCausalLM", "MixtralForCausalLM", "DeepseekV3ForCausalLM", "X")
ARCHITECTURES += ("BailingMoeV3ForCausalLM", "KimiK25ForConditionalGeneration", "OlmoForCausalLM")
PATTERNS = ("*_proj.weight", "*mlp*_proj.weight", "*self_attn*_proj.weight", "*experts*")
PATTERNS += ("*experts.1.*", "*q_proj.weight", "*down_proj*", "*layers.0.*.weight", "*gate.weight")
PATTERNS += ("lm_head.weight", "*embed_tokens.weight", "*shared_expert*", "*in_proj*.weight", "*")
SPELLINGS = ("_scale_inv", "_scale_inv", "_scale", ".scale", ".qscale_weight", ".scale_weight")
DESCRIPTIONS = (t.BLOCK_FP8, t.BLOCK_FP8, {**t.BLOCK_FP8, "weight_block_size": [64, 64]}, {}, None)
DESCRIPTIONS += ({"quant_method": "gptq", "bits": 4}, {"quant_method": "fancy"})
OTHERS = (t.nvfp4, t.gptq, t.pack_quantized, t.bitsandbytes)
SHAPES = (lambda r, c: (), lambda r, c: (1,), lambda r, c: (r, 1), lambda r, c: (r,))


def family(m, r):
    kind = r.randrange(4)
    if kind == 0:
        h, inter = r.choice((256, 256, 288, 384)), r.choice((512, 320, 130))
        t.llama(m, r.choice((1, 2)), h, inter, r.choice(("model.", "model.language_model.", "")))
    elif kind == 1:
        t.moe(m, r.choice((1, 2)), r.choice((1, 2, 3)), r.choice((128, 192, 100)))
    elif kind == 2:
        t.moe(m)
        m.pop("*experts*")
        t.stacked_experts(m, "model.layers.0.mlp.experts.", 2, transposed=r.random() < 0.4)
        if r.random() < 0.5:
            m.tensors = {n + ".weight" * ("experts" in n): x for n, x in m.tensors.items()}
    else:
        name = r.choice(FROM_CASES)
        CASES[name].build(m)
        return name
    return ("llama", "moe", "stacks")[kind]


def quantize(m, r, name):
    """Another form for one weight."""
    _, shape, _ = m.tensors[name]
    kind = r.choice(("block", "block", "block", "few", "other", "none"))
    if kind == "block":
        block = r.choice(((128, 128), (128, 128), (128, 128), (64, 64), (1, 128)))
        dtype = r.choice(("F32", "F32", "BF16", "F16", "F8_E8M0"))
        t.fp8(m, name, r.choice(SPELLINGS), block, dtype)
    elif kind == "few":
        t.fp8(m, name, r.choice(SPELLINGS), shape=r.choice(SHAPES))
    elif kind == "none":
        t.fp8(m, name, None, code=r.choice(("F8_E4M3", "F8_E5M2")))
    elif len(shape) == 2 and name.endswith("weight") and shape[1] % 128 == shape[0] % 8 == 0:
        r.choice(OTHERS)(m, name)


def describe(m, r):
    text = r.choice(DESCRIPTIONS)
    where = r.choice(("", "", "text_config", "thinker_config", "quantize_config.json"))
    if where.endswith(".json"):
        m.files[where] = json.dumps(text)
    elif where:
        m.config.setdefault(where, {})["quantization_config"] = text
    else:
        m.config["quantization_config"] = text


def options(m, r):
    chosen = []
    for _ in range(r.choice((0, 0, 1, 2))):
        glob = r.choice(PATTERNS) if r.random() < 0.6 else r.choice(list(m.tensors))
        chosen += [r.choice(("--keep", "--keep", "--quantize")), glob]
    if r.random() < 0.3:
        chosen += ["--scales", r.choice(("ue8m0", "f32"))]
    if r.random() < 0.2:
        chosen += ["--dialect", r.choice(("deepgemm", "compressed-tensors", "linghe"))]
    return chosen + [o for o in ("--requantize", "--allow-none") if r.random() < 0.4]


def build(seed):
    """(checkpoint, shards or None, options, what was done, random numbers)"""
    r = random.Random(seed)
    m = t.Checkpoint(f"wander-{seed}")
    done = [family(m, r)]
    if r.random() < 0.2:
        m.config["architectures"] = [r.choice(ARCHITECTURES)]
    plain = dict(m.tensors)
    for pattern in r.sample(PATTERNS, r.choice((0, 1, 1, 2))):
        alike = r.random()
        for name in [n for n in m.tensors if fnmatch.fnmatchcase(n, pattern)]:
            if m.tensors[name][0] == "BF16" and len(m.tensors[name][1]) in (2, 3):
                quantize(m, random.Random(alike if r.random() < 0.9 else r.random()), name)
        done.append(pattern)
    if r.random() < (0.8 if plain != m.tensors else 0.2):
        describe(m, r)
    shards = m.halves() if r.random() < 0.3 and len(m.tensors) > 6 else None
    return m, shards, options(m, r), done, r


class Wander(run.Walk):
    presets = PRESETS

    def check_packed(self, path):
        status, text = self.run("verify", path, "--against", self.source, "--threads", "1")
        self.must("verify", status == 0, f"exit {status}: {text[-300:]}")
        for preset in self.presets:
            self.check_preset(preset, path)

    def follow(self, preset, text, *more):
        pass


def wander(seed, keep):
    m, shards, chosen, done, r = build(seed)
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "source")
        m.save(source, shards)
        if keep:
            shutil.copytree(source, keep, dirs_exist_ok=True)
        case = Case(f"seed {seed}", None, tuple(chosen), (0, 2, 5))
        walk = Wander(case, source, scratch)
        walk.presets = r.sample(PRESETS, 2)
        walk.walk()
    if walk.faults:
        run.tell(case.name, walk.faults)
        print(f"    {done} {chosen}", flush=True)
    return case.name, walk.faults, walk.exports


def main():
    first, count = int(sys.argv[1]), int((sys.argv[2:] or ["1"])[0])
    keep = sys.argv[3] if len(sys.argv) > 3 else None
    results = [wander(seed, keep) for seed in range(first, first + count)]
    print(f"wander: {len(results)} checkpoints, {sum(r[2] for r in results)} exports checked")
    return int(any(r[1] for r in results))


if __name__ == "__main__":
    sys.exit(main())
