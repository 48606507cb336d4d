"""The linear layer with FP8 weights and FP8 activations (spec/forward.md), three times: as torch
operations in float32, as a Triton kernel of our own, and as a mode in which a plain float32
model computes what the FP8 model should.

    with emulation(model, {"model.layers.0.mlp.up_proj", ...}):
        logits = model(input_ids=ids).logits
    matmul, what = matmul_for(device)     like that of kernels-community/finegrained-fp8
    grouped_by(matmul)                    the same for joined experts

Activations: groups of 128 along k, scale = amax / 448 in float32 (1 where amax is 0), E4M3 to
nearest, ties to even. Products are summed in float32 group by group, each sum times both scales.
"""

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

TILE = 128
MAX = 448.0


def quantize(x):
    """(codes, scales): x [..., k] as E4M3 values in float32, and [..., ceil(k / 128)]."""
    k = x.shape[-1]
    groups = F.pad(x.float(), (0, -k % TILE)).unflatten(-1, (-1, TILE))
    amax = groups.abs().amax(-1)
    scales = torch.where(amax > 0, amax / MAX, torch.ones_like(amax))
    codes = (groups / scales.unsqueeze(-1)).to(torch.float8_e4m3fn).float()
    return codes.flatten(-2)[..., :k], scales


def fake_quantize(x):
    codes, scales = quantize(x)
    return codes * scales.repeat_interleave(TILE, -1)[..., : x.shape[-1]]


def widen_scales(scales):
    """Also for UE8M0, for which few operations exist."""
    if scales.dtype == torch.float8_e8m0fnu:
        return (scales.contiguous().view(torch.uint8).to(torch.int32) << 23).view(torch.float32)
    return scales.float()


def dequantize(codes, scales):
    """fl32(code * scale) with tiles that are clipped at the edges, for any leading dimensions."""
    rows, cols = codes.shape[-2:]
    spread = widen_scales(scales).repeat_interleave(TILE, -2).repeat_interleave(TILE, -1)
    return codes.float() * spread[..., :rows, :cols]


def torch_matmul(x, weight, scales, block_size, output_dtype, activation_scale=None):
    assert list(block_size) == [TILE, TILE] and activation_scale is None
    return F.linear(fake_quantize(x), dequantize(weight, scales)).to(output_dtype)


# The same as a mode


class Emulation(TorchFunctionMode):
    """Quantizes the activations of every F.linear whose weight begins at one of `places`."""

    def __init__(self, places):
        super().__init__()
        self.places = places
        self.calls = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.linear and args[1].data_ptr() in self.places:
            self.calls += 1
            args = (fake_quantize(args[0]), *args[1:])
        return func(*args, **(kwargs or {}))


def emulation(model, modules):
    """`modules`: names of linear layers, and of experts, whose parameters are [expert, n, k]."""
    places = set()
    for name in modules:
        for p in model.get_submodule(name).parameters(recurse=False):
            if p.dim() == 2:
                places.add(p.data_ptr())
            elif p.dim() == 3:
                places.update(p[e].data_ptr() for e in range(p.shape[0]))
    return Emulation(places)


# The same in Triton

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

if triton:

    @triton.jit
    def w8a8_kernel(a, b, scales, c, m, n, k, k_tiles, ROWS: tl.constexpr, TILE: tl.constexpr):
        rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
        cols = tl.program_id(1) * TILE + tl.arange(0, TILE)
        total = tl.zeros((ROWS, TILE), dtype=tl.float32)
        for tile in range(0, k_tiles):
            at = tile * TILE + tl.arange(0, TILE)
            inside = (rows[:, None] < m) & (at[None, :] < k)
            x = tl.load(a + rows[:, None] * k + at[None, :], mask=inside, other=0.0).to(tl.float32)
            amax = tl.max(tl.abs(x), axis=1)
            scale = tl.where(amax > 0, tl.math.div_rn(amax, tl.zeros_like(amax) + 448.0), 1.0)
            codes = tl.math.div_rn(x, tl.broadcast_to(scale[:, None], x.shape)).to(tl.float8e4nv)
            inside = (at[:, None] < k) & (cols[None, :] < n)
            w = tl.load(b + cols[None, :] * k + at[:, None], mask=inside, other=0.0)
            of_tile = tl.load(scales + tl.program_id(1) * k_tiles + tile)
            # The same products; float16 holds every code, and its sums lose less than FP8's.
            total += tl.dot(codes.to(tl.float16), w.to(tl.float16)) * scale[:, None] * of_tile
        inside = (rows[:, None] < m) & (cols[None, :] < n)
        tl.store(c + rows[:, None] * n + cols[None, :], total.to(c.dtype.element_ty), mask=inside)


def triton_matmul(x, weight, scales, block_size, output_dtype, activation_scale=None):
    assert list(block_size) == [TILE, TILE] and activation_scale is None
    n, k = weight.shape
    a = x.reshape(-1, k).contiguous()
    out = torch.empty(a.shape[0], n, dtype=output_dtype, device=x.device)
    rows = 64
    grid = (triton.cdiv(a.shape[0], rows), triton.cdiv(n, TILE))
    if a.shape[0] > 0:
        w8a8_kernel[grid](
            a,
            weight.contiguous(),
            widen_scales(scales).contiguous(),
            out,
            a.shape[0],
            n,
            k,
            triton.cdiv(k, TILE),
            ROWS=rows,
            TILE=TILE,
            num_warps=8,
        )
    return out.reshape(*x.shape[:-1], n)


def matmul_for(device):
    """(function, what it is)."""
    if device == "cuda" and triton:
        return triton_matmul, "a Triton kernel of these tests"
    return torch_matmul, "torch operations of these tests"


def grouped_by(matmul):
    """Experts one by one: rows of x sorted by expert, those of expert e end at offsets[e]."""

    def grouped(x, weight, scales, offsets, tokens_per_expert, block_size):
        out = x.new_empty(x.shape[0], weight.shape[1])
        begin = 0
        for e, end in enumerate(offsets.tolist()):
            if end > begin:
                out[begin:end] = matmul(x[begin:end], weight[e], scales[e], block_size, x.dtype)
            begin = end
        return out

    return grouped
