#!/bin/bash
# verify --forward for people: both forms of activations, both modes, what is not kept, one model alone, a reference.
. "$ROOT/tests/cli/lib.sh"
source=$TESTDATA/ring-micro-linear
golden=$TESTDATA/golden/ring-micro-linear/golden.safetensors
ln -s "$source" source
ln -s "$golden" golden.safetensors
quietly convert source -o micro.octavo

say 'a packed file against its source'
octavo verify micro.octavo --against source --only forward --tokens golden.safetensors --activations both --mode both

say 'after the other checks'
octavo verify micro.octavo --against source --forward --tokens golden.safetensors | grep '^  [a-z]*:'

say 'the source against itself: nothing differs'
octavo verify source --against source --forward --tokens golden.safetensors

say 'an old processor: the same, later'
echo '[1, 2, 3, 4, 5, 6, 7, 8]' >tokens.json
OCTAVO_CPU=baseline octavo verify micro.octavo --only forward --tokens tokens.json --length 8
octavo verify micro.octavo --only forward --tokens tokens.json --length 8

say 'limits of the user'
echo '{"octavo_limits": 1, "f32": {"local_error": 0.04, "top1": null, "kl_mean": 0.01}}' >limits.json
octavo verify micro.octavo --against source --only forward --tokens golden.safetensors --limits limits.json -q
echo '{"octavo_limits": 1, "f32": {"speed": 1}}' >limits.json
octavo verify micro.octavo --against source --only forward --tokens golden.safetensors --limits limits.json -q

say 'one model, and what another engine computed'
octavo verify micro.octavo --only forward --tokens golden.safetensors
octavo verify source --forward --reference golden.safetensors -q
octavo verify micro.octavo --only forward --reference golden.safetensors -q
octavo verify source --forward --reference golden.safetensors --slope hf -q
"$OCTAVO" verify source --forward --reference golden.safetensors --json >reference.json
"$PYTHON" - <<'END'
import json
form = json.load(open("reference.json"))["forward"]["variants"][0]
print("  within 1e-5:", all(l["hidden_rms"] < 1e-5 and l["local_error"] < 1e-5 for l in form["layers"]))
print("  experts:", {l["router_agreement"] for l in form["layers"]} == {None, 1})
END

say 'a dump is a reference without a difference'
octavo verify source --forward --tokens golden.safetensors --dump dump.safetensors -q
octavo verify source --forward --tokens golden.safetensors --dump dump.safetensors -q
octavo verify source --forward --tokens golden.safetensors --dump dump.safetensors -q -f --mode decode --threads 1
"$OCTAVO" verify source --forward --reference dump.safetensors --json >dump.json
"$PYTHON" - <<'END'
import json
form = json.load(open("dump.json"))["forward"]["variants"][0]
print("  differences:", [l["hidden_rms"] for l in form["layers"]], form["summary"]["kl_max"])
END
files
