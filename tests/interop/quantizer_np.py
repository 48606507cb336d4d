"""The quantizer of spec/quant.md in numpy: clear rather than fast, and independent of the tool.

Codes come from an exact table of decision boundaries; if ml_dtypes is installed, its float8_e4m3fn
cast is a second opinion that must agree on every element.
"""

import numpy as np

import dialects_np as dialects

try:
    import ml_dtypes
except ImportError:
    ml_dtypes = None

TILE = 128
MAX_CODE = 0x7E


def decode_magnitudes():
    """The magnitudes of codes 0 … 0x7E, exact in float32."""
    codes = np.arange(MAX_CODE + 1)
    e, m = codes >> 3, codes & 7
    exact = np.where(e > 0, (8.0 + m) * 2.0 ** (e - 10), m * 2.0**-9)
    return exact.astype(np.float32)


MAGNITUDES = decode_magnitudes()


def decision_boundaries():
    """b[c]: the least float32 that is coded as c + 1 or more. The midpoint goes to the even one of
    c and c + 1, so it belongs to c + 1 exactly when c is odd; otherwise the next float32 above it
    is the first."""
    middle = (MAGNITUDES[:-1] + MAGNITUDES[1:]) / np.float32(2)
    odd = np.arange(MAX_CODE) % 2 == 1
    return np.where(odd, middle, np.nextafter(middle, np.float32(np.inf)))


BOUNDARIES = decision_boundaries()


def encode_table(magnitude):
    """Codes 0 … 0x7E of non-negative float32 values; everything above the last boundary
    saturates."""
    return np.searchsorted(BOUNDARIES, magnitude, side="right").astype(np.uint8)


def encode_ml_dtypes(magnitude):
    """The same by ml_dtypes, which rounds to nearest even but turns too large values into NaN."""
    clipped = np.minimum(magnitude, np.float32(448))
    return clipped.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


def encode(magnitude):
    codes = encode_table(magnitude)
    if ml_dtypes is not None:
        assert np.array_equal(codes, encode_ml_dtypes(magnitude)), "table and ml_dtypes differ"
    return codes


def tile_scales(amax, kind):
    """Section 2; `amax` is float32 of any shape."""
    f32 = np.maximum(amax / np.float32(448), np.float32(2.0**-126))
    f32 = np.where(amax == 0, np.float32(1), f32).astype(np.float32)
    if kind == "f32":
        return f32
    bits = (f32.view(np.uint32) + np.uint32(0x7FFFFF)) & np.uint32(0xFF800000)
    return bits.view(np.float32)


def cut(x):
    """A matrix as [tiles down, tiles across, 128, 128], padded with +0 where tiles are
    clipped."""
    down, across = -(-x.shape[0] // TILE), -(-x.shape[1] // TILE)
    full = np.zeros((down * TILE, across * TILE), x.dtype)
    full[: x.shape[0], : x.shape[1]] = x
    return full.reshape(down, TILE, across, TILE).transpose(0, 2, 1, 3)


def paste(tiles, shape):
    """The inverse of cut."""
    down, across = tiles.shape[:2]
    full = tiles.transpose(0, 2, 1, 3).reshape(down * TILE, across * TILE)
    return np.ascontiguousarray(full[: shape[0], : shape[1]])


def tile_sums(v):
    """Section 5: the sum over each tile, float32, in the order of the specification. v: [..., 128,
    128]."""
    lane = ((v[..., 0:32, :] + v[..., 32:64, :]) + v[..., 64:96, :]) + v[..., 96:128, :]
    pair = lane[..., 0::2, :] + lane[..., 1::2, :]
    column = np.zeros(v.shape[:-2] + (TILE,), np.float32)
    for h in range(16):
        column = column + pair[..., h, :]
    width = TILE // 2
    while width:
        column = column[..., :width] + column[..., width : 2 * width]
        width //= 2
    return column[..., 0]


def ordered_sum(terms):
    """Float64 sum from the first to the last term (numpy's sum() adds pairwise, accumulate does not)."""
    return np.add.accumulate(terms)[-1]


def slice_sum(terms, cols):
    """The sum over a slice: of its chunks, ascending, each the ordered sum over its tiles.
    terms: [tiles down, tiles across] of a matrix with `cols` columns."""
    step = max(1, 2**21 // (TILE * cols))  # rows of tiles in a chunk (format.md section 6)
    chunks = [terms[i : i + step].ravel() for i in range(0, len(terms), step)]
    return ordered_sum(np.array([ordered_sum(chunk) for chunk in chunks]))


def quantize_matrix(x, kind, dialect="ieee", dtype="F32"):
    """One matrix of finite float32, from a source of this dtype: codes (uint8), scales [tiles down,
    tiles across] and the STAT row as a dict."""
    tiles = cut(np.ascontiguousarray(x))
    magnitude = np.abs(tiles)
    amax = magnitude.max(axis=(2, 3))
    if dialect == "ieee":
        scales = tile_scales(amax, kind)
        y = narrow = magnitude / scales[:, :, None, None]
    else:
        scales, y, narrow = dialects.quotients(magnitude, amax, kind, dialect, dtype)
    codes = encode(narrow)
    d = y - MAGNITUDES[codes]
    stats = slice_statistics(
        x, y, paste(codes, x.shape), amax, scales, tile_sums(y * y), tile_sums(d * d)
    )
    codes |= np.signbit(tiles).astype(np.uint8) << 7
    return paste(codes, x.shape), scales, stats


def slice_statistics(x, y, codes, amax, scales, sums_y, sums_d):
    squared = scales.astype(np.float64) ** 2
    zero = x == 0
    return {
        "amax": amax.max(),
        "scale_min": scales.min(),
        "scale_max": scales.max(),
        "saturated": int(np.count_nonzero(y >= 464)),
        "zero": int(np.count_nonzero(zero)),
        "flushed": int(np.count_nonzero((codes == 0) & ~zero)),
        "sum_sq_source": slice_sum(sums_y.astype(np.float64) * squared, x.shape[1]),
        "sum_sq_error": slice_sum(sums_d.astype(np.float64) * squared, x.shape[1]),
    }


def first_nonfinite(x):
    """(index, number) of infinities and NaNs in row-major order, None without any."""
    bad = np.flatnonzero(~np.isfinite(x))
    return (int(bad[0]), len(bad)) if len(bad) else None
