#!/usr/bin/python3
"""Check that the safetensors library reads what octavo writes. FILE is the sample that
tests/unit/format/test_safetensors_write.c leaves in $SAFETENSORS_SAMPLE.

    read_written.py FILE
"""

import sys

import safetensors

# name: dtype, shape, bytes of data; the bytes of data in the file count up from 0.
EXPECTED = {
    "model.a": ("F32", [2, 3], 24),
    'quote " backslash \\ slash / é 🙂': ("BF16", [4], 8),
    "nothing": ("U8", [0, 7], 0),
    "scalar": ("I64", [], 8),
    "codes": ("F8_E4M3", [3], 3),
    "behind an odd offset": ("F16", [1, 1, 2, 1, 1, 1], 4),
    "bools": ("BOOL", [2], 2),
}
METADATA = {"format": "pt", "note": 'a "b"\n'}


def main(path):
    with safetensors.safe_open(path, framework="np") as f:
        assert f.metadata() == METADATA, f.metadata()
        assert set(f.keys()) == set(EXPECTED), f.keys()
        assert f.get_tensor("model.a").tobytes() == bytes(range(24))
    with open(path, "rb") as f:
        found = dict(safetensors.deserialize(f.read()))
    assert set(found) == set(EXPECTED), found.keys()
    at = 0
    for name, (dtype, shape, size) in EXPECTED.items():
        entry = found[name]
        assert (entry["dtype"], list(entry["shape"])) == (dtype, shape), (name, entry)
        assert bytes(entry["data"]) == bytes(range(at, at + size)), (name, entry)
        at += size
    print(f"interop: the safetensors library reads {len(found)} written tensors")


if __name__ == "__main__":
    main(sys.argv[1])
