#!/bin/bash
# What stays unquantized is reported: sums by reason, a note if it is most of the model, and large matrices of unknown names.
. "$ROOT/tests/cli/lib.sh"
L=model.layers.0
notes() {
    octavo convert "$@" | grep -E '^\$|kept  |note|exit'
}

say 'nothing to say'
zeros plain lm_head.weight:16x128 $L.mlp.up_proj.weight:256x128 $L.mlp.gate.weight:4x128
notes plain -n
notes plain -o plain.octavo

say 'unknown names'
zeros unknown $L.mlp.up_proj.weight:512x256 $L.mlp.odd.weight:128x128 $L.mlp.edd.weight:2x128x256 \
    $L.mlp.small.weight:127x128 other.weight:128x128
notes unknown -n
notes unknown -o unknown.octavo
notes unknown -n --keep '*.odd.weight'
notes unknown -n --quantize '*.[eo]dd.weight'
notes unknown -n -q

say 'most of the model'
zeros tower $L.mlp.up_proj.weight:128x128 visual.blocks.0.mlp.up_proj.weight:128x128 lm_head.weight:1x128
notes tower -n
notes tower -o tower.octavo
notes tower -n --keep 'visual.*'

say 'JSON'
"$OCTAVO" convert unknown -n --json 2>/dev/null |
    "$PYTHON" -c 'import json, sys; p = json.load(sys.stdin)["plan"]; print(p["kept_bytes"], p["unknown_matrices"])'
"$OCTAVO" convert plain -n --json |
    "$PYTHON" -c 'import json, sys; p = json.load(sys.stdin)["plan"]; print(p["kept_bytes"], p["unknown_matrices"])'
