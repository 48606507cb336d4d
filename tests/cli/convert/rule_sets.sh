#!/bin/bash
# Sets of built-in rules: a file names its set, is verified by it, and can be made again under it.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o new.octavo
octavo inspect new.octavo --recipe

say 'an older set'
echo '{"octavo_recipe":1,"built_in":1}' >set1.json
quietly convert checkpoint -o old.octavo --recipe set1.json
echo "$(grep -c built_in old.octavo) lines of the file name a set"
octavo inspect old.octavo --recipe
octavo verify old.octavo --against checkpoint

say 'the printed recipe makes the same file'
"$OCTAVO" inspect old.octavo --recipe >printed.json
quietly convert checkpoint -o again.octavo --recipe printed.json
same old.octavo again.octavo

say 'a set that does not exist'
echo '{"octavo_recipe":1,"built_in":3}' >set3.json
octavo convert checkpoint -n --recipe set3.json

say 'sets that differ'
L=model.layers.0
zeros gated $L.self_attn.q_proj.weight:8x8 $L.self_attn.o_proj.weight:8x8 $L.self_attn.g_proj.weight:8x8 \
    $L.self_attn.A_log_scale:8x8 visual.blocks.0.mlp.gate_proj.weight:8x8 $L.mlp.gate.weight:8x8
for set in 1 2; do
    echo '{"octavo_recipe":1,"built_in":'$set'}' >set.json
    octavo convert gated -n -v --recipe set.json
    quietly convert gated -o $set.octavo --recipe set.json
    octavo verify $set.octavo --against gated --only weights
done
