#!/bin/bash
# What stays wide is said: sums by reason, a note if it is most of the model, and large matrices of unknown names.
. "$ROOT/tests/cli/lib.sh"
# model DIR NAME:SHAPE...: a checkpoint of BF16 zeros.
model() {
    "$PYTHON" - "$ROOT/tests" "$@" <<'EOF'
import os, sys

sys.path.insert(0, sys.argv[1])
import st_write

tensors = []
for word in sys.argv[3:]:
    name, shape = word.split(":")
    shape = [int(d) for d in shape.split("x")]
    tensors.append((name, "BF16", shape, bytes(st_write.tensor_bytes("BF16", shape))))
os.mkdir(sys.argv[2])
st_write.write_file(sys.argv[2] + "/model.safetensors", tensors)
EOF
    echo '{}' >"$1/config.json"
}
L=model.layers.0
notes() {
    octavo convert "$@" | grep -E '^\$|kept  |note|exit'
}

say 'nothing to say'
model plain lm_head.weight:16x128 $L.mlp.up_proj.weight:256x128 $L.mlp.gate.weight:4x128
notes plain -n
notes plain -o plain.octavo

say 'unknown names'
model unknown $L.mlp.up_proj.weight:512x256 $L.mlp.odd.weight:128x128 $L.mlp.edd.weight:2x128x256 \
    $L.mlp.small.weight:127x128 other.weight:128x128
notes unknown -n
notes unknown -o unknown.octavo
notes unknown -n --keep '*.odd.weight'
notes unknown -n --quantize '*.[eo]dd.weight'
notes unknown -n -q

say 'most of the model'
model tower $L.mlp.up_proj.weight:128x128 visual.blocks.0.mlp.up_proj.weight:128x128 lm_head.weight:1x128
notes tower -n
notes tower -o tower.octavo
notes tower -n --keep 'visual.*'

say 'JSON'
"$OCTAVO" convert unknown -n --json 2>/dev/null |
    "$PYTHON" -c 'import json, sys; p = json.load(sys.stdin)["plan"]; print(p["kept_bytes"], p["unknown_matrices"])'
"$OCTAVO" convert plain -n --json |
    "$PYTHON" -c 'import json, sys; p = json.load(sys.stdin)["plan"]; print(p["kept_bytes"], p["unknown_matrices"])'
