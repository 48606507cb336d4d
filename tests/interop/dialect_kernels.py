"""How other tools quantize to block FP8 on a GPU (spec/quant.md section 7 names their sources), for
dialect_peers.py: plain PyTorch, and Triton where the tools use it.

A peer takes a matrix and whether scales are powers of two, and returns codes and scales.
"""

import numpy as np
import torch

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

VERSION = triton.__version__ if triton and torch.cuda.is_available() else ""
TILE = 128
FP8 = torch.float8_e4m3fn
MOST = torch.finfo(FP8).max


# Tiles: [down, 128, across, 128] of a matrix padded with zeros


def cut(x):
    rows, cols = x.shape
    full = x.new_zeros(-(-rows // TILE) * TILE, -(-cols // TILE) * TILE)
    full[:rows, :cols] = x
    return full.view(full.shape[0] // TILE, TILE, full.shape[1] // TILE, TILE)


def paste(tiles, shape):
    full = tiles.reshape(tiles.shape[0] * TILE, tiles.shape[2] * TILE)
    return full[: shape[0], : shape[1]].contiguous()


def spread(scale):
    return scale[:, None, :, None]


# Peers


def deepgemm(x, ue8m0):
    """per_block_cast_to_fp8 of deep_gemm/utils/math.py"""
    tiles = cut(x)
    scale = tiles.abs().float().amax(dim=(1, 3)).clamp(1e-4) / 448.0
    if ue8m0:
        bits = scale.view(torch.int32)
        exponent = (bits >> 23 & 255) + (bits & 0x7FFFFF != 0).int()
        scale = (exponent.clamp(1, 254) << 23).view(torch.float32)
    return paste((tiles * (1.0 / spread(scale))).to(FP8), x.shape), scale


def transformers(x, ue8m0):
    """_quantize_block_fp8 of integrations/finegrained/conversions.py"""
    tiles = cut(x.float())
    most = tiles.abs().amax(dim=(1, 3))
    scale = torch.where(most > 0, most / MOST, torch.ones_like(most))
    if ue8m0:
        scale = scale.clamp(min=torch.finfo(torch.float32).tiny)
        scale = torch.pow(2.0, torch.ceil(torch.log2(scale)))
    codes = torch.clamp(tiles / spread(scale), min=-MOST, max=MOST).to(FP8)
    return paste(codes, x.shape), scale


def transformer_engine(x, ue8m0):
    """compute_scale_from_amax of common/recipe/recipe_common.cuh and the kernels that use it; IEEE
    quotients are those of two tensors."""
    tiles = cut(x).float()
    most = tiles.abs().amax(dim=(1, 3))
    factor = torch.div(torch.full_like(most, 448.0), most)
    factor = torch.where(torch.isinf(factor), torch.finfo(x.dtype).max, factor)
    factor = torch.where(most == 0, torch.ones_like(most), factor)
    if ue8m0:
        factor = (factor.view(torch.int32) & 0x7F800000).view(torch.float32)
    codes = (tiles * spread(factor)).to(FP8)
    return paste(codes, x.shape), torch.div(torch.ones_like(factor), factor)


def compressed_tensors(x, _):
    """calculate_qparams and _quantize of compressed-tensors, in the dtype of the weight"""
    tiles = cut(x)
    low, high = tiles.amin(dim=(1, 3)), tiles.amax(dim=(1, 3))
    low, high = torch.min(low, torch.zeros_like(low)), torch.max(high, torch.zeros_like(high))
    scale = torch.max(low.abs(), high.abs()) / (float(torch.tensor(2 * MOST)) / 2)
    epsilon = torch.tensor(torch.finfo(x.dtype).eps, dtype=x.dtype, device=x.device)
    scale = torch.where(scale == 0, epsilon, scale)
    limits = (torch.tensor(v, device=x.device) for v in (-MOST, MOST))
    codes = torch.clamp(tiles / spread(scale), *limits).to(FP8)
    return paste(codes, x.shape), scale


PEERS = {
    "deepgemm": deepgemm,
    "transformers": transformers,
    "transformer-engine": transformer_engine,
    "compressed-tensors": compressed_tensors,
}

if VERSION:

    @triton.jit
    def linghe_kernel(x_at, codes_at, scales_at, rows, cols, TILE: tl.constexpr, ROUND: tl.constexpr):
        row = tl.program_id(0) * TILE + tl.arange(0, TILE)[:, None]
        col = tl.program_id(1) * TILE + tl.arange(0, TILE)[None, :]
        inside = (row < rows) & (col < cols)
        x = tl.load(x_at + row * cols + col, mask=inside, other=0.0).to(tl.float32)
        scale = tl.maximum(tl.max(tl.abs(x)) / 448.0, 1e-30)
        if ROUND:
            scale = tl.exp2(tl.ceil(tl.log2(scale)))
        codes = (x / scale).to(codes_at.dtype.element_ty)
        tl.store(codes_at + row * cols + col, codes, mask=inside)
        tl.store(scales_at + tl.program_id(0) * tl.num_programs(1) + tl.program_id(1), scale)

    def linghe(x, ue8m0):
        """block_quant_kernel of linghe/quant/block.py, with space for the scales of clipped tiles"""
        down, across = (-(-n // TILE) for n in x.shape)
        codes = torch.empty(x.shape, dtype=FP8, device=x.device)
        scales = torch.empty((down, across), dtype=torch.float32, device=x.device)
        linghe_kernel[down, across](
            x, codes, scales, *x.shape, TILE=TILE, ROUND=ue8m0, num_stages=6, num_warps=8
        )
        return codes, scales

    PEERS["linghe"] = linghe

    @triton.jit
    def divide_kernel(x_at, by_at, out_at, count, BLOCK: tl.constexpr):
        at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_at + at, mask=at < count)
        by = tl.load(by_at + at, mask=at < count, other=1.0)
        tl.store(out_at + at, x / by, mask=at < count)

    def quotients(x, by):
        """x / by as Triton divides, of numpy arrays."""
        a, b = (torch.from_numpy(np.ascontiguousarray(v)).cuda() for v in (x, by))
        out = torch.empty_like(a)
        divide_kernel[(triton.cdiv(a.numel(), 1024),)](a, b, out, a.numel(), BLOCK=1024)
        return out.cpu().numpy()
