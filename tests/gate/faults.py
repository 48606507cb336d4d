"""The faults that are planted one by one in a file, and where the forward pass has to find each.

faults_of(subject, choices) lists them for a model of any architecture that verify/arch knows: in every kind of
layer that the model has. A fault is found only if the parts of the model that are named are those of `parts`, all
of them and no other.
"""

import dataclasses

from plant_fault import STACKED

PARTS = ("embedding", "attention", "router", "mlp", "head")


@dataclasses.dataclass
class Fault:
    what: str  # for people
    plant: tuple  # operation and arguments of plant_fault.py
    parts: frozenset  # (part, layer or None); empty: must not be found
    tensors: frozenset  # records that the weight check has to name


class Names:
    """Tensors by their role, in the spelling of the architecture."""

    def __init__(self, config):
        self.bailing = config["model_type"].startswith("bailing")
        self.normed = self.bailing or config["model_type"] == "qwen3"
        self.embedding = f"model.{'word_embeddings' if self.bailing else 'embed_tokens'}.weight"

    def layer(self, i, role):
        own = f"model.layers.{i}."
        if role in ("input_layernorm", "post_attention_layernorm"):
            return f"{own}{role}.weight"
        if role.split(".")[0] == "mlp":
            return f"{own}{role}.weight"
        if self.bailing:
            bailing = {"q": "query_key_value", "o": "dense", "q_norm": "query_layernorm", "k_norm": "key_layernorm"}
            return f"{own}attention.{bailing.get(role, role)}.weight"
        return f"{own}self_attn.{role if role.endswith('norm') else role + '_proj'}.weight"

    def bias(self, i, role):
        return self.layer(i, role).removesuffix("weight") + "bias"


def is_linear(config, i):
    group, layers = config.get("layer_group_size"), config["num_hidden_layers"]
    linear = config["model_type"] == "bailing_moe_linear"
    return linear and (i + 1) % group != 0 and i < layers // group * group


def is_sparse(config, i):
    return bool(config.get("num_experts")) and i >= config.get("first_k_dense_replace", 0)


class Planner:
    def __init__(self, subject, choices):
        self.config, self.ids, self.choices = subject.config, subject.ids, choices
        self.names = Names(subject.config)
        self.faults = []

    def add(self, what, parts, operation, name, *arguments):
        parts = frozenset(parts)
        where = ", ".join(p if i is None else f"{p} {i}" for p, i in sorted(parts, key=str)) or "none"
        record = STACKED.sub(".experts.*.", name)
        plant = (operation, name, *map(str, arguments))
        self.faults.append(Fault(f"{what} ({where})", plant, parts, frozenset({record})))

    def attention(self, i):
        here = [("attention", i)]
        q, o = self.names.layer(i, "q"), self.names.layer(i, "o")
        self.add("scale of q, first tile", here, "scale", q)
        self.add("scale of o, second tile", here, "scale", o, 1)
        self.add("one code of q", here, "code", q, 7)
        self.add("one code of o", here, "code", o, 7)
        self.add("row of q shifted by one", here, "rotate", q, 5)
        self.add("row of o taken from its neighbour", here, "repeat", o, 5)
        self.add("element of the norm before attention", here, "element", self.names.layer(i, "input_layernorm"), 3)
        if self.names.normed:
            self.add("element of the norm of q", here, "element", self.names.layer(i, "q_norm"), 3)
            self.add("element of the norm of k", here, "element", self.names.layer(i, "k_norm"), 3)
        if self.config.get("attention_bias"):
            self.add("element of the bias of v", here, "element", self.names.bias(i, "v"), 3)
        if is_linear(self.config, i):
            self.add("scale of the gate", here, "scale", self.names.layer(i, "g_proj"))
            self.add("element of the gate's norm", here, "element", self.names.layer(i, "g_norm"), 3)
        self.faults.append(
            Fault(f"two heads exchanged (attention {i})", ("head", str(i)), frozenset(here), frozenset({q}))
        )

    def gated(self, i, prefix, of):
        here = [("mlp", i)]
        for which in ("gate_proj", "up_proj", "down_proj"):
            self.add(f"scale of {which}{of}", here, "scale", self.names.layer(i, f"{prefix}.{which}"))
        self.add(f"one code of down_proj{of}", here, "code", self.names.layer(i, f"{prefix}.down_proj"), 7)
        self.add(f"row of up_proj shifted{of}", here, "rotate", self.names.layer(i, f"{prefix}.up_proj"), 5)

    def dense(self, i):
        self.gated(i, "mlp", "")
        norm = self.names.layer(i, "post_attention_layernorm")
        self.add("element of the norm before the MLP", [("mlp", i)], "element", norm, 3)
        if self.config.get("mlp_bias"):
            self.add("element of the bias of up_proj", [("mlp", i)], "element", self.names.bias(i, "mlp.up_proj"), 3)

    def sparse(self, i):
        chosen = sorted({e for token in self.choices[i] for e in token})
        self.gated(i, f"mlp.experts.{chosen[0]}", f" of expert {chosen[0]}")
        self.gated(i, "mlp.shared_experts", " of the shared expert")
        here, router = [("mlp", i)], [("router", i)]
        stack = [f"model.layers.{i}.mlp.experts.*.{w}_proj.weight" for w in ("gate", "up", "down")]
        self.faults.append(
            Fault(f"two experts exchanged (mlp {i})", self.pair(i, chosen), frozenset(here), frozenset(stack))
        )
        gate = self.names.layer(i, "mlp.gate")
        self.add("weight of the router", router, "element", gate, 7)
        self.add("two rows of the router exchanged", router, "exchange", gate)
        if self.config.get("moe_router_enable_expert_bias"):
            bias = gate.removesuffix("weight") + "expert_bias"
            self.add("element of the expert bias", router, "element", bias, chosen[0])
        norm = self.names.layer(i, "post_attention_layernorm")
        self.add("element of the norm before the MLP", router + here, "element", norm, 3)

    def pair(self, i, chosen):
        """Experts 0 and 1, if some token chose one of them."""
        other = 0 if chosen[0] else 1
        return ("experts", str(i), "0", str(chosen[0] if chosen[0] else other))

    def ends(self):
        h, tied = self.config["hidden_size"], self.config.get("tie_word_embeddings")
        ends = [("embedding", None)] + [("head", None)] * bool(tied)
        self.add("element of the embedding", ends, "element", self.names.embedding, self.ids[1] * h + 3)
        head = [("head", None)]
        self.add("element of the final norm", head, "element", "model.norm.weight", 3)
        if not tied:
            self.add("element of the head", head, "element", "lm_head.weight", self.ids[1] * h + 3)
            self.add("two rows of the head exchanged", head, "exchange", "lm_head.weight")

    def unread(self):
        """Layers after the last one predict further tokens, which the forward pass leaves out and says so."""
        if self.config.get("num_nextn_predict_layers"):
            norm = f"model.layers.{self.config['num_hidden_layers']}.enorm.weight"
            self.add("element of a layer that the pass does not read", [], "element", norm, 3)


def one_of_each_kind(config):
    """The first layer of each kind, and the last layer."""
    kinds = {}
    for i in range(config["num_hidden_layers"]):
        kinds.setdefault((is_linear(config, i), is_sparse(config, i)), i)
    return sorted({*kinds.values(), config["num_hidden_layers"] - 1})


def faults_of(subject, choices):
    planner = Planner(subject, choices)
    for i in one_of_each_kind(subject.config):
        planner.attention(i)
        if is_sparse(subject.config, i):
            planner.sparse(i)
        else:
            planner.dense(i)
    planner.ends()
    planner.unread()
    return planner.faults


def used_experts(*choices):
    """{layer: set of experts} that some token chose in any of these runs."""
    return {i: {e for c in choices for token in c[i] for e in token} for i in choices[0]}


def unchosen(used, experts):
    """(layer, expert) without a token, in the last such layer; None if every expert has one."""
    for i in sorted(used, reverse=True):
        left = set(range(experts)) - used[i]
        if left:
            return i, min(left)
    return None


def fault_of_expert(layer, expert, chosen, parts):
    planted = f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight"
    record = STACKED.sub(".experts.*.", planted)
    what = f"row of expert {expert} of layer {layer}, which {chosen}"
    return Fault(what, ("rotate", planted, "5"), frozenset(parts), frozenset({record}))
