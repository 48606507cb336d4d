"""The checkpoints that the packed files of this folder were made from, and the options of `octavo convert`.

CASES: name -> Case; Case.write(directory) makes the checkpoint, always the same bytes: they come from
SHAKE-256 of the tensor's name. A case is never changed, because its file was made from it.
"""

import hashlib
import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", ".."))
import st_write  # noqa: E402

H, I, VOCAB = 24, 40, 16
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": H,
    "intermediate_size": I,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
}
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
# The high byte of a number: its sign, and an exponent that makes it neither large nor tiny.
HIGH = {"BF16": (2, 0x3B, 3), "F32": (4, 0x3B, 3), "F16": (2, 0x20, 7), "F64": (8, 0x3F, 0)}
CASES = {}


def random_bytes(name, count):
    return hashlib.shake_256(name.encode()).digest(count)


def numbers(name, dtype, shape):
    """Random numbers of about 2^-9 to 2^-2; of other dtypes, random bytes."""
    data = bytearray(random_bytes(name, st_write.tensor_bytes(dtype, shape)))
    if dtype in HIGH:
        size, base, mask = HIGH[dtype]
        for i in range(size - 1, len(data), size):
            data[i] = data[i] & 0x80 | base + (data[i] & mask)
    elif dtype == "F8_E4M3":
        data = bytearray(b & 0xBF if b & 0x7F == 0x7F else b for b in data)
    elif dtype == "BOOL":
        data = bytearray(b & 1 for b in data)
    return bytes(data)


def scales(name, dtype, shape):
    """Positive scales between 2^-9 and 2^-7; those in F8_E8M0 are powers of two."""
    data = random_bytes(name, st_write.tensor_bytes("U8", shape))
    values = [2.0**-9 * (1 + b / 100) for b in data]
    if dtype == "F8_E8M0":
        return bytes(118 + b % 3 for b in data)
    if dtype == "BF16":
        return b"".join(struct.pack("<f", v)[2:] for v in values)
    return struct.pack(f"<{len(values)}{'e' if dtype == 'F16' else 'f'}", *values)


class Case:
    """Tensors, embedded files and options; added to CASES."""

    def __init__(self, name, *options, config=None, single=False):
        self.name, self.options, self.single = name, options, single
        self.tensors = []
        self.recipe = None
        self.files = {"config.json": json.dumps({**CONFIG, **(config or {})}, indent=1)}
        CASES[name] = self

    def put(self, name, dtype, *shape):
        self.tensors.append((name, dtype, list(shape), numbers(name, dtype, shape)))

    def fp8(self, name, dtype, *shape):
        """A matrix in FP8 with its scales."""
        self.put(name, "F8_E4M3", *shape)
        tiles, name = [-(-d // 128) for d in shape], name + "_scale_inv"
        self.tensors.append((name, dtype, tiles, scales(name, dtype, tiles)))

    def llama(self, dtype="BF16"):
        """Two layers; the projections of the second one are not there."""
        for name in ("model.embed_tokens", "lm_head"):
            self.put(name + ".weight", "BF16", VOCAB, H)
        self.put("model.norm.weight", "BF16", H)
        layer = "model.layers.0."
        for name in ("input_layernorm", "post_attention_layernorm"):
            self.put(f"{layer}{name}.weight", "BF16", H)
        for name in "qkvo":
            self.put(f"{layer}self_attn.{name}_proj.weight", dtype, H, H)
        for name, shape in {"gate": (I, H), "up": (I, H), "down": (H, I)}.items():
            self.put(f"{layer}mlp.{name}_proj.weight", dtype, *shape)

    def carried(self, *dtypes):
        """Projections in FP8, each with scales in one of these dtypes."""
        for name in ("model.embed_tokens", "lm_head"):
            self.put(name + ".weight", "BF16", VOCAB, H)
        for i, dtype in enumerate(dtypes):
            self.fp8(f"model.layers.{i % 2}.self_attn.{'qkvo'[i]}_proj.weight", dtype, 130, H)

    def write(self, directory):
        os.makedirs(directory)
        files = dict(self.files)
        if self.single:
            parts = {"model.safetensors": self.tensors}
        else:
            both = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
            parts = {both[0]: self.tensors[0::2], both[1]: self.tensors[1::2]}
            index = {t[0]: shard for shard, tensors in parts.items() for t in tensors}
            files["model.safetensors.index.json"] = json.dumps({"weight_map": index})
        for shard, tensors in parts.items():
            order = {t[0]: i for i, t in enumerate(st_write.file_order([t[:3] for t in tensors]))}
            tensors = sorted(tensors, key=lambda t: order[t[0]])
            st_write.write_file(os.path.join(directory, shard), tensors, {"format": "pt"})
        for name, text in files.items():
            path = os.path.join(directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)

    def command(self, source, scratch):
        """The arguments of octavo but for the output."""
        arguments = ["convert", source, "--device", "cpu", *self.options]
        if self.recipe:
            path = os.path.join(scratch, "recipe.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(self.recipe, f)
            arguments += ["--recipe", path]
        return arguments


def define():
    # Everything that is usual: two shards, stacks of experts, three dtypes of weights, clipped tiles, files.
    c = Case("ieee")
    c.llama()
    for e in range(3):
        c.put(f"model.layers.1.mlp.experts.{e}.down_proj.weight", "BF16", 12, 20)
        c.put(f"model.layers.1.mlp.experts.{e}.e_bias", "F32", 3)
    c.put("model.layers.1.mlp.up_proj.weight", "F16", 130, 12)
    c.put("model.layers.1.mlp.down_proj.weight", "F32", 12, 130)
    c.put("model.layers.1.calls", "I64", 2)
    c.files.update({
        "tokenizer_config.json": '{"model_max_length": 1e30}\n',
        "LICENSE": "As you like it.\n",
        "README.md": "",
        "modeling_tiny.py": "# code\n",
        "additional_chat_templates/tool_use.jinja": "{{ tools }}",
    })
    # SHA-256 everywhere, powers of two, one shard.
    c = Case("deepgemm", "--dialect", "deepgemm", "--scales", "ue8m0", "--digest", "sha256",
             "--source-sha256", single=True)
    c.llama()
    # Ranks 0 to 6, and empty tensors.
    c = Case("transformers", "--dialect", "transformers")
    c.llama("F32")
    for shape in ((), (0,), (3, 0, 2), (1, 1, 1, 1, 1, 1), (2, 1, 3, 1, 2, 2)):
        c.put("model.layers.1.rank." + "x".join(map(str, shape)), "F32", *shape)
    # Three-dimensional stacks of the source, and names that are hard to read.
    c = Case("transformer-engine", "--dialect", "transformer-engine", "--keep", "*.q_proj.*")
    c.llama("F16")
    c.put("model.layers.1.mlp.experts.gate_up_proj", "BF16", 2, 20, 12)
    c.put("gewöhnlich.重み", "BF16", 3)
    c.put("n" * 255, "U8", 5)
    c = Case("compressed-tensors", "--dialect", "compressed-tensors")
    c.llama()
    c = Case("linghe", "--dialect", "linghe")
    c.llama()
    # FP8 of the source: carried with scales in every dtype; quantized once more.
    c = Case("carried", config={"quantization_config": FP8})
    c.carried("F32", "BF16", "F16", "F8_E8M0")
    for e in range(2):
        c.fp8(f"model.layers.1.mlp.experts.{e}.up_proj.weight", "F32", I, H)
    c = Case("requantized", "--requantize", "--scales", "ue8m0", config={"quantization_config": FP8})
    c.carried("F32", "F8_E8M0", "F32", "F8_E8M0")
    # The first set of built-in rules, whose files do not name it; every dtype; no files.
    c = Case("set-1", "--no-embed", "*")
    c.recipe = {"octavo_recipe": 1, "built_in": 1, "scales": "f32",
                "rules": [{"match": "*.k_proj.*", "action": "keep"}]}
    c.llama()
    for dtype in st_write.BITS:
        if dtype != "F8_E4M3":
            c.put(f"model.layers.1.buffers.{dtype}", dtype, 4, 8)


define()
