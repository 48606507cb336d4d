"""What lies around the weights: files that travel, indexes, files that are not what they seem."""

import tensors as t
from cases import case, kinds

ALL = {"*": 0}
POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 4976698672\n"
)
CARRIED = (
    "chat_template.jinja chat_template.json additional_chat_templates/tool_use.jinja "
    "additional_chat_templates/rag.jinja preprocessor_config.json processor_config.json "
    "video_preprocessor_config.json image_processor_config.json audio_config.json tokenizer.json "
    "tokenizer_config.json special_tokens_map.json added_tokens.json vocab.json merges.txt vocab.txt "
    "tokenizer.model tiktoken.model qwen.tiktoken tekken.json params.json spiece.model "
    "sentencepiece.bpe.model tokenizer.model.v3 configuration_deepseek.py modeling_deepseek.py "
    "tokenization_kimi.py LICENSE LICENSE-MODEL LICENSE.txt MODEL_LICENSE USE_POLICY.md NOTICE "
    "Notice.txt README.md generation_config.json thinker_config.json tool_declaration_ts.py "
    "1_Pooling/config.json modules.json config_sentence_transformers.json chat_template.py "
    "vllm_plugin.py qwen3coder_tool_parser.py media_utils.py kimi_k25_vision_processing.py "
    "merges.json vocabulary.json model_args.json tokenizer_3.json"
).split()
LEFT_OUT = (
    "encoding/encoding_dsv32.py inference/kernel.py recipe.yaml assets/logo.png figures/bench.jpeg"
).split()


@case(
    "side-files",
    export=ALL,
    files=tuple(CARRIED),
    absent=("hf_quant_config.json", "quantize_config.json"),
    says=tuple(n.replace(".", r"\.") for n in ("encoding", "inference", "recipe.yaml")),
)
def _(m):
    """Whatever a loader needs travels; convert names what it left out and might matter."""
    t.llama(m)
    m.files.update({n: f'{{"file": "{n}"}}\n' for n in (*CARRIED, *LEFT_OUT)})


@case("auto-map", export=ALL, files=("helper_kernels.py", "tokenization_own.py"))
def _(m):
    """Python files that config.json and tokenizer_config.json refer to."""
    t.llama(m)
    m.config["auto_map"] = {"AutoModelForCausalLM": "helper_kernels.Model"}
    m.files["helper_kernels.py"] = "class Model: pass\n"
    m.files["tokenization_own.py"] = "class Tokenizer: pass\n"
    m.files["tokenizer_config.json"] = (
        '{"auto_map": {"AutoTokenizer": ["tokenization_own.T", null]}}'
    )


@kinds(
    {"config-infinity": {}, "config-minus-infinity": {}, "config-nan": {}},
    decide={"*_proj.weight": "quantize"},
    export=ALL,
)
def _(m, name):
    """Literals that Python's json writes and reads; the bytes are kept."""
    t.llama(m)
    value = {"infinity": "inf", "minus-infinity": "-inf", "nan": "nan"}[
        name.removeprefix("config-")
    ]
    m.config["time_step_limit"] = [0.0, float(value)]


@case("lfs-config", convert=5, says=(r"tokenizer\.json", "LFS"))
def _(m):
    """An embedded file that is a Git LFS pointer is refused like a weight that is one."""
    t.llama(m)
    m.files["tokenizer.json"] = POINTER


@case("lfs-config-of-model", convert=5, says="LFS")
def _(m):
    """config.json itself is a pointer."""
    t.llama(m)
    m.files["config.json"] = POINTER


# Files that are not what their name says


WRONG = {
    "wrong-lfs": ("model.safetensors", POINTER, ("LFS", "git lfs pull")),
    "wrong-zip": (
        "model.safetensors",
        b"PK\3\4\0\0\x08\x08" + bytes(8) + b"archive/data.pkl" + bytes(500),
        ("pickle|PyTorch|zip",),
    ),
    "wrong-html": (
        "model.safetensors",
        "<!DOCTYPE html><html><body>401</body></html>" + " " * 100,
        ("HTML",),
    ),
    "wrong-gguf": ("model-Q4_K_M.gguf", b"GGUF\3\0\0\0" + bytes(200), ("GGUF",)),
    "wrong-gguf-renamed": ("model.safetensors", b"GGUF\3\0\0\0" + bytes(200), ("GGUF",)),
    "wrong-bin": (
        "pytorch_model.bin",
        b"PK\3\4" + bytes(500),
        (r"pytorch_model\.bin|\.bin", "safetensors"),
    ),
    "wrong-incomplete": ("model.safetensors.incomplete", bytes(500), ("incomplete", "download")),
    "wrong-empty": ("model.safetensors", b"", ("0 bytes|empty",)),
    "wrong-nothing": ("notes.txt", "nothing\n", (r"no \.safetensors|not a checkpoint",)),
}


@kinds({n: {"says": row[2]} for n, row in WRONG.items()}, convert=5)
def _(m, name):
    """config.json and one file: the message says what it is and what to do."""
    m.files[WRONG[name][0]] = WRONG[name][1]
    return {}


@case("wrong-dangling", convert=(3, 5), says=("link",))
def _(m):
    """A symbolic link to a blob that is not there."""
    m.links["model.safetensors"] = "../../blobs/" + "a" * 64
    return {}


@case("wrong-truncated", convert=5, says="truncated|ends")
def _(m):
    """Half a file."""
    t.llama(m)
    m.cut["model.safetensors"] = 0.5


@case("wrong-appledouble", decide={"*_proj.weight": "quantize"}, export=ALL)
def _(m):
    """The file that macOS leaves beside the weights is no part of the checkpoint."""
    t.llama(m)
    m.files["._weights.safetensors"] = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100)
    return {"weights.safetensors": list(m.tensors)}


@case("wrong-adapter", convert=5, says="adapter|LoRA", never="allow-none")
def _(m):
    """Only an adapter."""
    for n in ("q_proj", "v_proj"):
        p = f"base_model.model.model.layers.0.self_attn.{n}."
        m.weights(p, {"lora_A": (8, t.H), "lora_B": (t.H, 8)})
    m.config = None
    m.files["adapter_config.json"] = '{"peft_type": "LORA"}'
    return {"adapter_model.safetensors": list(m.tensors)}


@case("wrong-one-of-several", convert=5, says=("00002", "missing|shard"))
def _(m):
    """One numbered shard of two, without an index: half a model is none."""
    t.llama(m)
    shards = m.halves()
    del shards["model-00002-of-00002.safetensors"]
    return shards


# Indexes


@kinds(
    {
        "index-ghosts": {"says": ("scale_inv", "index")},
        "index-tied": {"says": (r"lm_head\.weight",)},
        "index-extra": {"says": (r"model\.norm\.weight",)},
        "index-missing": {"says": ("model-00002-of-00002", "missing")},
        "index-legacy": {"says": ("00003-of-00004", "index")},
    },
    convert=(0, 5),
)
def _(m, name):
    """The index and the shards disagree: how, and what would repair it."""
    t.llama(m)
    names = sorted(m.tensors)
    if name == "index-tied":
        m.pop("lm_head.weight")
        m.config["tie_word_embeddings"] = True
    shards = m.halves("model-0000{}-of-0000%d.safetensors" % (4 if name == "index-legacy" else 2))
    where = {n: file for file, held in shards.items() for n in held}
    first, second = shards
    where.setdefault("lm_head.weight", second)
    if name == "index-ghosts":
        where.update({n + "_scale_inv": where[n] for n in names if "proj" in n})
    if name == "index-legacy":
        where = {n: f"model-0000{1 + i % 4}-of-00004.safetensors" for i, n in enumerate(names)}
    if name == "index-extra":
        del where["model.norm.weight"]
    if name == "index-missing":
        del shards[second]
    m.files["model.safetensors.index.json"] = t.index_text(where)
    return shards


@case("index-stale", convert=5, says=(r"model\.safetensors", "transformers", "vLLM"))
def _(m):
    """Saved twice, with and without shards: runtimes load different models; silence is the fault."""
    t.llama(m)
    shards = m.halves()
    return {**shards, "model.safetensors": list(m.tensors)}


# Mistral's own files beside those of transformers


@kinds(
    {"mistral-sharded": {}, "mistral-single": {}},
    decide={"*_proj.weight": "quantize"},
    says=r"consolidated\.safetensors",
    export=ALL,
)
def _(m, name):
    """Weights under Mistral's names are left aside, with a note."""
    t.llama(m)
    shards = m.halves() if name == "mistral-sharded" else {"model.safetensors": list(m.tensors)}
    m.index = name == "mistral-sharded"
    return {**shards, "consolidated.safetensors": native(m)}


@case(
    "mistral-native",
    decide={"*.w?.weight": "quantize"},
    export={"*": 1, "bf16": 0},
    why={"*": ["own format"]},
)
def _(m):
    """Only Mistral's own shards, with consolidated.safetensors.index.json, which is an index. No runtime
    finds these names with a config.json."""
    names = native(m)
    form = "consolidated-0000{}-of-00002.safetensors"
    shards = {form.format(1): names[:3], form.format(2): names[3:]}
    where = {n: f for f, held in shards.items() for n in held}
    m.files["consolidated.safetensors.index.json"] = t.index_text(where)
    m.index = False
    return shards


def native(m):
    p = "layers.0."
    names = list(m.tensors)
    m.weights(p + "attention.", {"wq": (256, 256), "wk": (256, 256), "wv": (256, 256)})
    m.weights(p + "feed_forward.", {"w1": (512, 256), "w2": (256, 512), "w3": (512, 256)})
    m.weights("", {"tok_embeddings": (64, 256), "output": (64, 256), "norm": (256,)})
    return [n for n in m.tensors if n not in names]


# safetensors that are odd, but legal


ODD = {
    "odd-c64": [("rope.freqs_cis", "C64", (16, 8))],
    "odd-bool": [("model.layers.0.mask", "BOOL", (3, 3))],
    "odd-scalar": [("model.layers.0.mlp.num_batches_tracked", "I64", ())],
    "odd-zero": [("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", (0,))],
    "odd-nonascii": [("model.layers.0.méta.权重.weight", "BF16", (128, 128))],
}


@kinds({n: {} for n in ODD}, export=ALL, decide={"*_proj.weight": "quantize"})
def _(m, name):
    """Taken, and written as they are."""
    t.llama(m)
    for tensor, dtype, shape in ODD[name]:
        m.raw(tensor, dtype, shape, 1 if dtype == "BOOL" else None)


@kinds(
    {
        "odd-long-name": {"says": "255"},
        "odd-star": {"says": r"\*"},
    },
    convert=5,
)
def _(m, name):
    """Refused, with the reason."""
    t.llama(m)
    m.bf16("model.layers.0." + ("a" * 300 if name == "odd-long-name" else "a*b") + ".weight", 8)


@case("odd-no-tensors", convert=5, says="nothing|no tensor")
def _(m):
    """A header without tensors."""
    t.llama(m)
    m.tensors = {}
