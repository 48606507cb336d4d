"""The models on which the gate of `verify --forward` is tried, their tokens, and the names of their tensors.

    subject = Subject("micro", directory, scratch)
    packed = subject.convert("--scales", "ue8m0")
    found = subject.verify(packed, length=128, sequences=1)     Found(status, report, messages)

Trained models have their own tokenizer and the text next to them; random ones get random ids, always the
same. Trained models other than the built-in one are taken from OCTAVO_MODELS; without it they are left out.
"""

import dataclasses
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", folder) for folder in ("", "interop", "hostile")]
import make_checkpoint  # noqa: E402
import rounding  # noqa: E402
from forward_np import read_safetensors  # noqa: E402
from packed_image import Image, pf  # noqa: E402
from plant_fault import STACKED  # noqa: E402

OCTAVO = os.environ.get("OCTAVO", os.path.join(HERE, "..", "..", "build", "octavo"))
BUILT_IN = os.path.join(HERE, "..", "data", "ring-micro-linear")
MODELS = os.environ.get("OCTAVO_MODELS", os.path.join(HERE, "..", "..", "..", "shared", "models"))
TOKENS = 4096  # enough for 8 sequences of 512
CHOSEN = 128  # of how many tokens the choice of experts is known
ROUTER = "router_index."
FP8_RULE = "bf16"

COMMON = {
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}
LLAMA = {
    **COMMON,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 320,
    "intermediate_size": 704,
    "num_hidden_layers": 3,
    "num_attention_heads": 5,
    "num_key_value_heads": 1,
    "vocab_size": 600,
    "attention_bias": True,
    "mlp_bias": True,
}
QWEN3 = {
    **COMMON,
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 256,
    "head_dim": 128,
    "intermediate_size": 600,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 600,
    "tie_word_embeddings": True,
}
# The shape of Ring-mini-linear: a linear layer with an MLP, one with experts, a softmax layer with experts.
MINI = {"num_hidden_layers": 3, "layer_group_size": 3, "num_experts": 32, "vocab_size": 2048}


def mini_config():
    config = make_checkpoint.load_config("ring-mini")
    config.update(MINI, eos_token_id=0, pad_token_id=0)
    return config


def ling_config():
    """The built-in model without linear attention, and with a layer for multi-token prediction."""
    with open(os.path.join(BUILT_IN, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    for key in ("layer_group_size", "group_norm_size", "linear_silu"):
        del config[key]
    config.update(architectures=["BailingMoeV2ForCausalLM"], model_type="bailing_moe", num_nextn_predict_layers=1)
    return config


RANDOM = {
    "mini-shaped": mini_config,
    "llama": lambda: LLAMA,
    "qwen3": lambda: QWEN3,
    "ling": ling_config,
}


@dataclasses.dataclass
class Found:
    """What verify found: exit status, JSON and messages."""

    status: int
    report: dict
    messages: str

    def variants(self):
        return self.report["forward"]["variants"]


def octavo(*arguments):
    done = subprocess.run(
        [OCTAVO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def must(*arguments):
    status, out, messages = octavo(*arguments)
    assert status == 0, f"octavo {' '.join(arguments)}: exit status {status}: {messages}"
    return out


class Subject:
    def __init__(self, name, source, scratch, ids=None):
        self.name, self.source = name, source
        self.scratch = os.path.join(scratch, name)
        os.makedirs(self.scratch)
        with open(os.path.join(source, "config.json"), encoding="utf-8") as f:
            self.config = json.load(f)
        self.layers = self.config["num_hidden_layers"]
        self.chosen = {}
        self.ids = ids or self.find_ids()
        self.tokens = self.path("ids.json")
        with open(self.tokens, "w", encoding="utf-8") as f:
            json.dump(self.ids, f)

    def path(self, name):
        return os.path.join(self.scratch, name)

    def find_ids(self):
        if not os.path.exists(os.path.join(self.source, "tokenizer.json")):
            rng = random.Random(self.name)
            return [rng.randrange(self.config["vocab_size"]) for _ in range(TOKENS)]
        text = os.path.join(MODELS, "sample.txt")
        if not os.path.exists(text):
            text = os.path.join(HERE, "..", "..", "CONTRIBUTING.md")
        return json.loads(must("tokenize", self.source, "--text", text))[:TOKENS]

    def convert(self, *options, source=None, name="good.octavo"):
        packed = self.path(name)
        must("convert", source or self.source, "-o", packed, "-f", "-q", *options)
        return packed

    def quantized(self):
        """Whether octavo quantizes a tensor of the source, as a function of its name."""
        with open(self.convert(), "rb") as f:
            records = Image(f.read()).records
        coded = {r["name"] for r in records if r["scale_idx"] != pf.NONE32}
        return lambda name: name in coded or STACKED.sub(".experts.*.", name) in coded

    def verify(self, packed, length, sequences, weights=False):
        """Only the forward pass or, with `weights`, every check: what the weight check proves need not be computed."""
        how = ["--forward"] if weights else ["--only", "forward"]
        how += ["--activations", "both", "--json", "-q"]
        how += ["--tokens", self.tokens, "--length", str(length), "--sequences", str(sequences)]
        status, out, messages = octavo("verify", packed, "--against", self.source, *how)
        return Found(status, json.loads(out), messages)

    def wrong_tensors(self, packed):
        """The names of those that the weight check finds, which has nothing to do with the forward pass; of scales
        the name of their tensor."""
        _, out, _ = octavo("verify", packed, "--against", self.source, "--json", "-q")
        weights = json.loads(out).get("weights")
        wrong = [t["name"] for t in weights["tensors"] if not t["matches"]] if weights else ["damaged"]
        return {name.removesuffix("_scale_inv") for name in wrong}

    def choices(self, length, packed=None, activations="f32"):
        """{layer: [experts of each token]} of the first tokens, by the source's own routing or that of a packed file,
        for the layers with a router."""
        key = packed, activations
        if key not in self.chosen:
            dump = self.path("dump.safetensors")
            how = ["--tokens", self.tokens, "--length", str(CHOSEN), "--sequences", "1"]
            how += ["--activations", activations, "--dump", dump, "-f", "-q"]
            must("verify", packed or self.source, "--forward", *how)
            found = read_safetensors(dump)
            routers = sorted(k for k in found if k.startswith(ROUTER))
            self.chosen[key] = {int(k[len(ROUTER) :]): found[k].tolist() for k in routers}
        assert length <= CHOSEN
        return {i: tokens[:length] for i, tokens in self.chosen[key].items()}


def random_model(name, scratch):
    directory = os.path.join(scratch, f"random-{name}")
    limit = make_checkpoint.parse_size("4G")
    make_checkpoint.write_checkpoint(directory, RANDOM[name](), "BF16", 1, limit)
    return directory


def fp8_subject(name, scratch):
    """A checkpoint that is FP8 already, of the same values: a packed file carries its codes."""
    (wide,) = subjects([name], os.path.join(scratch, "wide"))
    source = os.path.join(scratch, f"source-{name}")
    rounding.write(wide.source, FP8_RULE, wide.quantized(), source)
    return Subject(f"fp8-{name}", source, scratch, wide.ids)


def subjects(names, scratch):
    """Subjects by name, one after the other: micro, nano, zoo/NAME, those of RANDOM, and any of them after fp8-;
    those that are not on this machine are left out with a line."""
    for name in names:
        if name.startswith("fp8-"):
            yield fp8_subject(name[len("fp8-") :], scratch)
            continue
        if name in RANDOM:
            yield Subject(name, random_model(name, scratch), scratch)
            continue
        other = {"nano": "ring-nano-linear"}.get(name, name)
        source = BUILT_IN if name == "micro" else os.path.join(MODELS, other)
        if os.path.isdir(source):
            yield Subject(name.replace("/", "-"), source, scratch)
        else:
            print(f"{name}: left out: no {source}", flush=True)
