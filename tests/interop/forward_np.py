#!/usr/bin/python3
"""The forward pass of Ring-linear 2.0 (bailing_moe_linear) and of Ling and Ring 2.0 (bailing_moe)
in float64, for checkpoints that fit into memory. Shares no code with the tool.

    forward_np.py CHECKPOINT TOKENS.json OUT.npz|OUT.safetensors [--slope trained|hf] [--step N]
    forward_np.py CHECKPOINT --compare GOLDEN.safetensors [--slope trained|hf] [--step N]

TOKENS.json: a list of token ids, or a list of such lists of equal length. Results, all float64
except the first and the indices, which are int32: input_ids [S, T]; hidden.0 (embeddings), hidden.1
(after layer 0) ... [S, T, h]; router_index.i, ascending in a row, and router_weight.i [S * T, top_k] of
each layer i with a router; logits [S, T, vocab].

--step N: N tokens at a time, with caches and states carried on (default: all at once). --compare:
run the tokens of a file of such results (its logits may be called logits.engine and logits.hf, by
the form of the slopes; everything else has the form `trained`) and print the largest relative RMS; exit
status 1 if it is not below 1e-6 or an expert differs.
"""

import argparse
import json
import math
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import st_write  # noqa: E402

LIMIT = 1e-6
NAME_OF_SLOPE = {"trained": "logits.engine", "hf": "logits.hf"}
STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I32": "<i4", "I64": "<i8"}


# Files


def read_safetensors(path):
    """{name: array}; BF16 is widened to float32."""
    data = np.fromfile(path, np.uint8)
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    header = json.loads(data[8:start].tobytes())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        x = data[start + first : start + end].view(STORED[entry["dtype"]])
        if entry["dtype"] == "BF16":
            x = (x.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = x.reshape(entry["shape"])
    return tensors


def read_checkpoint(directory):
    """The config and {name: array}."""
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    index = os.path.join(directory, "model.safetensors.index.json")
    shards = ["model.safetensors"]
    if os.path.exists(index):
        with open(index, encoding="utf-8") as f:
            shards = sorted(set(json.load(f)["weight_map"].values()))
    tensors = {}
    for shard in shards:
        tensors.update(read_safetensors(os.path.join(directory, shard)))
    return config, tensors


def write_results(path, results):
    if path.endswith(".npz"):
        np.savez(path, **results)
        return
    names = {"float64": "F64", "int32": "I32"}
    st_write.write_file(
        path,
        [
            (name, names[x.dtype.name], list(x.shape), np.ascontiguousarray(x).tobytes())
            for name, x in results.items()
        ],
    )


# Functions


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def silu(x):
    return x * sigmoid(x)


def rms_norm(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * weight


def slopes(heads):
    """One positive slope for each head."""

    def geometric(n):
        ratio = 2.0 ** (-8.0 / n)
        return [ratio ** (h + 1) for h in range(n)]

    power = 2 ** int(math.log2(heads))
    if power == heads:
        return np.array(geometric(heads))
    return np.array(geometric(power) + geometric(2 * power)[0::2][: heads - power])


def decay_factor(layer, layers, form):
    distance = layer if form == "trained" else layer - 1
    return 1 - (distance / (layers - 1) if layers > 1 else 0) + 1e-5


def frequencies(config, width):
    """The frequency of each rotated pair, and the factor of cos and sin."""
    base = config["rope_theta"]
    plain = 1.0 / base ** (np.arange(0, width, 2) / width)
    scaling = config.get("rope_scaling")
    if not scaling:
        return plain, 1.0
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind != "yarn":
        sys.exit(f"rope_scaling of type {kind!r} is not known here")
    s, length = scaling["factor"], scaling["original_max_position_embeddings"]

    def pair_of(rotations):  # that turns this many times within the original length
        return width * math.log(length / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(pair_of(scaling.get("beta_fast") or 32)), 0)
    high = min(math.ceil(pair_of(scaling.get("beta_slow") or 1)), width - 1)
    if low == high:
        high += 0.001
    slow = np.clip((np.arange(width // 2) - low) / (high - low), 0, 1)
    factor = scaling.get("attention_factor")
    if factor is None:
        factor = 0.1 * math.log(s) + 1 if s > 1 else 1.0
    return plain / s * slow + plain * (1 - slow), factor


# The model


class Model:
    def __init__(self, config, tensors, slope):
        self.config, self.tensors, self.slope = config, tensors, slope
        if config["model_type"] not in ("bailing_moe_linear", "bailing_moe"):
            sys.exit(f"model_type {config['model_type']!r} is not known here")
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.d = config.get("head_dim") or config["hidden_size"] // self.heads
        self.rotated = math.floor(self.d * config.get("partial_rotary_factor", 1.0))
        self.frequencies, self.rope_factor = frequencies(config, self.rotated)

    def weight(self, name):
        return self.tensors[name + ".weight"].astype(np.float64)

    def is_softmax(self, i):
        if self.config["model_type"] == "bailing_moe":
            return True
        group = self.config["layer_group_size"]
        return (i + 1) % group == 0 or i >= self.layers // group * group

    def norm(self, x, name):
        return rms_norm(x, self.weight(name), self.config["rms_norm_eps"])

    # One sequence, in pieces of `step` tokens: {name: [T, ...]}

    def run(self, tokens, step):
        states = [{} for _ in range(self.layers)]
        parts = []
        for start in range(0, len(tokens), step):
            parts.append(self.piece(tokens[start : start + step], start, states))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def piece(self, tokens, start, states):
        out = {}
        x = out["hidden.0"] = self.embed(tokens)
        for i in range(self.layers):
            x = self.attend(x, i, start, states[i])
            x = out[f"hidden.{i + 1}"] = self.mix(x, i, out)
        out["logits"] = self.logits(x)
        return out

    # The parts of a model

    def embed(self, tokens):
        return self.weight("model.word_embeddings")[tokens]

    def attend(self, x, i, start, state):
        prefix = f"model.layers.{i}."
        a = self.norm(x, prefix + "input_layernorm")
        return x + self.attention(a, i, prefix + "attention.", start, state)

    def mix(self, x, i, out):
        prefix = f"model.layers.{i}."
        return x + self.mlp(self.norm(x, prefix + "post_attention_layernorm"), i, prefix + "mlp", out)

    def logits(self, x):
        tied = self.config.get("tie_word_embeddings")
        head = self.weight("model.word_embeddings" if tied else "lm_head")
        return self.norm(x, "model.norm") @ head.T

    # Attention

    def attention(self, a, i, prefix, start, state):
        softmax = self.is_softmax(i)
        qkv = a @ self.weight(prefix + "query_key_value").T
        if self.config.get("linear_silu") and not softmax:
            qkv = silu(qkv)
        kv_heads = self.config["num_key_value_heads"] if softmax else self.heads
        qkv = qkv.reshape(len(a), self.heads + 2 * kv_heads, self.d)
        q, k, v = np.split(qkv, [self.heads, self.heads + kv_heads], axis=1)
        q = self.rope(self.norm(q, prefix + "query_layernorm"), start)
        k = self.rope(self.norm(k, prefix + "key_layernorm"), start)
        if softmax:
            y = self.softmax_attention(q, k, v, start, state).reshape(len(a), -1)
        else:
            y = self.linear_attention(q, k, v, i, state).reshape(len(a), -1)
            groups = self.config.get("group_norm_size", 1)
            weight = self.weight(prefix + "g_norm").reshape(groups, -1)
            y = rms_norm(y.reshape(len(a), groups, -1), weight, self.config["rms_norm_eps"])
            y = y.reshape(len(a), -1) * sigmoid(a @ self.weight(prefix + "g_proj").T)
        return y @ self.weight(prefix + "dense").T

    def rope(self, x, start):
        angle = (start + np.arange(len(x)))[:, None, None] * self.frequencies
        turn = self.rope_factor * np.exp(1j * angle)
        half = self.rotated // 2
        pair = (x[..., :half] + 1j * x[..., half : self.rotated]) * turn
        return np.concatenate([pair.real, pair.imag, x[..., self.rotated :]], axis=-1)

    def softmax_attention(self, q, k, v, start, state):
        k = state["k"] = np.concatenate([state["k"], k]) if start else k
        v = state["v"] = np.concatenate([state["v"], v]) if start else v
        share = self.heads // k.shape[1]
        k, v = np.repeat(k, share, axis=1), np.repeat(v, share, axis=1)
        scores = np.einsum("thd,shd->hts", q, k) / math.sqrt(self.d)
        position = np.arange(len(k))
        scores = np.where(position > start + np.arange(len(q))[:, None], -np.inf, scores)
        p = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.einsum("hts,shd->thd", p / p.sum(axis=-1, keepdims=True), v)

    def linear_attention(self, q, k, v, i, state):
        """Within a piece every pair of tokens, before it the state: not the order of the recurrence,
        unless a piece is one token."""
        rate = slopes(self.heads) * decay_factor(i, self.layers, self.slope)
        n = np.arange(len(q))
        distance = n[:, None] - n
        decay = np.exp(-rate[:, None, None] * np.maximum(distance, 0)) * (distance >= 0)
        y = np.einsum("hts,shd->thd", np.einsum("thd,shd->hts", q, k) * decay, v)
        before = state.get("s", np.zeros((self.heads, self.d, self.d)))
        since = np.exp(-rate * (n[:, None] + 1))[:, :, None]
        y = y + np.einsum("thi,hic->thc", q * since, before)
        left = np.exp(-rate * (len(q) - 1 - n[:, None]))[:, :, None]
        whole = np.exp(-rate * len(q))[:, None, None]
        state["s"] = before * whole + np.einsum("thi,thc->hic", k * left, v)
        return y / math.sqrt(self.d)

    # MLP

    def gated(self, x, prefix):
        inner = silu(x @ self.weight(prefix + ".gate_proj").T) * (
            x @ self.weight(prefix + ".up_proj").T
        )
        return inner @ self.weight(prefix + ".down_proj").T

    def mlp(self, b, i, prefix, out):
        if i < self.config["first_k_dense_replace"]:
            return self.gated(b, prefix)
        index, share = self.route(b, prefix + ".gate")
        out[f"router_index.{i}"], out[f"router_weight.{i}"] = index, share
        y = np.zeros_like(b)
        for e in np.unique(index):
            token, place = np.nonzero(index == e)
            y[token] += share[token, place][:, None] * self.gated(b[token], f"{prefix}.experts.{e}")
        if self.config.get("num_shared_experts"):
            y = y + self.gated(b, prefix + ".shared_experts")
        return y

    def route(self, b, name):
        s, biased = self.scores(b, name)
        index = self.choose(biased)
        return index, self.shares(s, index)

    def scores(self, b, name):
        """Of all experts, without and with the bias by which they are chosen."""
        s = sigmoid(b @ self.weight(name).T)
        bias = self.tensors.get(name + ".expert_bias")
        return s, s if bias is None else s + bias.astype(np.float64)

    def choose(self, biased):
        c = self.config
        parts = biased.reshape(len(biased), c["n_group"], -1)
        score = np.sort(parts, axis=-1)[:, :, -2:].sum(axis=-1)
        kept = np.argsort(-score, axis=-1, kind="stable")[:, : c["topk_group"]]
        stays = np.zeros(score.shape, bool)
        np.put_along_axis(stays, kept, True, axis=-1)
        masked = np.where(stays[:, :, None], parts, -np.inf).reshape(biased.shape)
        index = np.argsort(-masked, axis=-1, kind="stable")[:, : c["num_experts_per_tok"]]
        return np.sort(index, axis=-1).astype(np.int32)

    def shares(self, s, index):
        share = np.take_along_axis(s, index, axis=-1)
        if self.config.get("norm_topk_prob"):
            share = share / (share.sum(axis=-1, keepdims=True) + 1e-20)
        return share * self.config["routed_scaling_factor"]


def forward(model, ids, step):
    """The results under the names given at the top of this file."""
    runs = [model.run(tokens, step or len(tokens)) for tokens in ids]
    results = {"input_ids": ids.astype(np.int32)}
    for name in runs[0]:
        join = np.concatenate if name.startswith("router") else np.stack
        results[name] = join([run[name] for run in runs])
    return results


# Comparison


def compare(results, golden, slope):
    """Print the largest difference; whether everything is close enough."""
    worst, wrong = ("nothing", 0.0), 0
    same_rank = {}
    for name, expected in golden.items():
        ours = "logits" if name == NAME_OF_SLOPE[slope] else name
        if ours not in results or (slope == "hf" and ours != "logits"):
            continue
        if name.startswith("router_index"):
            rank = same_rank[name.rsplit(".", 1)[1]] = np.argsort(expected, axis=-1)
            wrong += np.count_nonzero(results[name] != np.take_along_axis(expected, rank, -1))
        elif name != "input_ids" and not name.startswith("router_weight"):
            worst = max(worst, (name, relative_rms(results[ours], expected)), key=lambda w: w[1])
    for i, rank in same_rank.items():
        name = f"router_weight.{i}"
        expected = np.take_along_axis(golden[name], rank, -1)
        worst = max(worst, (name, relative_rms(results[name], expected)), key=lambda w: w[1])
    print(f"largest relative RMS {worst[1]:.3g} ({worst[0]}), {wrong} experts differ")
    return 0 < worst[1] < LIMIT and wrong == 0


def relative_rms(x, expected):
    expected = expected.astype(np.float64)
    return float(np.linalg.norm(x - expected) / np.linalg.norm(expected))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("tokens", nargs="?")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--compare", metavar="GOLDEN")
    parser.add_argument("--slope", choices=sorted(NAME_OF_SLOPE), default="trained")
    parser.add_argument("--step", type=int, metavar="N")
    args = parser.parse_args()
    if bool(args.compare) == bool(args.out):
        parser.error("give TOKENS.json and an output, or --compare")
    model = Model(*read_checkpoint(args.checkpoint), args.slope)
    if args.compare:
        golden = read_safetensors(args.compare)
        results = forward(model, golden["input_ids"], args.step)
        return 0 if compare(results, golden, args.slope) else 1
    with open(args.tokens, encoding="utf-8") as f:
        ids = np.atleast_2d(np.array(json.load(f)))
    write_results(args.out, forward(model, ids, args.step))
    return 0


if __name__ == "__main__":
    sys.exit(main())
