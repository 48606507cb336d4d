"""Read safetensors files without a library; for small, well-formed files."""

import json


def read_file(path):
    """({name: (shape, bytes)}, metadata)"""
    with open(path, "rb") as f:
        raw = f.read()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = entry["shape"], raw[start + begin : start + end]
    return tensors, metadata
