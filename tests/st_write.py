"""Write safetensors files, with headers like those of the reference library, for the scripts that
make test data."""

import json
import struct

BITS = {
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "F16": 16,
    "BF16": 16,
    "I16": 16,
    "U16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
}


def tensor_bytes(dtype, shape):
    bits = BITS[dtype]
    for d in shape:
        bits *= d
    assert bits % 8 == 0, (dtype, shape)
    return bits // 8


def file_order(tensors):
    """[(name, dtype, shape)] as the reference library lays them out: widest elements first, then by
    name."""
    return sorted(tensors, key=lambda t: (-BITS[t[1]], t[0]))


def header_text(tensors, metadata=None):
    """The JSON of a header for [(name, dtype, shape)] in this order, and the bytes of data after
    it."""
    entries = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, dtype, shape in tensors:
        end = at + tensor_bytes(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode("utf-8"), at


def frame(text):
    """The length field and a header, padded with spaces so that the data starts at a multiple of
    8."""
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def write_file(path, tensors, metadata=None):
    """Write a whole file of [(name, dtype, shape, bytes)]."""
    text, size = header_text([t[:3] for t in tensors], metadata)
    assert size == sum(len(t[3]) for t in tensors)
    with open(path, "wb") as f:
        f.write(frame(text))
        for t in tensors:
            f.write(t[3])
