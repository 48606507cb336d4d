#!/usr/bin/python3
"""Check the answers of `octavo convert -n --for` about splitting, by a second implementation of
spec/export.md section 8.1.

    OCTAVO=build/octavo fit_check.py SCRATCH CHECKPOINT...

Uses the checkpoints, and models of two layers with the sizes of released models, which are made in
SCRATCH (headers only).

From names, shapes and decisions of the plan and from config.json it determines for every runtime and
many pairs of tp and ep which tensors do not fit, tensor by tensor and device by device, by making
the pieces; octavo does it by kind of matrix and by division.
"""

import json
import os
import re
import subprocess
import sys

OCTAVO = os.environ.get("OCTAVO", "build/octavo")
SIZES = [1, 2, 3, 4, 5, 8, 16, 32]
RUNTIMES = ["hf", "vllm", "sglang", "ant-sglang", "areal", "compressed-tensors"]
JOINS = ["q_proj k_proj v_proj", "gate_proj up_proj", "w1 w3", "q_a_proj kv_a_proj_with_mqa"]
ROWS = "q_proj k_proj v_proj gate_proj up_proj w1 w3 q_b_proj kv_b_proj g_proj output_gate".split()
COLUMNS = "o_proj dense out_proj down_proj w2".split()

MAKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sparse_checkpoint.py")

# model_type: hidden, heads, kv heads, head_dim, MLP, expert, experts, and other keys
MADE = {
    "llama": (3072, 24, 8, 128, 8192, 0, 0, {}),
    "qwen2": (896, 14, 2, 64, 4864, 0, 0, {}),
    "qwen3": (5120, 64, 8, 128, 25600, 0, 0, {}),
    "qwen3_moe": (2048, 32, 4, 128, 6144, 768, 128, {"mlp_only_layers": [0]}),
    "mixtral": (4096, 32, 8, 128, 14336, 0, 8, {}),
    "minimax": (6144, 64, 8, 128, 9216, 0, 32, {"block_size": 256}),
    "glm4_moe": (4096, 96, 8, 128, 10944, 1408, 128, {"n_shared_experts": 1}),
    "deepseek_v3": (7168, 128, 128, 64, 18432, 2048, 256, {"n_shared_experts": 1}),
    "bailing_moe": (2048, 16, 4, 128, 5120, 512, 256, {"num_shared_experts": 1}),
    "bailing_moe_linear": (4096, 32, 4, 128, 9216, 1024, 256, {"num_shared_experts": 1}),
}
COMMON = {
    "num_hidden_layers": 2,
    "vocab_size": 1000,
    "first_k_dense_replace": 1,
    "layer_group_size": 2,
    "group_norm_size": 4,
    "layer_types": ["linear_attention", "full_attention"],
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "q_lora_rank": 1536,
}


def make(scratch, kind):
    hidden, heads, kv, dim, mlp, expert, experts, more = MADE[kind]
    config = dict(COMMON, model_type=kind, hidden_size=hidden, num_attention_heads=heads)
    config.update(num_key_value_heads=kv, head_dim=dim, intermediate_size=mlp, **more)
    config.update(moe_intermediate_size=expert, num_experts=experts)
    if kind == "deepseek_v3":
        config["kv_lora_rank"] = 512
    if not kind.startswith("bailing"):
        del config["group_norm_size"]
    path = os.path.join(scratch, kind)
    with open(path + ".json", "w", encoding="utf-8") as f:
        json.dump(config, f)
    subprocess.run([sys.executable, MAKER, path + ".json", path], check=True)
    return path


def plan_of(checkpoint, runtime, options):
    sizes = ",".join(map(str, SIZES))
    command = [OCTAVO, "convert", checkpoint, "-n", "--json", "--for", runtime, "--tp", sizes]
    done = subprocess.run(command + ["--ep", sizes, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode in (0, 1), (command, done.returncode)
    return json.loads(done.stdout), done.returncode


class Model:
    def __init__(self, path):
        with open(os.path.join(path, "config.json"), encoding="utf-8") as f:
            c = json.load(f)
        self.heads = c.get("num_attention_heads") or 0
        self.kv = c.get("num_key_value_heads") or self.heads
        self.dim = c.get("head_dim") or (self.heads and c["hidden_size"] // self.heads)
        self.mla = bool(c.get("kv_lora_rank"))
        self.groups = c.get("group_norm_size") or (c["model_type"] == "bailing_moe_linear")
        self.experts = max(
            c.get(k) or 0 for k in ("num_experts", "n_routed_experts", "num_local_experts")
        )


def pieces(total, count):
    """Where the pieces begin and end, None if there is no such split."""
    return [total // count * i for i in range(count + 1)] if total % count == 0 else None


def on_tiles(total, count):
    cuts = pieces(total, count)
    return cuts is not None and all(cut % 128 == 0 for cut in cuts)


def parts_of(last, rows, model):
    """[(rows, most pieces)] that are split separately; None if unknown."""
    most = model.kv if not model.mla else None
    if last in ("query_key_value", "qkv_proj"):
        q, kv = model.heads * model.dim, (0 if model.mla else model.kv) * model.dim
        if q and rows == q + 2 * kv:
            return [(q, None), (kv, most), (kv, most)]
        return [(q, None)] * 3 if q and rows == 3 * q else None
    if last == "gate_up_proj":
        return [(rows // 2, None)] * 2 if rows % 2 == 0 else None
    return [(rows, most if last in ("k_proj", "v_proj") else None)]


def fits(name, shape, names, model, runtime, devices):
    module = re.sub(r"\.weight$", "", name)
    suffix = name[len(module) :]
    parent, _, last = module.rpartition(".")
    rows, cols = shape[-2:]
    joins = runtime != "hf"
    beside = [
        other
        for group in JOINS
        if last in group.split()
        for other in group.split()
        if other != last and f"{parent}.{other}{suffix}" in names
    ]
    if last in COLUMNS:
        return devices == 1 or on_tiles(cols, devices)
    if last == "q_a_proj":
        return not (joins and beside) or rows % 128 == 0
    if last not in ROWS and last not in ("query_key_value", "qkv_proj", "gate_up_proj"):
        return True
    parts = parts_of(last, rows, model)
    if parts is None or (devices == 1 and not (joins and (beside or len(parts) > 1))):
        return True
    return all(on_tiles(n, min(devices, most or devices)) for n, most in parts)


def run_reasons(model, runtime, tp, ep, experts):
    within = runtime in ("sglang", "ant-sglang", "areal")
    shared = model.kv % tp == 0 or (runtime != "hf" and tp % model.kv == 0)
    return {
        "heads": model.heads % tp != 0,
        "kv-heads": not model.mla and not shared,
        "norm-groups": model.groups % tp != 0,
        "experts": experts % ep != 0,
        "no-experts": ep > 1 and experts == 0,
        "sizes": ep > 1 and ep % tp != 0 and not (within and tp % ep == 0),
    }


def without_ragged(records):
    """Without the experts of layers where the second of two joined halves would begin within a tile,
    which the export for transformers refuses."""
    halves = ("gate_proj", "up_proj", "w1", "w3")
    ragged = {
        r["name"].partition(".experts.")[0]
        for r in records
        if ".experts." in r["name"]
        and r["name"].removesuffix(".weight").rpartition(".")[2] in halves
        and len(r["shape"]) == 2 + ("*" in r["name"])
        and r["shape"][-2] % 128 != 0
    }
    return [
        r
        for r in records
        if ".experts." not in r["name"] or r["name"].partition(".experts.")[0] not in ragged
    ]


def check(checkpoint, runtime, options=()):
    plan, status = plan_of(checkpoint, runtime, options)
    model = Model(checkpoint)
    records = plan["plan"]["records"]
    names = {r["name"] for r in records}
    quantized = [r for r in records if r["decision"] == "quantize"]
    if runtime == "ant-sglang":  # it builds these without FP8, as octavo reports
        quantized = [r for r in quantized if ".shared_experts." not in r["name"]]
    if runtime == "areal":
        quantized = [r for r in quantized if ".g_proj." not in r["name"]]
    if runtime == "hf":
        quantized = without_ragged(quantized)
    stacks = [r["shape"][0] for r in records if ".experts." in r["name"] and len(r["shape"]) == 3]
    experts = max(stacks, default=model.experts)
    for run in plan["fit"]["runs"]:
        tp, ep = run["tp"], run["ep"]
        reasons = {k for k, bad in run_reasons(model, runtime, tp, ep, experts).items() if bad}
        bad = 0
        for r in quantized:
            devices = max(1, tp // ep) if ".experts." in r["name"] else tp
            matrices = r["shape"][0] if len(r["shape"]) == 3 else 1
            fit = fits(r["name"], r["shape"], names, model, runtime, devices)
            bad += 0 if fit else matrices
        found = {r["reason"] for r in run["reasons"]} - {"rows", "columns"}
        what = (checkpoint, runtime, tp, ep)
        assert found == reasons, (what, found, reasons)
        assert run["failing_matrices"] == bad, (what, run["failing_matrices"], bad)
        assert run["fits"] == (not reasons and not bad), what
    no = any(not r["fits"] for r in plan["fit"]["runs"])
    no = no or any(w["blocking"] for w in plan["fit"]["warnings"])
    assert status == no and plan["fit"]["fits"] == (not no), (checkpoint, runtime)
    return len(plan["fit"]["runs"])


def main():
    checkpoints = [make(sys.argv[1], kind) for kind in MADE] + sys.argv[2:]
    runs = sum(
        check(checkpoint, runtime, options)
        for checkpoint in checkpoints
        for runtime in RUNTIMES
        for options in ((), ("--scales", "ue8m0"))
    )
    print(f"fit: {runs} runs of {len(checkpoints)} checkpoints judged the same")


if __name__ == "__main__":
    main()
