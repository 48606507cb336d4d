#!/bin/bash
# Wrong command lines and bad input of verify --forward: one clear line, the right status, nothing left behind.
. "$ROOT/tests/cli/lib.sh"
golden=$TESTDATA/golden/ring-micro-linear/golden.safetensors
ln -s "$TESTDATA/ring-micro-linear" source
ln -s "$golden" golden.safetensors
quietly convert source -o micro.octavo
quietly convert source -o bare.octavo --no-embed config.json --no-embed tokenizer.json
forward() {
    octavo verify micro.octavo --only forward -q "$@"
}

say 'what makes no sense'
octavo verify micro.octavo --text golden.safetensors
forward
forward --text a --tokens b
forward --reference a --tokens b
forward --reference a --against source
forward --tokens a --force
octavo verify micro.octavo --quick --forward --tokens a
octavo verify micro.octavo --only digests --forward --tokens a
octavo verify source --forward --only weights --against source --tokens a
octavo verify source
forward --tokens a --slope other
forward --tokens a --slope trained,
forward --tokens a --mode fast
forward --tokens a --sequences 0
forward --tokens a --length 0

forward --tokens a --slope trained,hf
octavo verify source --forward --tokens a --tensor '*'
octavo verify missing.octavo --forward --tokens a

say 'tokens'
forward --tokens missing.json
echo '[1, 2, 512]' >tokens.json
forward --tokens tokens.json --length 3
echo '[1, 2, 3]' >tokens.json
forward --tokens tokens.json
forward --tokens tokens.json --length 3 --sequences all
: >empty.txt
forward --text empty.txt
printf 'a\xff' >wrong.txt
forward --text wrong.txt
head -c 20000 "$ROOT/LICENSE" | gzip >text.gz
forward --text text.gz --sequences 1
forward --text text.gz --length 4096
forward --tokens golden.safetensors --length 95
forward --reference golden.safetensors --sequences 1

say 'memory'
forward --tokens golden.safetensors --memory 2K
forward --tokens golden.safetensors --memory 64K

say 'models that cannot be run'
octavo verify bare.octavo --only forward --tokens tokens.json -q
octavo verify bare.octavo --only forward --text text.gz -q
tiny other
octavo verify other --forward --tokens tokens.json -q

say 'a file that is damaged, and logits that are not finite'
cp micro.octavo bad.octavo
flip bad.octavo 2
octavo verify bad.octavo --only forward --tokens golden.safetensors -q
cp -rL source nan
head=$("$OCTAVO" inspect source --json | "$PYTHON" -c '
import json, sys
print(*((t["shard"], t["off"]) for t in json.load(sys.stdin)["tensors"] if t["name"] == "lm_head.weight").__next__())')
printf '\xff\x7f' | dd of="nan/${head% *}" bs=1 seek="${head#* }" conv=notrunc status=none
octavo verify nan --forward --tokens golden.safetensors -q

say 'references'
reference() {
    "$PYTHON" - "$1" <<'END'
import os, sys
import numpy as np
sys.path.insert(0, os.path.join(os.environ["ROOT"], "tests"))
import st_write
kind = sys.argv[1]
tensors = {"input_ids": ("I32", np.zeros((1, 4), "<i4"))}
for i in range(6 if kind != "ids" else 0):
    rows = 5 if kind == "rows" and i == 3 else 4
    tensors[f"hidden.{i}"] = ("F32", np.full((1, rows, 192), 0.5, "<f4"))
if kind == "nan":
    tensors["hidden.2"][1][0, 1, 7] = np.nan
if kind == "twice":
    tensors["router_index.1"] = ("I32", np.ones((4, 2), "<i4"))
    tensors["router_weight.1"] = ("F32", np.ones((4, 2), "<f4"))
st_write.write_file(kind + ".safetensors", [(n, d, a.shape, a.tobytes()) for n, (d, a) in tensors.items()])
END
    octavo verify source --forward --reference "$1.safetensors" -q
}
reference ids
reference rows
reference nan
reference twice

say 'dumps'
mkdir dump
forward --tokens tokens.json --length 3 --dump dump
forward --tokens tokens.json --length 3 --dump missing/dump.safetensors
files
