#!/bin/bash
# verify --against: what it says of a right file, of a wrong source, and how much of it -v and -q let through.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o good.octavo --keep '*o_proj*'

say 'right'
octavo verify good.octavo --against checkpoint
octavo verify good.octavo --against checkpoint -v --only weights
octavo verify good.octavo --against checkpoint -q
octavo verify good.octavo --against checkpoint --only weights --tensor '*experts.2.*'
octavo verify good.octavo --against checkpoint --only digests,weights --tensor '*norm*'

say 'another weight in an expert, in a kept tensor, another configuration'
tiny other --plant model.layers.0.mlp.experts.1.down_proj.weight 33 803d --plant model.norm.weight 5 0040
sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' other/config.json
octavo verify good.octavo --against other
octavo verify good.octavo --against other -q
octavo verify good.octavo --against other --only weights --tensor 'model.layers.1.*'
"$OCTAVO" verify good.octavo --against other --json 2>/dev/null | "$PYTHON" -c '
import json, sys
top = json.load(sys.stdin)
w = top["weights"]
print(top["error"]["code"], top["error"]["status"], w["wrong_tensors"], w["source_matches"], w["differences"])
for t in w["tensors"]:
    if not t["matches"]:
        print({k: v for k, v in t.items() if "sqnr" not in k})'

say 'nothing alike'
ln -s "$TESTDATA/ring-micro-linear" micro
octavo verify good.octavo --against micro --only weights | sed '6,$d'
"$OCTAVO" verify good.octavo --against micro --only weights --tensor 'model.layers.0.mlp.up*' --json 2>/dev/null |
    grep -o '"weights":.*"source_matches":[a-z]*'

say 'a damaged file is not compared'
cp good.octavo bad.octavo
flip bad.octavo 66310
octavo verify bad.octavo --against checkpoint

say 'no such thing'
octavo verify good.octavo --against missing
octavo verify good.octavo --against good.octavo
octavo verify good.octavo --against checkpoint --only weights --tensor 'nothing*'
