"""Tensors that are already FP8 (quant.md section 8): which tensors are scales of which, in what tiles,
what happens to them, and their dequantized values.

Refused is raised for a checkpoint that must be refused; its text names the tensor.
"""

from dataclasses import dataclass, field

import numpy as np

import packed_format as pf
import quantizer_np as quantizer
from checkpoint_np import Tensor, widen

SCALE_DTYPES = ("F32", "BF16", "F16", "F8_E8M0")
SUFFIXES = ("_scale_inv", "_scale")
DEFAULT_TILE = (pf.TILE, pf.TILE)
NAN = np.float32(np.nan)


class Refused(Exception):
    """The tool must refuse this with exit status 5."""


@dataclass
class Fp8(Tensor):
    """A tensor W of the source with its scales; data, dtype, shape are those of W."""

    scales: Tensor = field(default=None, repr=False)
    tile: tuple = DEFAULT_TILE

    def scale_rows(self):
        """The bytes of the scales as [matrix, row, bytes]."""
        matrices = self.shape[0] if len(self.shape) == 3 else 1
        return self.scales.data.reshape(matrices, pf.ceil_div(self.shape[-2], self.tile[0]), -1)

    def rows_for(self, matrix, first, end):
        """The rows of the scales that apply to any of the rows first … end - 1 of a matrix."""
        rows = self.scale_rows()[matrix]
        return rows[first // self.tile[0] : pf.ceil_div(end, self.tile[0])].tobytes()


# Numbers


def decode(codes):
    """float32 of E4M3FN codes, NaN included."""
    magnitudes = np.append(quantizer.MAGNITUDES, NAN)
    return np.concatenate([magnitudes, -magnitudes])[codes]


def scale_values(scales):
    """float32 of a tensor of scales, in its shape; exact for all of their dtypes."""
    if scales.dtype != "F8_E8M0":
        return widen(scales)
    powers = np.append(np.ldexp(np.float32(1), np.arange(255) - 127), NAN).astype(np.float32)
    return powers[scales.data].reshape(scales.shape)


def values(tensor):
    """float32 of a source tensor: fl32(decode(code) * scale) where it is FP8 with scales."""
    if not isinstance(tensor, Fp8):
        return widen(tensor)
    n, k = tensor.shape[-2:]
    r, c = tensor.tile
    down, across = pf.ceil_div(n, r), pf.ceil_div(k, c)
    scales = scale_values(tensor.scales).reshape(-1, down, across)
    codes = tensor.data.reshape(-1, n, k)
    out = np.empty(codes.shape, np.float32)
    for matrix, own, target in zip(codes, scales, out):
        spread = own[np.arange(n)[:, None] // r, np.arange(k)[None, :] // c]
        with np.errstate(over="ignore", invalid="ignore"):
            target[:] = decode(matrix) * spread
    return out.reshape(tensor.shape)


# Tiles


def two_sizes(value):
    """The pair if it consists of integers from 1 to 65535, else None."""
    good = isinstance(value, list) and len(value) == 2
    good = good and all(isinstance(v, int) and not isinstance(v, bool) for v in value)
    good = good and all(0 < v < 65536 for v in value)
    return tuple(value) if good else None


def member(value, key):
    return value.get(key) if isinstance(value, dict) else None


def config_tile(config):
    """(rows, columns) that the configuration names, None if it names none."""
    quantization = member(config, "quantization_config")
    own = member(quantization, "weight_block_size")
    groups = member(quantization, "config_groups")
    if own is not None:
        if two_sizes(own) is None:
            raise Refused(f"weight_block_size {own}")
        return two_sizes(own)
    if not isinstance(groups, dict):
        return None
    weights = [member(group, "weights") for group in groups.values()]
    found = {two_sizes(member(w, "block_structure")) for w in weights}
    if len(found - {None}) > 1:
        raise Refused("tiles of more than one size")
    return found.pop() if len(found) == 1 else None


def tile_of(weight, scales, named):
    """The tile that the shape of the scales implies, None if the shape is not allowed."""
    lead, (n, k) = weight.shape[:-2], weight.shape[-2:]
    r, c = named or DEFAULT_TILE
    if scales.shape == lead + [pf.ceil_div(n, r), pf.ceil_div(k, c)]:
        return r, c
    if named is None and scales.shape == lead + [n, 1]:
        return 1, k
    if named is None and not lead and scales.shape == [n]:
        return 1, k
    if named is None and not lead and scales.shape in ([], [1], [1, 1]):
        return n, k
    return None


# Pairs


def is_weight(tensor):
    return tensor.dtype == "F8_E4M3" and len(tensor.shape) in (2, 3) and all(tensor.shape)


def scales_of(weight, tensors):
    """The tensor that holds the scales, None without one."""
    found = [weight.name + s for s in SUFFIXES if weight.name + s in tensors]
    if len(found) > 1:
        raise Refused(f"{weight.name}: both {found[0]} and {found[1]}")
    return tensors[found[0]] if found else None


def pair_up(weight, scales, named):
    if scales.dtype not in SCALE_DTYPES:
        raise Refused(f"{scales.name}: scales of dtype {scales.dtype}")
    tile = tile_of(weight, scales, named)
    if tile is None:
        raise Refused(f"{scales.name}: shape {scales.shape} for {weight.name} {weight.shape}")
    return Fp8(weight.name, weight.dtype, weight.shape, weight.data, scales, tile)


def find_pairs(tensors, config, keeps, is_linear):
    """{name of W: Fp8}. keeps(tensor): whether a rule keeps it; is_linear(tensor): whether it is a
    known linear layer within a layer."""
    named, pairs = None, {}
    candidates = [t for t in tensors.values() if is_weight(t) and not keeps(t)]
    if candidates:
        named = config_tile(config)
    for t in candidates:
        scales = scales_of(t, tensors)
        if scales is not None:
            pairs[t.name] = pair_up(t, scales, named)
        elif is_linear(t):
            raise Refused(f"{t.name}: FP8 without scales")
    for t in tensors.values():
        weight = tensors.get(t.name.removesuffix(SUFFIXES[0]))
        orphan = t.name.endswith(SUFFIXES[0]) and not (weight and is_weight(weight))
        if orphan and t.name != SUFFIXES[0] and not keeps(t):
            raise Refused(f"{t.name}: scales of no FP8 tensor")
    return pairs


def any_pair(tensors, config):
    """Whether there is FP8 with its scales, regardless of rules: then other linear layers are spared."""
    weights = [t for t in tensors.values() if is_weight(t)]
    named = config_tile(config) if weights else None
    for t in weights:
        found = [tensors[t.name + s] for s in SUFFIXES if t.name + s in tensors]
        if len(found) == 1 and found[0].dtype in SCALE_DTYPES and tile_of(t, found[0], named):
            return True
    return False


def check_carried(pair):
    """A NaN among codes or scales, or an infinite scale, is an error."""
    scales = scale_values(pair.scales)
    if not np.isfinite(scales).all():
        raise Refused(f"{pair.scales.name}: a scale that is not finite")
    if ((pair.data & 0x7F) == 0x7F).any():
        raise Refused(f"{pair.name}: a code is NaN")


def carried(pair, scales):
    """Whether a pair is carried, for this scale format."""
    return pair.tile == DEFAULT_TILE and (scales == "f32" or pair.scales.dtype == "F8_E8M0")
