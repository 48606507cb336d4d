#!/bin/bash
# inspect --recipe prints what --recipe takes: the same recipe gives the same file.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
octavo inspect checkpoint --recipe
octavo inspect checkpoint/model-00001-of-00002.safetensors --recipe
quietly convert checkpoint -o first.octavo --scales ue8m0 --keep '*experts*' --quantize '*experts.1.*'
octavo inspect first.octavo --recipe
octavo inspect first.octavo --recipe --json
"$OCTAVO" inspect first.octavo --recipe >recipe.json
quietly convert checkpoint -o second.octavo --recipe recipe.json
same first.octavo second.octavo
quietly convert checkpoint -o third.octavo --recipe recipe.json --scales f32
octavo inspect third.octavo --recipe
