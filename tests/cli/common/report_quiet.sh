#!/bin/bash
# -q: errors only; -v: a line for each tensor; --progress goes to standard error and never mixes with results.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint

octavo convert checkpoint -o out.octavo -q
octavo convert checkpoint -o out.octavo -q
octavo convert checkpoint -o out.octavo -qn
octavo convert checkpoint -o out.octavo -f
octavo convert checkpoint -o out.octavo -fv --device cpu
octavo verify out.octavo -q
octavo verify out.octavo
octavo verify out.octavo --quick
octavo verify out.octavo --tensor '*.layers.1.*'
octavo verify out.octavo --tensor 'model.layers.0.mlp.experts.2.down_proj.weight' --only digests
octavo verify out.octavo --progress always
octavo verify out.octavo --progress=never --threads 3 --memory 64M
