#!/bin/bash
# The part of the interop tests that needs only Debian's python3-numpy and python3-xxhash: tests that the
# comparisons can fail; the second forward pass compared with its golden results and with octavo's, and what is
# measured of some packed files; the built-in example and a checkpoint of corner cases, both also exported for
# every runtime; checkpoints that are already FP8, and those that must be refused; whether runtimes would load
# them, and models of other sizes; the decisions of the built-in rules for random names.
#
#     OCTAVO=build/octavo tests/interop/run_plain.sh
set -eu
here=$(dirname "$(readlink -f "$0")")
export PYTHONDONTWRITEBYTECODE=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
/usr/bin/python3 "$here/test_interop.py" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
/usr/bin/python3 "$here/dialect_vectors.py"
golden=$here/../data/golden/ring-micro-linear/golden.safetensors
for slope in trained hf; do
    /usr/bin/python3 "$here/forward_np.py" "$here/../data/ring-micro-linear" --compare "$golden" \
        --slope $slope --step 40 >"$scratch/log" 2>&1 ||
        { echo "forward_np.py, slopes $slope:" && cat "$scratch/log" && exit 1; }
done
export OCTAVO=${OCTAVO:-$here/../../build/octavo}
/usr/bin/python3 "$here/forward_check.py" "$scratch"
/usr/bin/python3 "$here/gate_check.py" "$scratch" "as defined" "a scale of an expert" \
    "an expert that the source never chooses" "carried, from float32"
/usr/bin/python3 "$here/corner_checkpoint.py" "$scratch/corner" "$scratch/dtypes"
/usr/bin/python3 "$here/export_check.py" "$here/../data/ring-micro-linear" "$scratch/corner"
/usr/bin/python3 "$here/export_check.py" --convert=--keep '--convert=*.layers.[01].*gate_proj*' \
    --convert=--keep '--convert=*.dense.*' "$here/../data/ring-micro-linear"
/usr/bin/python3 "$here/rules_check.py" "$scratch"
/usr/bin/python3 "$here/fp8_check.py"
/usr/bin/python3 "$here/fp8_export.py" "$here/../data/ring-micro-linear"
mkdir "$scratch/shapes"
/usr/bin/python3 "$here/fit_check.py" "$scratch/shapes" "$here/../data/ring-micro-linear"
PYTHON=/usr/bin/python3 "$here/check.sh" "$here/../data/ring-micro-linear" "$scratch/corner" "$scratch/dtypes"
