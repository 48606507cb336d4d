#!/bin/bash
# One bit flipped in every structure of a packed file: verify names the place, the exit status is 4. (Every single bit
# of a file is flipped in test_integrity.)
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o good.octavo

exec "$PYTHON" - <<'END'
import json
import os
import subprocess

OCTAVO = os.environ["OCTAVO"]


def octavo(*arguments):
    done = subprocess.run([OCTAVO, *arguments, "--json"], capture_output=True, check=False)
    return done.returncode, json.loads(done.stdout)


with open("good.octavo", "rb") as f:
    good = f.read()
shown = octavo("inspect", "good.octavo")[1]


def judge(what, data, *options):
    with open("bad.octavo", "wb") as f:
        f.write(data)
    status, r = octavo("verify", "bad.octavo", *options)
    found = [
        "%s%s: %s (%d, %d)"
        % (d["location"], "" if d["slice"] is None else " expert %d" % d["slice"], d["message"], d["off"], d["bytes"])
        for d in r.get("integrity", {}).get("damage", [])
    ]
    print(f"{what}: {status}")
    for line in found or [r.get("error", {}).get("message", "NOTHING")]:
        print("   ", line)


def flipped(*offsets):
    data = bytearray(good)
    for offset in offsets:
        data[offset] ^= 0x10
    return bytes(data)


end = len(good)
superblock = {"magic": 3, "version": 8, "reserved": 90, "directory": 520, "self digest": 4090}
for what, offset in superblock.items():
    judge(f"superblock {what}", flipped(offset))
trailer = {"magic": 0, "file_bytes": 32, "root": 70, "directory": 520, "reserved": 3600, "self digest": 4095}
for what, offset in trailer.items():
    judge(f"trailer {what}", flipped(end - 4096 + offset))
for s in shown["sections"]:
    judge(f"{s['tag']} first byte", flipped(s["off"]))
    judge(f"{s['tag']} last byte", flipped(s["off"] + s["len"] - 1))
    if (s["off"] + s["len"]) % 4096:
        judge(f"padding behind {s['tag']}", flipped(s["off"] + s["len"]))
for t in shown["tensors"]:
    judge(f"{t['name']} last byte", flipped(t["off"] + t["len"] - 1))
    if (t["off"] + t["len"]) % 256:
        judge(f"padding behind {t['name']}", flipped(t["off"] + t["len"]))
judge("last byte of padding before the data", flipped(shown["superblock"]["data_off"] - 1))
judge("superblock and a tensor", flipped(100, shown["tensors"][0]["off"]))
judge("superblock and trailer", flipped(100, end - 100))
judge("a tensor that is not asked for", flipped(shown["tensors"][0]["off"]), "--tensor", "*.up_proj.*")

for length in (0, 1, 4095, 4096, 8191, 8192, 65536, end - 4096, end - 1):
    judge(f"cut to {length} bytes", good[:length])
judge("one byte more", good + b"\0")
judge("one page more", good + bytes(4096))
judge("trailer doubled", good + good[-4096:])
judge("a page of zeros in the data", good[:69632] + bytes(4096) + good[73728:])
END
