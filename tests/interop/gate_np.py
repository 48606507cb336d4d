"""What `octavo verify --forward` measures of a packed file (spec/forward.md section 8), by the forward pass of
forward_np.py in float64.

    truth = follow(Side(config, source_weights(tensors), slope), ids)
    packed = Subject(Side(config, packed_weights(file), slope), truth, ids)
    parts(truth, subjects, defined)                   error, ideal error, distance of every part
    summary(truth.logits, packed.own.logits, ids)     measures of logits; paired: of pairs of models

Weights: {name: float32 array}. `ideal_weights` are those of the ideal file (section 8.3), with the codes
of quantizer_np.py.
"""

from dataclasses import dataclass, field

import numpy as np

import dialects_np as dialects
import forward_np
import fp8_np as fp8
import packed_format as pf
import quantizer_np as quantizer
import statistics_np
from checkpoint_np import widen

TOLERATED = 1.05  # times the ideal error
NOISE = 1e-12  # of float64: a BLAS may round the same product differently within another matrix


# Weights


def source_tensors(checkpoint):
    """{name: Tensor, or Fp8 with its scales} of a checkpoint."""
    tensors = checkpoint.tensors
    pairs = fp8.find_pairs(tensors, checkpoint.config(), lambda t: False, lambda t: False)
    scales = {pair.scales.name for pair in pairs.values()}
    return {name: pairs.get(name, t) for name, t in tensors.items() if name not in scales}


def source_weights(tensors):
    """{name: float32} of source_tensors."""
    return {name: fp8.values(t) for name, t in tensors.items()}


def members(record):
    """The names that the tensors of a record have in the source."""
    name = record["name"]
    return [pf.expand(name, e) for e in range(record["shape"][0])] if pf.is_stack(name) else [name]


def matrices(x, record):
    return x.reshape((-1,) + tuple(record["shape"][-2:]))


def spread(scales, shape):
    """The scale of every element of a matrix."""
    tiled = np.repeat(np.repeat(scales, pf.TILE, axis=0), pf.TILE, axis=1)
    return tiled[: shape[0], : shape[1]]


def dequantized(codes, scales):
    return fp8.decode(codes) * spread(scales, codes.shape)


def array_of(packed, record):
    """The numbers of a record without scales, or its codes."""
    dtype = pf.DTYPES[record["dtype"]][0]
    raw = np.frombuffer(packed.data(record), np.uint8)
    if dtype == "F8_E4M3":
        return raw.reshape(record["shape"])
    return widen(fp8.Tensor(record["name"], dtype, list(record["shape"]), raw))


def packed_weights(packed):
    """{name: float32} of a packed file; stacks are taken apart."""
    weights = {}
    for r in packed.records:
        x = array_of(packed, r) if r["cls"] != pf.SCALES else None
        if r["cls"] == pf.CODES:
            scales = array_of(packed, packed.records[r["scale_idx"]])
            scales = scales.reshape((-1,) + scales.shape[-2:])
            x = np.stack([dequantized(c, s) for c, s in zip(matrices(x, r), scales)])
            x = x.reshape(r["shape"])
        if x is not None:
            for name, member in zip(members(r), x if pf.is_stack(r["name"]) else [x]):
                weights[name] = member
    return weights


def ideal_weights(packed, tensors):
    """{name: float32} of the ideal file (section 8.3)."""
    weights = {}
    for r in packed.records:
        for name in members(r) if r["cls"] != pf.SCALES else ():
            weights[name] = ideal_tensor(packed, r, tensors[name])
    return weights


def ideal_tensor(packed, record, source):
    x, dtype = fp8.values(source), pf.DTYPES[record["dtype"]][0]
    here, wide = record["origin"] == pf.QUANTIZED, source.dtype
    if record["cls"] != pf.CODES:
        return x if dtype == wide else dialects.round_to(dtype, x)
    if isinstance(source, fp8.Fp8):
        if not here:
            return x
        wide = "F32"
    kind = "ue8m0" if packed.records[record["scale_idx"]]["flags"] & 1 else "f32"
    dialect = pf.DIALECT_NAMES[record["dialect"]] if here else "ieee"
    codes, scales, _ = quantizer.quantize_matrix(x, kind, dialect, wide)
    return dequantized(codes, scales)


def claimed(packed, tensors):
    """Names of tensors that the file claims to be the ideal ones. Carried ones have the blocks of the source."""
    names = set()
    for r in packed.records:
        for name in members(r) if r["cls"] != pf.SCALES else ():
            dtype = pf.DTYPES[r["src_dtype" if r["cls"] == pf.CODES else "dtype"]][0]
            if tensors[name].dtype == dtype:
                names.add(name)
    return names


# The models


class Side(forward_np.Model):
    """A model that notes which tensors it reads. `given`: the experts, with their weights or None, that replace its
    own choice."""

    def __init__(self, config, weights, slope):
        super().__init__(config, weights, slope)
        self.given, self.wide = None, {}
        self.read = set()

    def weight(self, name):
        if name not in self.wide:
            self.wide[name] = super().weight(name)
        self.read.add(name + ".weight")
        return self.wide[name]

    def scores(self, b, name):
        if name + ".expert_bias" in self.tensors:
            self.read.add(name + ".expert_bias")
        return super().scores(b, name)

    def route(self, b, name):
        if self.given is None:
            return super().route(b, name)
        index, share = self.given
        return index, self.shares(self.scores(b, name)[0], index) if share is None else share

    def router_scores(self, x, i):
        """By which experts are chosen, for states after attention."""
        prefix = f"model.layers.{i}."
        b = self.norm(x.reshape(-1, x.shape[-1]), prefix + "post_attention_layernorm")
        return self.scores(b, prefix + "mlp.gate")[1]

    def attend_all(self, x, i):
        return np.stack([self.attend(sequence, i, 0, {}) for sequence in x])

    def mix_all(self, x, i, given=None):
        """The output, and the experts with their weights; no experts in layers without."""
        out, self.given = {}, given
        y = self.mix(x.reshape(-1, x.shape[-1]), i, out)
        return y.reshape(x.shape), tuple(out.values())


@dataclass
class Trace:
    """States before, within (after attention) and after layers: before[i + 1] is after layer i."""

    before: list
    within: list = field(default_factory=list)
    experts: list = field(default_factory=list)  # (index, weights), or () in a layer without
    scores: list = field(default_factory=list)
    logits: np.ndarray = None

    def has_router(self, i):
        return bool(self.experts[i])


def follow(side, ids, choice=None):
    """A model with its own states; with the experts, but not their weights, of another trace."""
    t = Trace([side.embed(ids)])
    for i in range(side.layers):
        t.within.append(side.attend_all(t.before[i], i))
        forced = (choice.experts[i][0], None) if choice and choice.has_router(i) else None
        y, experts = side.mix_all(t.within[i], i, forced)
        t.before.append(y)
        t.experts.append(experts)
        t.scores.append(side.router_scores(t.within[i], i) if experts else None)
    t.logits = side.logits(t.before[-1])
    return t


# Parts (section 8.4)


def steps(truth, layers):
    """(part, layer) in the order of computing."""
    yield "embedding", None
    for i in range(layers):
        yield "attention", i
        if truth.has_router(i):
            yield "router", i
        yield "mlp", i
    yield "head", None


def part_output(side, truth, ids, part, i):
    """What a part gives for the source's states."""
    if part == "embedding":
        return side.embed(ids)
    if part == "head":
        return side.logits(truth.before[-1])
    if part == "attention":
        return side.attend_all(truth.before[i], i)
    if part == "router":
        return side.router_scores(truth.within[i], i)
    return side.mix_all(truth.within[i], i, truth.experts[i] or None)[0]


def truth_of(truth, part, i):
    """The source's output of a part and its input, 0 if the increment is the output itself."""
    return {
        "embedding": lambda: (truth.before[0], 0),
        "attention": lambda: (truth.within[i], truth.before[i]),
        "router": lambda: (truth.scores[i], 0),
        "mlp": lambda: (truth.before[i + 1], truth.within[i]),
        "head": lambda: (truth.logits, 0),
    }[part]()


class Subject:
    """A model with its own states (`own`), and what its parts give for those of the source (`made`, by step), with the
    tensors that each of them reads (`reads`)."""

    def __init__(self, side, truth, ids):
        self.side, self.truth = side, truth
        self.own = follow(side, ids)
        self.read = side.read  # by anything
        self.made, self.reads = {}, {}
        for step in steps(truth, side.layers):
            side.read = set()
            self.made[step] = part_output(side, truth, ids, *step)
            self.reads[step] = side.read
        self.read = self.read.union(*self.reads.values())

    def chosen(self, ids):
        """The logits with its own states, but with the source's choice of experts; None without experts."""
        if not any(self.truth.experts):
            return None
        self.side.read = set()
        logits = follow(self.side, ids, self.truth).logits
        self.read |= self.side.read
        return logits


def norm(x):
    return float(np.sqrt(np.sum(np.square(x))))


def ratio(difference, whole):
    return 0.0 if norm(difference) == 0 else norm(difference) / norm(whole)


def parts(truth, subjects, defined):
    """The list that the report has. `subjects`: "packed", "ideal" and perhaps "versus"; `defined`: {step: bool}."""
    found = []
    for step in defined:
        y, x = truth_of(truth, *step)
        packed, ideal = subjects["packed"].made[step], subjects["ideal"].made[step]
        versus = subjects["versus"].made[step] if "versus" in subjects else None
        found.append(
            {
                "part": step[0],
                "layer": step[1],
                "claim": "definition" if defined[step] else "other",
                "error": ratio(packed - y, y - x),
                "ideal_error": ratio(ideal - y, y - x),
                "distance": ratio(packed - ideal, y - x),
                "versus_error": None if versus is None else ratio(versus - y, y - x),
            }
        )
    return found


def at_fault(part):
    if part["claim"] == "definition":
        return part["distance"] > NOISE
    return part["error"] > TOLERATED * part["ideal_error"]


def faults(found, subjects):
    """[(part, layer)] of a list of parts. If there is none although all parts are defined, the packed model's own
    states must be those of the ideal file: (None, the first layer after which they are not)."""
    steps_at_fault = [(p["part"], p["layer"]) for p in found if at_fault(p)]
    if steps_at_fault or any(p["claim"] == "other" for p in found):
        return steps_at_fault
    pairs = zip(subjects["packed"].own.before[1:], subjects["ideal"].own.before[1:])
    return [(None, i) for i, (a, b) in enumerate(pairs) if ratio(a - b, a) > NOISE][:1]


def layers_of(truth, packed):
    """What the report has for each layer."""
    rows = []
    for i in range(len(truth.within)):
        x0, x1, x2 = truth.before[i], truth.within[i], truth.before[i + 1]
        change = (packed.made["attention", i] - x1) + (packed.made["mlp", i] - x2)
        a, b = x2, packed.own.before[i + 1]
        rows.append(
            {
                "local_error": ratio(change, x2 - x0),
                "hidden_rms": ratio(b - a, a),
                "hidden_cosine": float(np.sum(a * b)) / (norm(a) * norm(b)),
                "router_agreement": agreement(truth.experts[i], packed.own.experts[i]),
            }
        )
    return rows


def agreement(a, b):
    return float(np.mean((a[0] == b[0]).all(axis=-1))) if a else None


# Logits (section 8)


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def divergence(z, y):
    """KL of each position [S, T]."""
    p, q = log_softmax(z), log_softmax(y)
    return np.sum(np.exp(p) * (p - q), axis=-1)


def nll(z, ids):
    """Of the next token [S, T - 1]."""
    return -np.take_along_axis(log_softmax(z)[:, :-1], ids[:, 1:, None], axis=-1)[..., 0]


def quantile(values, per_mille):
    rank = -(-values.size * per_mille // 1000)
    return float(np.sort(values, axis=None)[rank - 1])


def top5(z):
    return np.sort(np.argsort(-z, axis=-1, kind="stable")[..., :5], axis=-1)


def summary(z, y, ids, chosen=None):
    """Measures of logits y against z; `chosen`: logits with the source's choice of experts."""
    kl, difference = divergence(z, y), np.abs(z - y)
    own, theirs = float(np.exp(nll(z, ids).mean())), float(np.exp(nll(y, ids).mean()))
    choice = None if chosen is None else float(divergence(z, chosen).mean())
    return {
        "kl_mean": float(kl.mean()),
        "kl_median": quantile(kl, 500),
        "kl_p99": quantile(kl, 990),
        "kl_p999": quantile(kl, 999),
        "kl_max": float(kl.max()),
        "kl_choice": choice,
        "kl_routing": None if choice is None else float(kl.mean()) - choice,
        "top1": float(np.mean(z.argmax(axis=-1) == y.argmax(axis=-1))),
        "top5": float(np.mean((top5(z) == top5(y)).all(axis=-1))),
        "source_perplexity": own,
        "packed_perplexity": theirs,
        "perplexity_ratio": theirs / own,
        "logit_mean_difference": float(difference.mean()),
        "logit_max_difference": float(difference.max()),
        **intervals(z, y, ids),
        "positions_compared": kl.size,
        "positions_scored": ids.size - len(ids),
        "kl_max_position": int(kl.argmax()),
    }


# Sequences (section 8.2)


def intervals(z, y, ids):
    kl, same, theirs = by_sequence(z, y, ids)
    worse = statistics_np.interval(theirs - nll(z, ids).mean(axis=1))
    kl, same = statistics_np.interval(kl), statistics_np.interval(same / ids.shape[1])
    return {
        "kl_standard_error": kl[1],
        "kl_low": kl[2],
        "kl_high": kl[3],
        "top1_low": same[2],
        "top1_high": same[3],
        "perplexity_ratio_low": float(np.exp(worse[2])),
        "perplexity_ratio_high": float(np.exp(worse[3])),
    }


def by_sequence(z, y, ids):
    """(KL, positions with the same top-1, mean negative log-probability) of each sequence."""
    same = z.argmax(axis=-1) == y.argmax(axis=-1)
    return divergence(z, y).mean(axis=1), same.sum(axis=1), nll(y, ids).mean(axis=1)


def judge(x, sign):
    """Differences by sequence; `sign`: of what is worse."""
    found = dict(zip(("mean", "standard_error", "low", "high"), statistics_np.interval(x)))
    judged = len(x) >= 8
    worse = judged and found["mean"] != 0 and found["standard_error"] != 0 and sign * found["mean"] > (
        statistics_np.errors_allowed(len(x)) * found["standard_error"]
    )
    return found | {"judged": judged, "worse": bool(worse)}


def paired(z, a, b, ids):
    """Differences of two models, the first minus the second, that are compared with z."""
    first, second = by_sequence(z, a, ids), by_sequence(z, b, ids)
    kl, same, worse = (a - b for a, b in zip(first, second))
    return {
        "kl": judge(kl, 1),
        "top1": judge(same / ids.shape[1], -1),
        "nll": judge(worse, 1),
        "wins": int(np.count_nonzero(kl < -NOISE)),
        "losses": int(np.count_nonzero(kl > NOISE)),
        "sequences": len(ids),
    }


# Coverage (section 8.5)


def tensor_bytes(packed):
    """{name: bytes} of all tensors, without scales."""
    sizes = {}
    for r in packed.records:
        names = members(r) if r["cls"] != pf.SCALES else []
        sizes.update((name, r["len"] // len(names)) for name in names)
    return sizes


def coverage(packed, truth, config, read, ids):
    """`read`: all tensors that the packed model has read."""
    chosen = [len(np.unique(e[0])) if e else None for e in truth.experts]
    each, layers = config["num_experts"], len(truth.experts)
    sizes = tensor_bytes(packed)
    unread = [n for n in sizes if n not in read]
    experts = [n for n in unread if pf.expert_slot(n) and (pf.layer_of(n) or 0) < layers]
    others = [n for n in unread if n not in experts]
    return {
        "experts": each * sum(c is not None for c in chosen),
        "experts_chosen": sum(c or 0 for c in chosen),
        "layers": chosen,
        "embedding_rows": config["vocab_size"],
        "embedding_rows_read": len(np.unique(ids)),
        "tensors": len(sizes),
        "tensors_unread": len(others),
        "expert_tensors_unread": len(experts),
        "bytes": sum(sizes.values()),
        "bytes_unread": sum(sizes[n] for n in unread),
        "first_unread": min(others, default=None),
    }
