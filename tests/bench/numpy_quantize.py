#!/usr/bin/env python3
"""The baseline of `make bench`: blockwise FP8 as a careful script does it with numpy and ml_dtypes.

`numpy_quantize.py CHECKPOINT OUT [MAX_BYTES]` reads every two-dimensional BF16 tensor of a checkpoint, quantizes it in
128 x 128 tiles and writes codes and scales one after the other; stops after MAX_BYTES of source. Prints GB/s of source.
"""
import json
import pathlib
import sys
import time

import ml_dtypes
import numpy as np

TILE = 128


def tensors(path):
    """Yield every BF16 matrix of one safetensors file as float32."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] != "BF16" or len(entry["shape"]) != 2:
                continue
            begin, end = entry["data_offsets"]
            file.seek(8 + length + begin)
            raw = np.frombuffer(file.read(end - begin), ml_dtypes.bfloat16).reshape(entry["shape"])
            yield end - begin, raw.astype(np.float32)


def quantize(x):
    """Codes and scales of one matrix whose dimensions are multiples of TILE (as in the benchmark)."""
    rows, cols = x.shape
    tiles = x.reshape(rows // TILE, TILE, cols // TILE, TILE)
    amax = np.abs(tiles).max(axis=(1, 3))
    scale = np.where(amax == 0, np.float32(1), amax / np.float32(448))
    codes = (tiles / scale[:, None, :, None]).astype(ml_dtypes.float8_e4m3fn)
    return codes, scale


def main():
    source, out = pathlib.Path(sys.argv[1]), sys.argv[2]
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 1 << 62
    done, start = 0, time.monotonic()
    with open(out, "wb") as file:
        for path in sorted(source.glob("*.safetensors")):
            for size, x in tensors(path):
                if done >= limit:
                    break
                if x.shape[0] % TILE == 0 and x.shape[1] % TILE == 0:
                    codes, scale = quantize(x)
                    file.write(codes.tobytes())
                    file.write(scale.tobytes())
                    done += size
    seconds = time.monotonic() - start
    print(f"{done / seconds / 1e9:.4f}")


main()
