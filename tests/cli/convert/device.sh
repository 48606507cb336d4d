#!/bin/bash
# --device where there is no GPU: what is refused, what falls back to the CPU, what needs no device at all.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint

say 'the CPU, by name and by default'
without_gpu convert checkpoint -o cpu.octavo --device cpu
without_gpu convert checkpoint -o auto.octavo --device auto
same cpu.octavo auto.octavo
without_gpu convert checkpoint -o auto.octavo -f -v | sed -n '/^  [!a]/p'
"$OCTAVO" convert checkpoint -o cpu.octavo -f --device cpu | grep -o 'on the CPU$'
without_gpu convert checkpoint -o last.octavo --device cuda --device cpu --gpu-memory 2G --check-device 1.5% -q

say 'a GPU that is not there'
without_gpu convert checkpoint -o new.octavo --device cuda
without_gpu convert checkpoint -o new.octavo --device cuda:1,0 -q
without_gpu convert checkpoint -o new.octavo --device cuda --json

say 'a dry run touches none; the buffers are those of the CPU'
without_gpu convert checkpoint -o new.octavo --device cuda -n | tail -n 2
# buffers DEVICE: how many MiB of them.
buffers() {
    "$OCTAVO" convert checkpoint -o new.octavo -n --threads 2 --device "$1" | sed -nE 's/^memory +([0-9.]+).*/\1/p'
}
[[ -n $(buffers cpu) && $(buffers cpu) == "$(buffers cuda:3,1)" ]] || echo 'other buffers'

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
"$PYTHON" - <<'END'
import json
import os
import subprocess
large = b"1" * (1 << 29)  # the peak is not that of the process which started it
command = [os.environ["OCTAVO"], *"convert checkpoint -o cpu.octavo -f --device cpu --json".split()]
r = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["result"]
print({k: r[k] for k in r if "device" in k or "gpu" in k or "checked" in k})
print("peak", 1 << 20 < r["peak_memory_bytes"] < len(large))
END
octavo convert checkpoint -o cpu.octavo -f -v --device cpu | tail -n 4
