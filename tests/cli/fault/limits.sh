#!/bin/bash
# Limits of the process: file size and descriptors. Memory: fault_memory.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o old.octavo

# within LIMIT ARGUMENTS: octavo under `ulimit LIMIT`.
within() {
    local limit=$1
    shift
    echo "\$ ulimit $limit; octavo $*"
    # shellcheck disable=SC2086 # words
    under bash -c "ulimit $limit && exec \"\$@\"" bash "$OCTAVO" "$@"
}

say 'file size: SIGXFSZ asks to stop, and is obeyed'
within '-f 100' convert checkpoint -o out.octavo 2>/dev/null
within '-f 100' convert checkpoint -o out.octavo --device cpu --json 2>/dev/null
echo '$ trap "" XFSZ; ulimit -f 100; octavo convert checkpoint -o out.octavo'
(
    trap '' XFSZ
    ulimit -f 100
    under "$OCTAVO" convert checkpoint -o out.octavo
)
cp old.octavo out.octavo
within '-f 100' convert checkpoint -o out.octavo -f --scales ue8m0 2>/dev/null
same out.octavo old.octavo
within '-f 124' convert checkpoint -o out.octavo -f
files

say 'descriptors: three for the standard streams, one for the output, one for its directory, one for each shard'
rm out.octavo
for n in 4 5 6; do
    within "-n $n" convert checkpoint -o out.octavo | sed 's/model-0000[12]-/model-0000N-/' # whichever came last
done
files
within '-n 7' convert checkpoint -o out.octavo
same out.octavo old.octavo

say 'descriptors: 40 shards do not need 40'
"$PYTHON" - "$ROOT/tests" <<'END'
import json
import os
import sys

sys.path.insert(0, sys.argv[1])
import st_write

os.mkdir("many")
names = {f"model.layers.{i}.mlp.up_proj.weight": f"part-{i:02}.safetensors" for i in range(40)}
for name, part in names.items():
    st_write.write_file(f"many/{part}", [(name, "BF16", [64, 64], bytes(8192))])
with open("many/model.safetensors.index.json", "w", encoding="utf-8") as f:
    json.dump({"weight_map": names}, f)
END
within '-n 38' convert many -o many.octavo
octavo convert many -o other.octavo
same many.octavo other.octavo
