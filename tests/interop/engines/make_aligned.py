#!/usr/bin/env python3
"""Small random checkpoints whose matrices have dimensions that are multiples of 128, where the
architecture allows it, as the kernels of the runtimes need. Made by transformers itself, always the same.

    make_aligned.py DIRECTORY      (environment: see decompress_ct.py)

Each contains golden.safetensors: input_ids and logits, computed in float32 from the stored
weights. DeepSeek-V3 keeps one unaligned dimension, as in its releases: 192 rows of kv_a_proj_with_mqa;
joined experts, which have their own tiles, may have unaligned halves.
"""

import os
import re
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

COMMON = {
    "vocab_size": 256,
    "hidden_size": 256,
    "intermediate_size": 384,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "initializer_range": 0.08,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
EXPERTS = {"moe_intermediate_size": 128, "num_experts_per_tok": 2, "norm_topk_prob": True}
GROUPS = {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1}
MLA = {
    "num_key_value_heads": 4,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 64,
    "v_head_dim": 64,
    "n_group": 2,
    "topk_group": 1,
    "routed_scaling_factor": 2.5,
}
MODELS = {
    "llama": {},
    "llama-tied": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"sliding_window": None},
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {**EXPERTS, "num_experts": 4, "mlp_only_layers": [0]},
    "qwen3_moe-joined": {
        **EXPERTS,
        "model_type": "qwen3_moe",
        "num_experts": 4,
        "moe_intermediate_size": 192,
    },
    "mixtral": {"num_local_experts": 4, "intermediate_size": 256},
    "minimax": {
        "num_local_experts": 4,
        "intermediate_size": 256,
        "block_size": 32,
        "layer_types": ["linear_attention", "full_attention"],
    },
    "glm4_moe": {**EXPERTS, **GROUPS, "n_group": 1, "topk_group": 1, "use_qk_norm": True},
    "deepseek_v3": {**EXPERTS, **GROUPS, **MLA},
}


def randomize(model, seed):
    """Also norms and biases, because values of 1 or 0 hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        p.data = (1 + 0.2 * noise if "norm" in name else 0.08 * noise).to(p.dtype)
    for name, b in sorted(model.named_buffers()):
        if name.endswith("e_score_correction_bias"):
            b.data = (0.05 * torch.randn(b.shape, generator=generator)).to(b.dtype)


def join_experts(path, experts):
    """Experts in three dimensions, as in some releases."""
    tensors = load_file(path)
    first = re.compile(r"(.*\.experts)\.0\.gate_proj\.weight")
    for prefix in [m.group(1) for m in map(first.fullmatch, list(tensors)) if m]:
        of = {}
        for end in ("gate_proj", "up_proj", "down_proj"):
            names = [f"{prefix}.{e}.{end}.weight" for e in range(experts)]
            of[end] = torch.stack([tensors.pop(n) for n in names])
        tensors[f"{prefix}.gate_up_proj"] = torch.cat([of["gate_proj"], of["up_proj"]], 1)
        tensors[f"{prefix}.down_proj"] = of["down_proj"]
    save_file(tensors, path, {"format": "pt"})


def make(name, settings, directory):
    config = AutoConfig.for_model(**{"model_type": name, **COMMON, **settings})
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    randomize(model, sum(name.encode()))
    model.tie_weights()
    model.save_pretrained(directory, max_shard_size="5GB")
    if name.endswith("-joined"):
        join_experts(os.path.join(directory, "model.safetensors"), config.num_experts)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, config.vocab_size, (2, 96), generator=generator)
    with torch.no_grad():
        golden = {"input_ids": ids, "logits": model(input_ids=ids).logits.contiguous()}
    save_file(golden, os.path.join(directory, "golden.safetensors"))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, settings in MODELS.items():
        make(name, settings, os.path.join(sys.argv[1], name))
        print(name, flush=True)


if __name__ == "__main__":
    main()
