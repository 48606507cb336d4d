"""Names, shapes and dtypes of the tensors that a released checkpoint with a given config.json has.

tensors(config) yields Spec(name, shape, kind) in the order of the model; `kind` says what the
values look like and which dtype they have: "weight", "norm", "bias" and "decay" have the dtype of
the checkpoint, "f32-bias" is float32 in every release. tests/test_make_checkpoint.py compares all of it
with the headers of real checkpoints.
"""

from collections import namedtuple

Spec = namedtuple("Spec", "name shape kind")


class Unsupported(Exception):
    """The config asks for tensors that this module does not know."""


def tensors(config):
    model = MODELS.get(config.get("model_type"))
    if model is None:
        raise Unsupported(
            f"model_type {config.get('model_type')!r}; known: {', '.join(sorted(MODELS))}"
        )
    for key in ("attention_bias", "mlp_bias", "use_bias", "use_qkv_bias"):
        if config.get(key) and key not in BIASES.get(config["model_type"], ()):
            raise Unsupported(f"{key} is set, but the names of these biases are not known here")
    embedding = "model.word_embeddings" if model is bailing_layer else "model.embed_tokens"
    h, vocab = config["hidden_size"], config["vocab_size"]
    yield Spec(f"{embedding}.weight", [vocab, h], "weight")
    extra = config.get("num_nextn_predict_layers") or 0 if model is bailing_layer else 0
    for i in range(config["num_hidden_layers"] + extra):
        prefix = f"model.layers.{i}."
        for name, shape, kind in model(config, i):
            yield Spec(prefix + name, shape, kind)
    yield Spec("model.norm.weight", [h], "norm")
    if not config.get("tie_word_embeddings"):
        yield Spec("lm_head.weight", [vocab, h], "weight")


# Whose biases are known here, and the keys that ask for them.
BIASES = {"llama": ("attention_bias", "mlp_bias"), "qwen3": ("attention_bias",)}


def weight(name, rows, cols):
    return Spec(f"{name}.weight", [rows, cols], "weight")


def norm(name, size):
    return Spec(f"{name}.weight", [size], "norm")


def head_dim(c):
    return c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]


def experts_of(c):
    for key in ("num_experts", "n_routed_experts", "num_local_experts"):
        if c.get(key):
            return c[key]
    return 0


def block_norms(c):
    yield norm("input_layernorm", c["hidden_size"])
    yield norm("post_attention_layernorm", c["hidden_size"])


def gated_mlp(prefix, h, f):
    yield weight(f"{prefix}.gate_proj", f, h)
    yield weight(f"{prefix}.up_proj", f, h)
    yield weight(f"{prefix}.down_proj", h, f)


def attention(c):
    """Softmax attention with separate projections: Llama and its family."""
    h, d = c["hidden_size"], head_dim(c)
    q, kv = c["num_attention_heads"] * d, c["num_key_value_heads"] * d
    yield weight("self_attn.q_proj", q, h)
    yield weight("self_attn.k_proj", kv, h)
    yield weight("self_attn.v_proj", kv, h)
    yield weight("self_attn.o_proj", h, q)
    if c["model_type"] == "qwen2" or c.get("attention_bias"):
        for name, size in (("q", q), ("k", kv), ("v", kv)):
            yield Spec(f"self_attn.{name}_proj.bias", [size], "bias")
    if c.get("attention_bias"):
        yield Spec("self_attn.o_proj.bias", [h], "bias")
    if c["model_type"] in ("qwen3", "qwen3_moe") or c.get("use_qk_norm"):
        yield norm("self_attn.q_norm", d)
        yield norm("self_attn.k_norm", d)


def latent_attention(c):
    """Multi-head latent attention of DeepSeek-V3."""
    h, heads, rank = c["hidden_size"], c["num_attention_heads"], c.get("q_lora_rank")
    qk = c["qk_nope_head_dim"] + c["qk_rope_head_dim"]
    if rank:
        yield weight("self_attn.q_a_proj", rank, h)
        yield norm("self_attn.q_a_layernorm", rank)
        yield weight("self_attn.q_b_proj", heads * qk, rank)
    else:
        yield weight("self_attn.q_proj", heads * qk, h)
    yield weight("self_attn.kv_a_proj_with_mqa", c["kv_lora_rank"] + c["qk_rope_head_dim"], h)
    yield norm("self_attn.kv_a_layernorm", c["kv_lora_rank"])
    yield weight(
        "self_attn.kv_b_proj", heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), c["kv_lora_rank"]
    )
    yield weight("self_attn.o_proj", h, heads * c["v_head_dim"])


def lightning_attention(c):
    """Linear attention of MiniMax, whose decay tensors are stored."""
    h, heads, d, block = c["hidden_size"], c["num_attention_heads"], head_dim(c), c["block_size"]
    yield weight("self_attn.qkv_proj", 3 * heads * d, h)
    yield weight("self_attn.output_gate", heads * d, h)
    yield weight("self_attn.out_proj", h, heads * d)
    yield norm("self_attn.norm", heads * d)
    yield Spec("self_attn.slope_rate", [heads, 1, 1], "decay")
    yield Spec("self_attn.query_decay", [heads, block, 1], "decay")
    yield Spec("self_attn.key_decay", [heads, block, 1], "decay")
    yield Spec("self_attn.diagonal_decay", [1, heads, block, block], "decay")


def moe(c, router_bias):
    """Router, routed experts e = 0 …, shared experts."""
    h, m, shared = (
        c["hidden_size"],
        c["moe_intermediate_size"],
        c.get("n_shared_experts") or c.get("num_shared_experts"),
    )
    yield weight("mlp.gate", experts_of(c), h)
    if router_bias:
        yield Spec(f"mlp.gate.{router_bias}", [experts_of(c)], "f32-bias")
    for e in range(experts_of(c)):
        yield from gated_mlp(f"mlp.experts.{e}", h, m)
    if shared:
        yield from gated_mlp(
            "mlp.shared_experts", h, shared * (c.get("moe_shared_expert_intermediate_size") or m)
        )


def dense_layer(c, i):
    yield from block_norms(c)
    yield from attention(c)
    yield from gated_mlp("mlp", c["hidden_size"], c["intermediate_size"])
    if c.get("mlp_bias"):
        for name in ("gate", "up", "down"):
            size = c["hidden_size"] if name == "down" else c["intermediate_size"]
            yield Spec(f"mlp.{name}_proj.bias", [size], "bias")


def qwen3_moe_layer(c, i):
    yield from block_norms(c)
    yield from attention(c)
    dense = i in (c.get("mlp_only_layers") or []) or (i + 1) % (c.get("decoder_sparse_step") or 1)
    yield from gated_mlp("mlp", c["hidden_size"], c["intermediate_size"]) if dense else moe(c, None)


def sparse_layer(c, i):
    """GLM-4-MoE and DeepSeek-V3: the first layers are dense, the router has a correction bias."""
    yield from block_norms(c)
    yield from latent_attention(c) if c["model_type"] == "deepseek_v3" else attention(c)
    dense = i < c["first_k_dense_replace"]
    h, f = c["hidden_size"], c["intermediate_size"]
    yield from gated_mlp("mlp", h, f) if dense else moe(c, "e_score_correction_bias")


def block_sparse_layer(c, i):
    """Mixtral, and MiniMax, which replaces attention in some layers."""
    yield from block_norms(c)
    linear = c["model_type"] == "minimax" and c["layer_types"][i] == "linear_attention"
    yield from lightning_attention(c) if linear else attention(c)
    h, f = c["hidden_size"], c["intermediate_size"]
    yield weight("block_sparse_moe.gate", experts_of(c), h)
    for e in range(experts_of(c)):
        prefix = f"block_sparse_moe.experts.{e}"
        yield from (
            weight(f"{prefix}.w1", f, h),
            weight(f"{prefix}.w2", h, f),
            weight(f"{prefix}.w3", f, h),
        )


def is_softmax_layer(c, i):
    """Ring-linear: the last layer of a group, and the layers after the last whole group."""
    layers, group = c["num_hidden_layers"], c["layer_group_size"]
    return (i + 1) % group == 0 or i >= layers // group * group


def bailing_layer(c, i):
    """Ling and Ring 2.0, Ring-linear 2.0; layers after the last one are prediction layers."""
    h, d, heads = c["hidden_size"], head_dim(c), c["num_attention_heads"]
    linear = c["model_type"] == "bailing_moe_linear" and not is_softmax_layer(c, i)
    predicts = i >= c["num_hidden_layers"]
    yield from block_norms(c)
    yield weight(
        "attention.query_key_value",
        (heads + 2 * (heads if linear else c["num_key_value_heads"])) * d,
        h,
    )
    yield weight("attention.dense", h, heads * d)
    if c.get("use_qk_norm"):
        yield norm("attention.query_layernorm", d)
        yield norm("attention.key_layernorm", d)
    if linear:
        yield weight("attention.g_proj", heads * d, h)
        yield norm("attention.g_norm", heads * d)
    if predicts:
        yield from (
            norm("enorm", h),
            norm("hnorm", h),
            weight("eh_proj", h, 2 * h),
            norm("final_layernorm", h),
        )
    bias = "expert_bias" if c.get("moe_router_enable_expert_bias") else None
    dense = i < c["first_k_dense_replace"]
    yield from gated_mlp("mlp", h, c["intermediate_size"]) if dense else moe(c, bias)


MODELS = {
    "llama": dense_layer,
    "mistral": dense_layer,
    "qwen2": dense_layer,
    "qwen3": dense_layer,
    "qwen3_moe": qwen3_moe_layer,
    "deepseek_v3": sparse_layer,
    "glm4_moe": sparse_layer,
    "mixtral": block_sparse_layer,
    "minimax": block_sparse_layer,
    "bailing_moe": bailing_layer,
    "bailing_moe_linear": bailing_layer,
}
