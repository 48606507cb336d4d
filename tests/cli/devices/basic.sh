#!/bin/bash
# The devices: one line for the processor and one for CUDA. Having no CUDA device is not an error.
. "$ROOT/tests/cli/lib.sh"

octavo devices operand
octavo devices --device cuda
OCTAVO_CPU=v9 octavo devices

"$OCTAVO" devices >text || echo "failed: $?"
sed -E -e 's/^CPU    .+, level (baseline|v3|v4), ([0-9]+ threads|1 thread)$/CPU    MODEL/' \
    -e 's/^CUDA   ([0-9.]+|([0-9.]+, )?no device: .+)$/CUDA   ANSWER/' text | head -n 2

OCTAVO_CPU=baseline "$OCTAVO" devices --json >object || echo "failed: $?"
"$PYTHON" - <<'END'
import json
import os

r = json.load(open("object"))
print(sorted(r), r["schema"], r["kind"])
cpu, cuda = r["cpu"], r["cuda"]
assert cpu["model"] is None or cpu["model"], cpu
assert cpu["instruction_level"] == "baseline" and cpu["threads"] == len(os.sched_getaffinity(0)), cpu
assert (cuda["error"] is None) == bool(cuda["devices"]), cuda
assert cuda["runtime"] or cuda["error"] == "CUDA is not built in", cuda
text = open("text").read()
assert not cuda["error"] or text.endswith("no device: " + cuda["error"] + "\n"), text
for i, d in enumerate(cuda["devices"]):
    assert d["index"] == i and d["usable"] == (d["unusable_reason"] is None), d
    assert d["memory_bytes"] > 0 and d["multiprocessors"] > 0 and d["name"] and d["pci_address"], d
END
