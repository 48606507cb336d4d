#!/bin/bash
# --device where there is no CUDA: what is refused, what falls back to the CPU, what needs no device at all.
. "$ROOT/tests/cli_lib.sh"
tiny checkpoint
has_cuda && skip 'this octavo has CUDA: what it says depends on the machine'

say 'the CPU, by name and by default'
octavo convert checkpoint -o cpu.octavo --device cpu
octavo convert checkpoint -o auto.octavo --device auto
same cpu.octavo auto.octavo
octavo convert checkpoint -o last.octavo --device cuda --device cpu --gpu-memory 2G --check-device 1.5% -q

say 'a GPU that is not there'
octavo convert checkpoint -o new.octavo --device cuda
octavo convert checkpoint -o new.octavo --device cuda:1,0 -q
octavo convert checkpoint -o new.octavo --device cuda --json

say 'a dry run touches none'
octavo convert checkpoint -o new.octavo --device cuda -n --threads 2 | tail -n 3
octavo convert checkpoint -o new.octavo --device cuda:3,1 --memory 64M -n --threads 2 | tail -n 3
octavo convert checkpoint -o new.octavo --device auto -n --threads 2 | tail -n 3

say 'words that are none'
for word in gpu cuda: cuda:0,0 'cuda:0,' cuda:64 ''; do
    octavo convert checkpoint -o new.octavo --device "$word"
done
octavo convert checkpoint -o new.octavo --gpu-memory none
for share in 1 101% ''; do
    octavo convert checkpoint -o new.octavo --check-device "$share"
done
files .

say 'what the report tells of it'
"$OCTAVO" convert checkpoint -o cpu.octavo -f --json >report.json
"$PYTHON" - <<'END'
import json
r = json.load(open("report.json"))["result"]
print({k: r[k] for k in r if "device" in k or "gpu" in k or "checked" in k})
print("peak", 1 << 20 < r["peak_memory_bytes"] < 1 << 32)
END
octavo convert checkpoint -o cpu.octavo -f -v | tail -n 4
