#!/bin/bash
# make bench: how fast the tool is, and how close that is to what the machine can do.
#
# run.sh BENCH_DIR runs the bench programs in it (BENCH_DIR/bench_quant …) on a checkpoint of 3 GB with the shapes of
# Ring-mini, made in build/bench. OCTAVO: the tool.
set -eu
root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
programs=$1
octavo=${OCTAVO:-$root/build/octavo}
dir=$root/build/bench
mkdir -p "$dir"
checkpoint=$dir/mini
trap 'rm -rf "$dir"' EXIT

echo "== kernel and table"
"$programs/bench_quant"
"$programs/bench_open"
"$programs/bench_tokenizer" "$root/tests/data/ring-micro-linear/tokenizer.json" "$root/spec/format.md"

echo "== matrix product"
"$programs/bench_matmul"

echo "== forward pass"
models=${OCTAVO_MODELS:-$root/../shared/models}
if [ -e "$models/ring-nano-linear" ]; then
    "$octavo" convert "$models/ring-nano-linear" -o "$dir/nano.octavo" -q
    "$root/tests/bench/forward.sh" "$models/ring-nano-linear" "$dir/nano.octavo" "--text=$models/sample.txt" 512 3
else
    echo "skipped: no $models/ring-nano-linear"
fi

echo "== whole jobs"
"${PYTHON:-/usr/bin/python3}" "$root/tests/make_checkpoint.py" --preset ring-mini --layers 2 -o "$checkpoint" >/dev/null
"$programs/bench_job" "$checkpoint" "$dir" 5
"$octavo" convert "$checkpoint" -o "$dir/mini.octavo" -q --no-read-back
"$programs/bench_ideal" "$checkpoint" "$dir/mini.octavo"

# The comparison with a script needs the virtual environment that the interop tests make.
python=$root/build/interop/venv/bin/python
if ! "$python" -c 'import ml_dtypes' 2>/dev/null; then
    echo "numpy + ml_dtypes: skipped, no virtual environment; \`make test-interop\` makes it"
    exit 0
fi
# Both write to memory: the disk was measured above, here it would only add noise.
memory=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d -p "$dir")
trap 'rm -rf "$dir" "$memory"' EXIT
their=()
ours=()
for _ in 1 2 3; do
    their+=("$("$python" "$root/tests/bench/numpy_quantize.py" "$checkpoint" "$memory/numpy.bin" 400000000)")
    ours+=("$("$octavo" convert "$checkpoint" -o "$memory/ours.octavo" -f --json --no-read-back |
        "$python" -c 'import json, sys; r = json.load(sys.stdin); print(r["plan"]["source_bytes"] / r["result"]["seconds"] / 1e9)')")
done
"$python" - "${their[*]}" "${ours[*]}" <<'PY'
import statistics
import sys
their, ours = (statistics.median(map(float, a.split())) for a in sys.argv[1:3])
print(f"{'convert':28} {ours:6.2f} GB/s, numpy + ml_dtypes {their:.3f} GB/s, ratio {ours / their:.0f}")
PY
