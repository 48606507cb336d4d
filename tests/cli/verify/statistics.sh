#!/bin/bash
# Means, standard errors and intervals of verify --forward: an independent program computes them again from the numbers
# of each position, and every bit agrees. Sequences of which there is one have neither.
. "$ROOT/tests/cli/lib.sh"
is_sanitized && skip 'too slow under a sanitizer'
source=$TESTDATA/ring-micro-linear
ln -s "$source" source
quietly convert source -o micro.octavo
"$PYTHON" -c '
import json
print(json.dumps([k * k * 7919 % 251 for k in range(12 * 17)]))' >tokens.json

# run ARGUMENTS: of verify, whatever its verdict.
run() {
    rm -f report.json
    "$OCTAVO" verify "$@" --only forward --tokens tokens.json --json >report.json 2>errors
}

# check ARGUMENTS
check() {
    run "$@"
    "$PYTHON" "$ROOT/tests/interop/statistics_np.py" report.json
}

# pair NAME OTHER FILE ARGUMENTS: what is said of FILE against OTHER, which is the ideal file or the other of --versus.
pair() {
    local name=$1 other=$2
    shift 2
    run "$other" --against source --activations both --length 17 --sequences 12
    mv report.json other.json
    run "$@" --against source --activations both --length 17 --sequences 12
    "$PYTHON" "$ROOT/tests/interop/statistics_np.py" report.json "$name" other.json
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

say 'two packed files'
quietly convert source --dialect deepgemm --scales ue8m0 -o coarse.octavo
pair versus micro.octavo coarse.octavo --versus micro.octavo

say 'codes of another tool, and the ideal file, which is what octavo would have made'
keep=(--keep '*.shared_experts.*')
quietly convert source "${keep[@]}" -o ideal.octavo
quietly convert source "${keep[@]}" --dialect linghe -o linghe.octavo
quietly export linghe.octavo --for ant-sglang --allow-unloadable -o fp8
quietly convert fp8 "${keep[@]}" -o carried.octavo
pair ideal ideal.octavo carried.octavo
