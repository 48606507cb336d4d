"""Which modules a runtime leaves out, by its own matching of the list in quantization_config.

Written from vLLM 0.33.0 (model_executor/layers/quantization/utils/quant_utils.py is_layer_skipped and
compressed_tensors/utils.py), SGLang 0.5.23 (srt/layers/quantization/utils.py and fp8.py) and transformers
5.24.0 (quantizers/quantizers_utils.py should_convert_module)."""

import re

FUSED = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
    "fused_qkv_a_proj": ("q_a_proj", "kv_a_proj_with_mqa"),
}
STACKED = {
    "gate_up_proj": ("gate_proj", "up_proj"),
    "input_linear": ("gate_proj", "up_proj"),
    "output_linear": ("down_proj",),
    "w13": ("w1", "w3"),
}
STACKS = (
    r"experts(?:\.\d+)?(?=\.\w+$)|moe(?=\.(?:gate|up|down)_proj$)|block_sparse_moe(?=\.\w+_linear$)"
)
EXPERT = re.compile(rf"^(.*\.(?:{STACKS}))")


def module_of(name):
    return name.removesuffix(".weight")


def built_as(module):
    """The module of vLLM and SGLang of which this one is a part: routed experts are one."""
    found = EXPERT.match(module)
    if not found:
        return module
    return re.sub(r"(\.experts)?(\.\d+)?$", ".experts", found.group(1), count=1)


def vllm(module, ignored):
    prefix = built_as(module)
    last = prefix.rpartition(".")[2]
    if last in ("qkv_proj", "gate_up_proj"):  # stored as built: each part is looked for
        parts = [prefix[: -len(last)] + part for part in FUSED[last]]
        return prefix in ignored or all(p in ignored for p in parts)
    if any(last in parts for parts in FUSED.values()):
        return prefix in ignored
    if "experts" in prefix:
        return any(prefix in line for line in ignored if "experts" in line)
    return prefix in ignored


def sglang(module, ignored):
    prefix = built_as(module)
    lines = [f"{p}{line.removeprefix('model.')}" for line in ignored for p in ("", "model.")]
    last = prefix.rpartition(".")[2]
    if "experts" in prefix and any(prefix in line for line in lines if "experts" in line):
        return True
    fused = next((f for f, parts in FUSED.items() if last in parts), None)
    if fused and all(prefix[: -len(last)] + p in lines for p in FUSED[fused]):
        return True
    return any(f".{line.rstrip('.')}." in f".{prefix}." for line in lines)


def transformers(module, ignored):
    boundary = r"(?:(?<=\.)|(?=\.|$))"
    return any(
        re.match(f"(?:{line}){boundary}", name) or name.endswith(line)
        for name in {module, built_as(module)}
        for line in ignored
    )


def looked_up(module):
    """The names of which all have to be listed: of a stack, those of the matrices of expert 0."""
    found = EXPERT.match(module)
    if not found or found.group(1)[-1].isdigit():
        return [module]
    experts = found.group(1).removesuffix(".experts") + ".experts"
    last = module.rpartition(".")[2]
    return [f"{experts}.0.{part}" for part in STACKED.get(last, (last,))]


def compressed_tensors(module, ignored):
    return all(
        any(re.match(line[3:], m) if line.startswith("re:") else line == m for line in ignored)
        for m in looked_up(module)
    )


def areal(module, ignored):
    """Any of the three may read the list."""
    return all(rule(module, ignored) for rule in (vllm, sglang, transformers))


# Per preset: the key of the list, the rule, the suffix of scales.
RUNTIMES = {
    "hf": ("modules_to_not_convert", transformers, "_scale_inv"),
    "vllm": ("ignored_layers", vllm, "_scale_inv"),
    "sglang": ("ignored_layers", sglang, "_scale_inv"),
    "ant-sglang": ("ignored_layers", sglang, "_scale_inv"),
    "areal": ("ignored_layers", areal, "_scale_inv"),
    "compressed-tensors": ("ignore", compressed_tensors, "_scale"),
}
# Modules that are no linear layers with FP8 in any of them, whatever the list says.
NEVER = re.compile(
    r"(^|\.)[a-z_]*(embed|norm|rotary|conv1d|wte)[a-z0-9_]*(\.|$)"
    r"|(^|\.)(tok_embeddings|pos_embed|A_log|[a-z_]*bias|sinks)(\.|$)"
)
# What vLLM and SGLang build as plain modules; transformers replaces every nn.Linear.
PLAIN = re.compile(r"(^|\.)(eh_proj|weights_proj)$")
HEAD = re.compile(r"(^|\.)(lm_head|shared_head\.head|output)$")


def is_never_fp8(module, preset, tensors):
    """Whether the runtime builds this module without FP8 by itself."""
    if NEVER.search(module):
        return True
    if HEAD.search(module):  # a list replaces the defaults of the two that have one
        return preset not in ("hf", "compressed-tensors")
    if PLAIN.search(module) and preset not in ("hf", "compressed-tensors"):
        return True
    if preset == "ant-sglang" and ".shared_experts." in module:
        return True
    bias = ("expert_bias", "e_score_correction_bias")
    return any(f"{module}.{b}" in tensors for b in bias)
