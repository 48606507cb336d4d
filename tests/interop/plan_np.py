"""What the packed file of a checkpoint must contain: recipe, stacks, records, offsets (quant.md 6 and 7,
format.md 5 to 7)."""

import re
from dataclasses import dataclass, field

import fp8_np as fp8
import packed_format as pf
import rules_np as rules
from packed_format import CARRIED, CODES, KEPT, QUANTIZED, SCALES


def glob_regex(pattern):
    """A glob of quant.md section 6 as a compiled regular expression over bytes."""
    raw, out, i = pattern.encode("utf-8"), b"", 0
    while i < len(raw):
        c = raw[i : i + 1]
        close = raw.find(b"]", i + 2) if c == b"[" else -1
        if c == b"[" and close > 0:
            inside = raw[i + 1 : close].replace(b"\\", b"\\\\").replace(b"^", b"\\^")
            out += b"[" + (b"^" + inside[1:] if inside[:1] == b"!" else inside) + b"]"
            i = close
        else:
            out += {b"*": b".*", b"?": b"."}.get(c, re.escape(c))
        i += 1
    return re.compile(out, re.DOTALL)


def ruled(name, rules):
    """The action of the last rule that matches, None without one."""
    raw = name.encode("utf-8")
    actions = [r["action"] for r in rules if glob_regex(r["match"]).fullmatch(raw)]
    return actions[-1] if actions else None


def decide(tensor, recipe, names, spared=False):
    """The origin of a tensor's record: 0 (kept), QUANTIZED or CARRIED. `names`: of all tensors."""
    if isinstance(tensor, fp8.Fp8):
        if fp8.carried(tensor, recipe["scales"]):
            return CARRIED
        if not recipe.get("requantize"):
            raise fp8.Refused(f"{tensor.name}: it would have to be requantized")
        return QUANTIZED
    action = ruled(tensor.name, recipe["rules"])
    if action is None:
        rule_set = recipe.get("built_in", 1)
        builtin = rules.builtin_reason(rule_set, tensor.name, tensor.dtype, tensor.shape, names)
        action = "quantize" if builtin == "linear" and not spared else "keep"
    return QUANTIZED if action == "quantize" else 0


def resolve(tensors, config, recipe):
    """{name: tensor}, where each FP8 tensor that no rule keeps and its scales are one."""

    def keeps(tensor):
        return ruled(tensor.name, recipe["rules"]) == "keep"

    rule_set = recipe.get("built_in", 1)
    pairs = fp8.find_pairs(tensors, config, keeps, lambda t: rules.is_linear_name(rule_set, t.name))
    consumed = {pair.scales.name for pair in pairs.values()}
    return {name: pairs.get(name, t) for name, t in tensors.items() if name not in consumed}


@dataclass
class Planned:
    """A planned record: its fields, and the source tensors that it holds (one, or the members of a
    stack)."""

    name: str
    cls: int
    dtype: str
    src_dtype: str
    shape: list
    sources: list = field(repr=False)
    scale: "Planned" = field(default=None, repr=False)
    pow2: bool = False
    origin: int = None  # by default QUANTIZED unless it is kept
    dialect: int = None  # by default ieee if it is QUANTIZED
    fields: dict = field(default=None, repr=False)

    def __post_init__(self):
        if self.origin is None:
            self.origin = 0 if self.cls == KEPT else QUANTIZED
        if self.dialect is None:
            self.dialect = int(self.origin == QUANTIZED)

    def order(self):
        layer = pf.layer_of(self.name)
        return -1 if layer is None else layer, self.cls, self.name.encode("utf-8")

    def slices(self):
        return pf.slice_count(self.name, self.cls, self.shape, self.origin)


def find_stacks(tensors, decisions):
    """{name of a stack: its members in order}."""
    groups = {}
    for t in tensors.values():
        slot = pf.expert_slot(t.name)
        number = pf.canonical_decimal(slot[1]) if slot else None
        if number is not None:
            groups.setdefault(slot[0] + "*" + slot[2], {})[number] = t
    return {
        name: [group[i] for i in range(len(group))]
        for name, group in groups.items()
        if is_uniform(group, decisions)
    }


def is_uniform(group, decisions):
    if len(group) < 2 or set(group) != set(range(len(group))):
        return False
    kinds = {kind_in_stack(t, decisions[t.name]) for t in group.values()}
    return len(kinds) == 1 and len(group[0].shape) == 2


def kind_in_stack(tensor, decision):
    """What the members of a stack have in common."""
    scales = tensor.scales.dtype if decision == CARRIED else None
    return tensor.dtype, tuple(tensor.shape), decision, scales


def plan_records(checkpoint, recipe):
    """All records of the packed file in order, `fields` filled except for the offsets
    (place_records)."""
    tensors = resolve(checkpoint.tensors, checkpoint.config(), recipe)
    spared = fp8.any_pair(checkpoint.tensors, checkpoint.config())
    names = set(checkpoint.tensors)
    decisions = {name: decide(t, recipe, names, spared) for name, t in tensors.items()}
    stacks = find_stacks(tensors, decisions)
    stacked = {t.name for members in stacks.values() for t in members}
    units = [(name, members) for name, members in stacks.items()]
    units += [(name, [t]) for name, t in tensors.items() if name not in stacked]
    records = []
    for name, sources in units:
        records += plan_unit(name, sources, decisions[sources[0].name], recipe)
    return sorted(records, key=Planned.order)


def plan_unit(name, sources, origin, recipe):
    first = sources[0]
    shape = ([len(sources)] if pf.is_stack(name) else []) + list(first.shape)
    if not origin:
        return [Planned(name, KEPT, first.dtype, first.dtype, shape, sources)]
    tiles = shape[:-2] + [pf.ceil_div(d, pf.TILE) for d in shape[-2:]]
    kind, pow2 = "F32", recipe["scales"] == "ue8m0"
    dialect = pf.DIALECT_NAMES.index(recipe.get("dialect", "ieee"))
    if origin == CARRIED:
        kind = first.scales.dtype
        pow2 = kind == "F8_E8M0"
        dialect = 0
    own = [t.scales for t in sources] if origin == CARRIED else sources
    same = {"origin": origin, "dialect": dialect}
    scale = Planned(name + pf.SCALE_SUFFIX, SCALES, kind, kind, tiles, own, None, pow2, **same)
    codes = Planned(name, CODES, "F8_E4M3", first.dtype, shape, sources, scale, **same)
    return [codes, scale]


def place_records(records, data_off):
    """Fill in the fields of every record; returns the end of the last one and the number of
    chunks."""
    number = {id(r): i for i, r in enumerate(records)}
    name_off, cursor, chunk = 0, data_off, 0
    for r in records:
        length = pf.product(r.shape) * pf.DTYPE_BITS[r.dtype] // 8
        size = pf.chunk_bytes_of(r.cls, r.shape)
        slices = r.slices()
        count = slices * pf.ceil_div(length // slices, size) if slices else 0
        layer = pf.layer_of(r.name)
        block = pf.TILE if r.cls == CODES else 0
        r.fields = {
            "name_off": name_off,
            "name_len": len(r.name.encode("utf-8")),
            "dtype": pf.DTYPE_NUMBER[r.dtype],
            "ndim": len(r.shape),
            **{f"shape{i}": d for i, d in enumerate(r.shape)},
            "off": pf.place(cursor, length),
            "len": length,
            "chunk_bytes": size,
            "chunk_first": chunk,
            "chunk_count": count,
            "scale_idx": pf.NONE32 if r.scale is None else number[id(r.scale)],
            "layer": pf.NONE32 if layer is None else layer,
            "block_rows": block,
            "block_cols": block,
            "src_dtype": pf.DTYPE_NUMBER[r.src_dtype],
            "origin": r.origin,
            "dialect": r.dialect,
            "flags": int(r.pow2),
        }
        name_off += r.fields["name_len"]
        cursor = r.fields["off"] + length
        chunk += count
    return cursor, chunk


def source_digests(record):
    """SDIG of a record (section 7): one digest per source tensor."""
    if record.cls == SCALES and record.origin != CARRIED:
        return []
    return [source_digest(record, t) for t in record.sources]


def source_digest(record, tensor):
    piece, parts, data = pf.CHUNK, 1, tensor.data
    if record.cls == CODES:
        bits = pf.DTYPE_BITS[record.src_dtype]
        piece = pf.chunk_bytes_of(CODES, record.shape) * bits // 8
        # A source tensor of three dimensions is divided within each of its matrices.
        parts = record.shape[0] if len(record.shape) == 3 and not pf.is_stack(record.name) else 1
    size = len(data) // parts
    cuts = [(k, a, b) for k in range(parts) for a, b in pf.pieces(size, piece)]
    behind = scale_rows if record.cls == CODES and is_requantized(record) else nothing
    return pf.combine(
        pf.XXH3,
        [
            pf.xxh3(data[k * size + a : k * size + b].tobytes() + behind(tensor, k, a, b))
            for k, a, b in cuts
        ],
    )


def is_requantized(record):
    return record.origin == QUANTIZED and record.src_dtype == "F8_E4M3"


def scale_rows(tensor, matrix, start, end):
    """The bytes that belong to the piece [start, end) of a matrix of a requantized tensor."""
    cols = tensor.shape[-1]
    return tensor.rows_for(matrix, start // cols, end // cols)


def nothing(*_):
    return b""
