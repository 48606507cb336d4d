#!/bin/bash
# What inspect shows of the built-in example, before and after; globs; a single file; names that could steer a terminal.
. "$ROOT/tests/cli/lib.sh"
cp -r "$TESTDATA/ring-micro-linear" model
quietly convert model -o model.octavo
show() {
    octavo "$@" | sed -E 's/[0-9a-f]{64}$/ROOT/'
}
show inspect model
show inspect model.octavo
show inspect model.octavo --tensor 'model.layers.2.mlp.experts.7.*'
show inspect model --tensor '*.layers.2.mlp.experts.*'
show inspect model --tensor 'nothing*'
show inspect model.octavo --tensor 'nothing*'

say 'a single file, no config.json'
tiny single --single
show inspect single/model.safetensors
rm single/config.json
show inspect single --tensor '*experts*'

say 'code is marked, names are masked'
echo 'print("hello")' >single/modeling_tiny.py
quietly convert single -o single.octavo
show inspect single.octavo --tensor 'model.norm.weight'
"$PYTHON" - <<'END'
import json, struct
header = json.dumps({"a\u009bb": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
open("evil.safetensors", "wb").write(struct.pack("<Q", len(header)) + header + b"x")
END
show inspect evil.safetensors
