#!/bin/bash
# NaN and infinity: refused by name and index where they would be quantized, copied with a note where they are kept.
. "$ROOT/tests/cli/lib.sh"
up=model.layers.0.mlp.up_proj.weight down=model.layers.0.mlp.experts.1.down_proj.weight
q=model.layers.1.self_attn.q_proj.weight o=model.layers.1.self_attn.o_proj.weight
count=0

# with [--plant NAME INDEX HEX]... [-- OPTIONS]: convert a checkpoint with these elements.
with() {
    local plants=() checkpoint=c$((++count)) what=
    while (($#)) && [[ $1 != -- ]]; do
        plants+=("$1")
        what+=" ${1#--plant}"
        shift
    done
    (($#)) && shift
    tiny "$checkpoint" "${plants[@]}"
    echo "planted$what"
    octavo convert "$checkpoint" -o out.octavo "$@"
}

say 'every dtype, NaN of either kind and infinities of either sign'
with --plant $up 0 c07f
with --plant $up 18199 80ff
with --plant $q 5999 000080ff
with --plant $q 4242 010080ff
with --plant $o 151 007c
with --plant $o 150 01fc
files

say 'the first in row-major order and their number, wherever tiles and chunks lie'
with --plant $up 129 807f --plant $up 140 807f --plant $up 18100 807f
with --plant $up 17930 807f --plant $up 139 807f -- --threads 5

say 'of several tensors the first in the file'
with --plant $q 3 0000807f --plant $up 17 807f --plant $down 599 807f --plant $o 1 007c

say 'the largest finite numbers are welcome'
with --plant $up 0 7f7f --plant $up 1 7fff --plant $q 0 ffff7f7f --plant $o 0 ff7b
quietly verify out.octavo
rm out.octavo

say 'an old file stays when a conversion is refused'
tiny good
quietly convert good -o out.octavo
remember out.octavo
with --plant $up 5 c07f -- -f
unchanged out.octavo
rm out.octavo

say 'in kept tensors'
with --plant model.norm.weight 3 80ff --plant model.norm.weight 4 c07f \
    --plant model.layers.1.mlp.gate.expert_bias 0 000080ff
quietly verify out.octavo
rm out.octavo
with --plant $up 5 c07f -- --keep $up
"$OCTAVO" convert c$count -o out.octavo -f --keep $up --json --device cpu 2>/dev/null |
    "$PYTHON" -c 'import json, sys; r = json.load(sys.stdin); print(r["notes"], r["result"]["kept_nonfinite"])'
