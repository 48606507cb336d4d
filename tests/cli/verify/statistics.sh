#!/bin/bash
# Means, standard errors and intervals of verify --forward: an independent program computes them again from the numbers
# of each position, and every bit agrees. Sequences of which there is one have neither.
. "$ROOT/tests/cli/lib.sh"
source=$TESTDATA/ring-micro-linear
ln -s "$source" source
quietly convert source -o micro.octavo
"$PYTHON" -c '
import json
print(json.dumps([k * k * 7919 % 251 for k in range(12 * 17)]))' >tokens.json

# check ARGUMENTS: of verify, whatever its verdict.
check() {
    rm -f report.json
    "$OCTAVO" verify "$@" --only forward --tokens tokens.json --json >report.json 2>errors
    "$PYTHON" "$ROOT/tests/interop/statistics_np.py" report.json
}

say 'many sequences'
check micro.octavo --against source --activations both --length 17 --sequences 12

say 'three, two, one'
for sequences in 3 2 1; do
    check micro.octavo --against source --length 17 --sequences $sequences
done
octavo verify micro.octavo --against source --only forward --tokens tokens.json --length 17 --sequences 1 | grep 'activations: KL'
octavo verify micro.octavo --against source --only forward --tokens tokens.json --length 17 --sequences 12 | grep 'activations: KL'

say 'nothing differs: every interval is a point'
check source --against source --length 17 --sequences 9
"$PYTHON" - <<'EOF'
import json
s = json.load(open("report.json"))["forward"]["variants"][0]["summary"]
print({k: v for k, v in s.items() if k.endswith(("_low", "_high", "_error"))})
EOF
