"""Small checkpoints made of the parts that model families have in common.

    m = Checkpoint("name")          names seed the random numbers: the same name gives the same bytes
    llama(m, layers=2)              adds tensors
    fp8(m, "*_proj.weight")         turns those that match into FP8 with scales
    m.config.update(model_type="llama")
    m.save(directory)               model.safetensors, config.json and whatever else m has

A checkpoint is an ordered {name: (dtype, shape, bytes)}; weights are between 2^-9 and 2^-1.
"""

import fnmatch
import json
import os
import sys
import zlib

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import st_write  # noqa: E402

H, INTER, VOCAB = 256, 512, 64
BASE_CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": H,
    "intermediate_size": INTER,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
BLOCK_FP8 = {
    "quant_method": "fp8",
    "fmt": "e4m3",
    "activation_scheme": "dynamic",
    "weight_block_size": [128, 128],
}


def up(a, b):
    return -(-a // b)


class Checkpoint:
    def __init__(self, name):
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.tensors = {}
        self.config = json.loads(json.dumps(BASE_CONFIG))
        self.files = {}  # further files: {path: str or bytes}
        self.links = {}  # symbolic links: {path: target}
        self.index = True  # whether shards get an index
        self.cut = {}  # {file: the part of it that is there}

    def put(self, name, dtype, shape, data):
        assert len(data) == st_write.tensor_bytes(dtype, shape), (name, dtype, shape)
        self.tensors[name] = (dtype, tuple(shape), bytes(data))

    def bf16(self, name, *shape):
        n = int(np.prod(shape))
        bits = self.rng.integers(0, 1 << 16, n, dtype=np.uint16)
        high = 0x3B + (bits >> 8 & 3)
        self.put(name, "BF16", shape, (bits & 0x80FF | high << 8).astype("<u2").tobytes())

    def weights(self, prefix, shapes):
        """{name: shape}, each as PREFIX + NAME + .weight in BF16."""
        for name, shape in shapes.items():
            self.bf16(f"{prefix}{name}.weight", *shape)

    def f32(self, name, *shape, value=None):
        x = self.rng.uniform(0.0005, 0.0015, shape) if value is None else np.full(shape, value)
        self.put(name, "F32", shape, x.astype("<f4").tobytes())

    def raw(self, name, dtype, shape, fill=None):
        """Random bytes, or one byte repeated; codes of E4M3 are never NaN."""
        n = st_write.tensor_bytes(dtype, shape)
        x = (
            self.rng.integers(0, 256, n, dtype=np.uint8)
            if fill is None
            else np.full(n, fill, np.uint8)
        )
        self.put(
            name, dtype, shape, np.where((x & 0x7F) == 0x7F, x - 1, x).astype(np.uint8).tobytes()
        )

    def pop(self, pattern):
        """Take tensors out, by a pattern; returns {name: (dtype, shape, bytes)}."""
        names = [n for n in self.tensors if fnmatch.fnmatchcase(n, pattern)]
        return {n: self.tensors.pop(n) for n in names}

    def rename(self, before, after):
        self.tensors = {n.replace(before, after): t for n, t in self.tensors.items()}

    def nested_config(self, key, **changes):
        """Move the numbers of the text model below KEY, as multimodal models do."""
        outer = ("architectures", "model_type", "tie_word_embeddings", "torch_dtype")
        inner = {k: self.config.pop(k) for k in list(self.config) if k not in outer}
        self.config[key] = {**inner, **changes}

    def header_entries(self, names):
        return [(n, *self.tensors[n]) for n in names]

    def save(self, directory, shards=None):
        """shards: {file name: names}; with several, an index says which tensor is where."""
        os.makedirs(directory, exist_ok=True)
        if shards is None:
            shards = {"model.safetensors": list(self.tensors)}
        for file, names in shards.items():
            path = os.path.join(directory, file)
            st_write.write_file(path, self.header_entries(names), {"format": "pt"})
        where = {n: file for file, names in shards.items() if "-of-" in file for n in names}
        if self.index and len(shards) > 1:
            self.files.setdefault("model.safetensors.index.json", index_text(where))
        if self.config is not None:
            self.files.setdefault("config.json", json.dumps(self.config, indent=2) + "\n")
        for name, data in self.files.items():
            write_file(os.path.join(directory, name), data)
        for name, target in self.links.items():
            os.symlink(target, os.path.join(directory, name))
        for name, share in self.cut.items():
            path = os.path.join(directory, name)
            os.truncate(path, int(os.path.getsize(path) * share))

    def halves(self, form="model-0000{}-of-00002.safetensors"):
        """Two shards, for save()."""
        names = sorted(self.tensors)
        return {form.format(1): names[:5], form.format(2): names[5:]}


def index_text(weight_map):
    return json.dumps({"metadata": {"total_size": 0}, "weight_map": weight_map}, indent=1)


def write_file(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data.encode() if isinstance(data, str) else data)


# Parts of models


def norms(m, p, *names, size=H):
    m.weights(p, {n: (size,) for n in names or ("input_layernorm", "post_attention_layernorm")})


def attention(m, p, q=H, kv=H, h=H, names=("q_proj", "k_proj", "v_proj", "o_proj")):
    m.weights(p, dict(zip(names, ((q, h), (kv, h), (kv, h), (h, q)))))


def mlp(m, p, h=H, inter=INTER, names=("gate_proj", "up_proj", "down_proj")):
    m.weights(p, dict(zip(names, ((inter, h), (inter, h), (h, inter)))))


def experts(m, p, count=2, h=H, inter=128):
    for e in range(count):
        mlp(m, f"{p}experts.{e}.", h, inter)


def outside(m, p="model.", h=H, head="lm_head"):
    m.weights(p, {"embed_tokens": (VOCAB, h), "norm": (h,)})
    if head:
        m.bf16(f"{head}.weight", VOCAB, h)


def llama(m, layers=1, h=H, inter=INTER, prefix="model.", kv=None, head="lm_head"):
    outside(m, prefix, h, head)
    for i in range(layers):
        p = f"{prefix}layers.{i}."
        attention(m, p + "self_attn.", h, kv or h, h)
        mlp(m, p + "mlp.", h, inter)
        norms(m, p, size=h)
    m.config.update(hidden_size=h, intermediate_size=inter, num_hidden_layers=layers)
    m.config.update(num_attention_heads=h // 64 if h % 64 == 0 else 4, head_dim=h // 4)
    m.config["num_key_value_heads"] = (kv or h) // m.config["head_dim"]


def moe(m, layers=1, count=2, inter=128, prefix="model.", first_dense=0, bias=False, shared=False):
    """Layers as those of Qwen3-MoE, or of DeepSeek and GLM with BIAS and SHARED."""
    outside(m, prefix)
    for i in range(layers):
        p = f"{prefix}layers.{i}."
        attention(m, p + "self_attn.")
        norms(m, p)
        if i < first_dense:
            mlp(m, p + "mlp.")
            continue
        experts(m, p + "mlp.", count, inter=inter)
        m.bf16(p + "mlp.gate.weight", count, H)
        if bias:
            m.f32(p + "mlp.gate.e_score_correction_bias", count, value=0.0)
        if shared:
            mlp(m, p + "mlp.shared_experts.", inter=inter)
    m.config.update(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe")
    m.config.update(num_hidden_layers=layers, num_experts=count, num_experts_per_tok=1)
    m.config.update(moe_intermediate_size=inter, mlp_only_layers=list(range(first_dense)))
    m.config.update(decoder_sparse_step=1, norm_topk_prob=True)


def glm_moe(m, layers=1, count=2):
    moe(m, layers, count, bias=True, shared=True)
    m.config.update(architectures=["Glm4MoeForCausalLM"], model_type="glm4_moe")
    m.config["n_routed_experts"] = m.config.pop("num_experts")
    m.config.update(n_shared_experts=1, first_k_dense_replace=0, num_nextn_predict_layers=0)
    del m.config["mlp_only_layers"], m.config["decoder_sparse_step"]


def mla(m, p, q_lora=128, kv_lora=128):
    """Attention with latent queries, keys and values, as in DeepSeek-V3: 4 heads of 64 + 32."""
    m.weights(p, {"q_a_proj": (q_lora, H), "q_b_proj": (384, q_lora)})
    m.weights(p, {"kv_a_proj_with_mqa": (kv_lora + 32, H), "kv_b_proj": (512, kv_lora)})
    m.weights(p, {"o_proj": (H, 256), "q_a_layernorm": (q_lora,), "kv_a_layernorm": (kv_lora,)})
    m.config.update(q_lora_rank=q_lora, kv_lora_rank=kv_lora, qk_nope_head_dim=64)
    m.config.update(qk_rope_head_dim=32, v_head_dim=64)


def stacked_experts(m, p, count=4, h=H, inter=128, transposed=False, gate_up="gate_up_proj"):
    """[E, 2I, H] and [E, H, I], or with the inputs first."""
    one, two = (count, 2 * inter, h), (count, h, inter)
    for name, shape in ((gate_up, one), ("down_proj", two)):
        m.bf16(p + name, *((count, shape[2], shape[1]) if transposed else shape))


# Quantization by others


def fp8(m, pattern, scale="_scale_inv", block=(128, 128), dtype="F32", shape=None, code="F8_E4M3"):
    """Random codes and scales for every weight that matches. SCALE is added to the name, or, if it
    begins with '.', takes the place of '.weight'. SHAPE(rows, columns) may say another shape of scales.
    """
    for name, (_, dims, _) in m.pop(pattern).items():
        m.raw(name, code, dims)
        if scale is None:
            continue
        rows, cols = dims[-2:]
        grid = shape(rows, cols) if shape else (up(rows, block[0]), up(cols, block[1]))
        base = name.removesuffix(".weight") if scale.startswith(".") else name
        scales(m, base + scale, dtype, (*dims[:-2], *grid))


def scales(m, name, dtype, shape):
    if dtype in ("F32", "F64"):
        x = m.rng.uniform(0.0005, 0.0015, shape).astype("<f4" if dtype == "F32" else "<f8")
        m.put(name, dtype, shape, x.tobytes())
    elif dtype == "F16":
        m.put(name, dtype, shape, m.rng.uniform(0.0005, 0.0015, shape).astype("<f2").tobytes())
    elif dtype == "BF16":
        bits = m.rng.uniform(0.0005, 0.0015, shape).astype("<f4").view("<u4") >> 16
        m.put(name, dtype, shape, bits.astype("<u2").tobytes())
    else:  # exponents: F8_E8M0, or U8 that means the same
        m.put(name, dtype, shape, m.rng.integers(116, 120, shape).astype(np.uint8).tobytes())


def nvfp4(m, pattern, packed="weight", scale2="weight_scale_2", act="input_scale"):
    """ModelOpt's names, or those of compressed-tensors."""
    for name, (_, (rows, cols), _) in m.pop(pattern).items():
        b = name.removesuffix("weight")
        m.raw(b + packed, "U8", (rows, cols // 2))
        m.raw(b + "weight_scale", "F8_E4M3", (rows, cols // 16), 0x38)
        m.f32(b + scale2, *(() if scale2 == "weight_scale_2" else (1,)), value=0.001)
        m.f32(b + act, *(() if scale2 == "weight_scale_2" else (1,)), value=0.01)


def gptq(m, pattern, awq=False):
    for name, (_, (rows, cols), _) in m.pop(pattern).items():
        b = name.removesuffix("weight")
        m.raw(b + "qweight", "I32", (cols, rows // 8) if awq else (cols // 8, rows))
        m.raw(b + "qzeros", "I32", (cols // 128, rows // 8))
        m.raw(b + "scales", "F16", (cols // 128, rows), 0x2C)
        if not awq:
            m.raw(b + "g_idx", "I32", (cols,), 0)


def pack_quantized(m, pattern, group=32):
    """INT4 as compressed-tensors packs it."""
    for name, (_, (rows, cols), _) in m.pop(pattern).items():
        b = name.removesuffix("weight")
        m.raw(b + "weight_packed", "I32", (rows, cols // 8))
        scales(m, b + "weight_scale", "BF16", (rows, cols // group))
        m.put(b + "weight_shape", "I32", (2,), np.array([rows, cols], "<i4").tobytes())


def bitsandbytes(m, pattern, bits=4):
    for name, (_, (rows, cols), _) in m.pop(pattern).items():
        if bits == 8:
            m.raw(name, "I8", (rows, cols))
            m.f32(name.removesuffix("weight") + "SCB", rows)
            m.put(name.removesuffix("weight") + "weight_format", "U8", (), b"\0")
            continue
        m.raw(name, "U8", (rows * cols // 2, 1))
        m.raw(name + ".absmax", "U8", (rows * cols // 64,))
        m.f32(name + ".quant_map", 16)
        m.raw(name + ".quant_state.bitsandbytes__nf4", "U8", (80,))
