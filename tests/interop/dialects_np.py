"""The dialects of spec/quant.md section 7 in numpy: the scale of a tile, and the values of its elements before
they are rounded to codes. Float32 operations of numpy are IEEE; rounding to 16 bits
goes through float64.
"""

import os
import re

import numpy as np

F32 = np.float32
NAMES = [
    "none",
    "ieee",
    "deepgemm",
    "transformers",
    "transformer-engine",
    "compressed-tensors",
    "linghe",
]
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../quant/tile/reciprocal.h")
RECIPROCAL_448 = F32(1 / 448)
TINY = F32(2.0**-126)
LARGEST = {"BF16": F32(2.0**127 * (2 - 2.0**-7)), "F16": F32(65504), "F32": F32(2**128 - 2**104)}
EPSILON = {"BF16": F32(2.0**-7), "F16": F32(2.0**-10), "F32": F32(2.0**-23)}
# significant bits, and the exponent of the least step
FORMS = {"BF16": (8, -133), "F16": (11, -24), "F32": (24, -149)}


def exists(dialect, kind, dtype):
    """Whether the dialect is defined for this scale format and a source of this dtype."""
    if dialect == "compressed-tensors":
        return kind == "f32"
    return dialect != "linghe" or kind == "ue8m0" or dtype != "F32"


def round_to(dtype, x):
    """The nearest number of a dtype, ties to even, as float32."""
    bits, least = FORMS[dtype]
    exact = np.asarray(x, np.float64)
    step = np.maximum(np.frexp(exact)[1] - bits, least)
    return np.ldexp(np.rint(np.ldexp(exact, -step)), step).astype(F32)


def power_from(x):
    """The least power of two >= x."""
    m, e = np.frexp(x)
    return np.ldexp(F32(1), np.where(m == 0.5, e - 1, e))


def power_by_log(x):
    """The same by the logarithm, rounded to float32."""
    exponent = np.ceil(np.log2(np.asarray(x, np.float64)).astype(F32))
    return np.ldexp(F32(1), exponent.astype(np.int32))


def read_table():
    """The measured reciprocals: units in the last place for 1024 mantissas, and for 1e-30."""
    with open(TABLE, encoding="ascii") as f:
        text = f.read()
    table = text[text.index("table begins") : text.index("table ends")]
    words, least = table.split("#define RECIPROCAL_OFFSET_LEAST")
    numbers = re.findall(r"\b(?:0x[0-9a-f]+|[0-9]+)\b", words.split("OFFSETS")[1])
    packed = np.array([int(n, 0) for n in numbers], np.uint32)
    two_bits = packed[:, None] >> np.arange(0, 32, 2, dtype=np.uint32) & 3
    steps = np.array([0, 1, 99, -1])[two_bits.ravel()]
    assert len(steps) == 1024 and 99 not in steps
    return steps, int(re.search(r"-?[0-9]+", least).group())


def reciprocal(scale, amax, quotient):
    """1 / scale as the GPU's instruction computes it."""
    table, at_least = read_table()
    mantissa = (amax.view(np.uint32) >> 13) & 1023
    steps = np.where(quotient > F32(1e-30), table[mantissa], at_least)
    bits = (F32(1) / scale).view(np.uint32).astype(np.int64) + steps
    return bits.astype(np.uint32).view(F32)


def ieee(amax, kind, dtype):
    scale = np.maximum(amax / F32(448), TINY)
    scale = np.where(amax == 0, F32(1), power_from(scale) if kind == "ue8m0" else scale)
    return scale, None


def deepgemm(amax, kind, dtype):
    scale = np.maximum(amax, F32(1e-4)) * RECIPROCAL_448
    scale = power_from(scale) if kind == "ue8m0" else scale
    return scale, F32(1) / scale


def transformers(amax, kind, dtype):
    scale = amax * RECIPROCAL_448
    if kind == "ue8m0":
        scale = power_by_log(np.maximum(scale, TINY))
        return np.where(amax > 0, scale, F32(1)), None
    return np.where(scale > 0, scale, F32(1)), None


def transformer_engine(amax, kind, dtype):
    with np.errstate(divide="ignore", over="ignore"):
        factor = F32(448) / amax
    factor = np.where(np.isinf(factor), LARGEST[dtype], factor)
    factor = np.where(amax == 0, F32(1), factor)
    if kind == "ue8m0":
        factor = np.ldexp(F32(1), np.frexp(factor)[1] - 1)
    return F32(1) / factor, factor


def compressed_tensors(amax, kind, dtype):
    scale = round_to(dtype, amax * RECIPROCAL_448)
    return np.where(scale == 0, EPSILON[dtype], scale), None


def linghe(amax, kind, dtype):
    quotient = amax * RECIPROCAL_448
    scale = np.maximum(quotient, F32(1e-30))
    if kind == "ue8m0":
        scale = power_by_log(scale)
        return scale, F32(1) / scale
    return scale, reciprocal(scale, amax, quotient)


RULES = dict(
    zip(
        NAMES[1:],
        (ieee, deepgemm, transformers, transformer_engine, compressed_tensors, linghe),
    )
)


def quotients(tiles, amax, kind, dialect, dtype):
    """(scales, y of section 5, the values rounded to codes) of magnitudes [..., 128, 128] with largest
    ones `amax`."""
    assert exists(dialect, kind, dtype), (dialect, kind, dtype)
    amax = np.ascontiguousarray(amax, F32)
    scales, factors = RULES[dialect](amax, kind, dtype)
    scales = np.ascontiguousarray(scales, F32)
    if factors is None:
        y = tiles / scales[..., None, None]
    else:
        y = tiles * np.ascontiguousarray(factors, F32)[..., None, None]
    narrow = round_to(dtype, y) if dialect == "compressed-tensors" and dtype != "F32" else y
    return scales, y, narrow
