#!/usr/bin/env python3
"""Baselines for the GPU quantizer: the time of a copy, and block FP8 as others write it.

    peer_kernels.py [--seconds S] [--json]

Every case turns matrices of BF16 into E4M3 codes and one float32 scale for each tile of 128 x 128:

- `copy`: device to device, the limit; counts bytes read and bytes written;
- `triton`: one program for each tile, as the block quantizer of linghe is described: amax in
  float32, scale = max(amax / 448, 1e-30), divide, cast. A launch for each matrix as there; also in
  a CUDA graph, where launching costs almost nothing, and all matrices in one launch;
- `eager`, `compile`: the same in PyTorch, for each matrix, and with torch.compile for all at once.

Reported: the best of several launch shapes, and the median of several runs. Every run goes over
4.3 GB of source, far more than the cache holds, and times all of it by events. Bytes: three for
each weight, four for each scale. Prints GB/s and the share of the copy; a case is timed only after
its result has been checked.
"""

import argparse
import json
import statistics
import sys
import time

import torch

try:
    import triton
    import triton.language as tl
except ImportError:  # a CPU build of torch: everything else in this file still works
    triton = None

TILE = 128
WARPS = (4, 8, 16)
SHAPES = ((8, 16384, 16384), (2048, 512, 2048), (2048, 2048, 512))
COPY_BYTES = 4 << 30


# Quantizers: (matrix, codes, scales) -> None, or matrix -> (codes, scales)

if triton:

    @triton.jit
    def block_quant_kernel(x, codes, scales, rows, cols, TILE: tl.constexpr, EVEN: tl.constexpr):
        row_tile = tl.program_id(1).to(tl.int64)
        col_tile = tl.program_id(0)
        # 64 bits for the start of the tile, 32 within it: cheap, and correct beyond 2^31 weights.
        begin = row_tile * TILE * cols + col_tile * TILE
        row = tl.arange(0, TILE)[:, None]
        col = tl.arange(0, TILE)[None, :]
        at = row * cols + col
        if EVEN:
            value = tl.load(x + begin + at).to(tl.float32)
        else:
            inside = (row_tile * TILE + row < rows) & (col_tile * TILE + col < cols)
            value = tl.load(x + begin + at, mask=inside, other=0.0).to(tl.float32)
        scale = tl.maximum(tl.max(tl.abs(value)) / 448.0, 1e-30)
        code = (value / scale).to(codes.dtype.element_ty)
        if EVEN:
            tl.store(codes + begin + at, code)
        else:
            tl.store(codes + begin + at, code, mask=inside)
        tl.store(scales + row_tile * tl.num_programs(0) + col_tile, scale)


def tiles(size):
    return -(-size // TILE)


def empty_result(x):
    """Buffers for the codes and the scales of a matrix, or of a stack of matrices."""
    codes = torch.empty(x.shape, dtype=torch.float8_e4m3fn, device=x.device)
    shape = (*x.shape[:-2], tiles(x.shape[-2]), tiles(x.shape[-1]))
    return codes, torch.empty(shape, dtype=torch.float32, device=x.device)


def triton_quantize_into(x, codes, scales, warps=8):
    rows, cols = x.shape
    even = rows % TILE == 0 and cols % TILE == 0
    grid = (tiles(cols), tiles(rows))
    block_quant_kernel[grid](x, codes, scales, rows, cols, TILE=TILE, EVEN=even, num_warps=warps)


def triton_quantize(x, warps=8):
    """Codes and scales of one matrix of any dimensions."""
    codes, scales = empty_result(x)
    triton_quantize_into(x, codes, scales, warps)
    return codes, scales


def torch_quantize(x):
    """The same in PyTorch, for matrices and stacks of matrices whose dimensions are multiples of TILE."""
    *stack, rows, cols = x.shape
    value = x.reshape(*stack, rows // TILE, TILE, cols // TILE, TILE).float()
    scale = (value.abs().amax(dim=(-3, -1), keepdim=True) / 448.0).clamp(min=1e-30)
    codes = (value / scale).to(torch.float8_e4m3fn)
    return codes.reshape(x.shape), scale.squeeze(-1).squeeze(-2)


# Checking


def check(name, x, codes, scales):
    """Compare with float64: the error of all weights must be that of E4M3, and every scale must have its value."""
    *stack, rows, cols = x.shape
    value = x.reshape(*stack, rows // TILE, TILE, cols // TILE, TILE).double()
    expected = value.abs().amax(dim=(-3, -1)) / 448.0
    back = codes.double().reshape(value.shape) * scales.double()[..., :, None, :, None]
    error = ((back - value).norm() / value.norm()).item()
    scale_error = ((scales.double() - expected) / expected).abs().max().item()
    if not (error < 0.03 and scale_error < 1e-6):
        raise ArithmeticError(f"{name}: error {error:.3g}, of scales {scale_error:.3g}")


# Timing


def time_runs(run, seconds):
    """Seconds of one run, the median of as many as fit into `seconds`, at least 5."""
    for _ in range(2):
        run()
    torch.cuda.synchronize()
    times, end = [], time.monotonic() + seconds
    while len(times) < 5 or (time.monotonic() < end and len(times) < 200):
        begin_event = torch.cuda.Event(enable_timing=True)
        end_event = torch.cuda.Event(enable_timing=True)
        begin_event.record()
        run()
        end_event.record()
        end_event.synchronize()
        times.append(begin_event.elapsed_time(end_event) / 1e3)
    return statistics.median(times)


def in_graph(run):
    """The launches of `run` as one CUDA graph."""
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


class Table:
    """Prints cases as they finish and remembers them; a case that fails is reported, and the next one runs."""

    def __init__(self, seconds, file):
        self.seconds, self.file = seconds, file
        self.copy, self.cases, self.failed = None, [], False

    def case(self, name, count, make_run):
        try:
            seconds = time_runs(make_run(), self.seconds)
        except Exception as e:  # noqa: BLE001 - such as a missing compiler, or too little memory
            self.failed = True
            text = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
            self.cases.append({"name": name, "error": text})
            print(f"{name:44} failed: {text}", file=self.file, flush=True)
            return
        rate = count / seconds / 1e9
        if name == "copy":
            self.copy = rate
        share = rate / self.copy if self.copy else 0.0
        self.cases.append({"name": name, "gb_per_s": rate, "of_copy": share})
        line = f"{name:44} {rate:8.1f} GB/s {share:6.1%} of the copy"
        print(line, file=self.file, flush=True)


def run_copy():
    """Two pairs of buffers, used in turn."""
    pairs = []
    for _ in range(2):
        source = torch.randint(0, 256, (COPY_BYTES,), dtype=torch.uint8, device="cuda")
        pairs.append((source, torch.empty_like(source)))
    turn = iter(range(1 << 30))

    def run():
        source, target = pairs[next(turn) % 2]
        target.copy_(source)

    return run


class Case:
    """One shape: the source, buffers for the result, and every way to compute one from the other."""

    def __init__(self, shape):
        self.shape = shape
        # In parts of fewer than 2^31 weights, which every kernel can index.
        self.x = torch.empty(shape, dtype=torch.bfloat16, device="cuda")
        for part in self.x.split(max(1, shape[0] // 8)):
            part.normal_(0, 0.02)
        self.codes, self.scales = empty_result(self.x)

    def bytes(self):
        return 3 * self.x.numel() + 4 * self.scales.numel()

    def poison(self):
        self.codes.view(torch.uint8).fill_(0x7F)
        self.scales.fill_(float("nan"))

    def check(self, name):
        for part in (0, -1):
            check(name, self.x[part], self.codes[part], self.scales[part])

    def triton_each(self, warps):
        def run():
            for x, codes, scales in jobs:
                triton_quantize_into(x, codes, scales, warps)

        # Sliced beforehand: otherwise slicing would count as time of the kernel.
        jobs = list(zip(self.x.unbind(), self.codes.unbind(), self.scales.unbind()))
        return self.checked("triton", run)

    def triton_at_once(self, warps):
        rows, cols = self.shape[0] * self.shape[1], self.shape[2]
        views = (self.x.view(rows, cols), self.codes.view(rows, cols), self.scales.view(-1))
        return self.checked("triton", lambda: triton_quantize_into(*views, warps))

    def checked(self, name, run):
        self.poison()
        run()
        self.check(name)
        return run

    def torch_each(self, quantize):
        """Keeps all results of a run: in one reused buffer they would stay in the cache."""
        parts = self.x.unbind()

        def run():
            self.results = [quantize(x) for x in parts]

        run()
        check("torch", parts[-1], *self.results[-1])
        return run

    def torch_at_once(self, quantize):
        def run():
            self.results = quantize(self.x)

        run()
        check("torch", self.x[-1], self.results[0][-1], self.results[1][-1])
        return run


def best_warps(make_run):
    """The best launch shape for the kernel: what its author would have chosen."""
    try:
        return min(WARPS, key=lambda warps: time_runs(make_run(warps), 0.1))
    except Exception:  # noqa: BLE001 - the cases that follow report what is wrong
        return WARPS[0]


def run_shape(table, shape):
    count, rows, cols = shape
    case = Case(shape)
    label = f"{count} x {rows}x{cols}"
    size = case.bytes()
    if triton:
        warps = best_warps(case.triton_at_once)
        ours = f"triton, {warps} warps"
        table.case(f"{label}: {ours}", size, lambda: case.triton_each(warps))
        table.case(f"{label}: {ours}, graph", size, lambda: in_graph(case.triton_each(warps)))
        table.case(f"{label}: {ours}, one launch", size, lambda: case.triton_at_once(warps))
    table.case(f"{label}: eager", size, lambda: case.torch_each(torch_quantize))
    case.results = None
    torch.compiler.reset()
    compiled = torch.compile(torch_quantize, dynamic=False)
    table.case(f"{label}: compile", size, lambda: case.torch_each(compiled))
    case.results = None
    table.case(f"{label}: compile, one call", size, lambda: case.torch_at_once(compiled))


def main():
    parser = argparse.ArgumentParser(description="the time of a copy, and block FP8 as others do it")
    parser.add_argument("--seconds", type=float, default=1.0, help="of timing for each case")
    parser.add_argument("--json", action="store_true", help="one object; the table to stderr")
    args = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("peer_kernels.py: no CUDA device")
    versions = {"torch": torch.__version__, "triton": triton.__version__ if triton else None}
    device = torch.cuda.get_device_name()
    table = Table(args.seconds, sys.stderr if args.json else sys.stdout)
    print(f"{device}, torch {versions['torch']}, triton {versions['triton']}", file=table.file)
    table.case("copy", 2 * COPY_BYTES, run_copy)
    for shape in SHAPES:
        torch.cuda.empty_cache()
        run_shape(table, shape)
    if args.json:
        print(json.dumps({"device": device, **versions, "cases": table.cases}, indent=1))
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
