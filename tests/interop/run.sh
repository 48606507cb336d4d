#!/bin/bash
# Interop tests with ml_dtypes, safetensors, tokenizers and tiktoken from PyPI, in a virtual environment under
# build/interop.
#
#     OCTAVO=build/octavo tests/interop/run.sh
#
# Checks the built-in example, a checkpoint of corner cases, checkpoints that are already FP8, and
# ring-nano-linear and zoo/* of $OCTAVO_MODELS (default ../shared/models) if they exist. If PyPI cannot be
# reached, it says so and exits 0, but fails with CI=true.
set -eu
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$here")")
models=${OCTAVO_MODELS:-$root/../shared/models}
venv=$root/build/interop/venv
export PYTHONDONTWRITEBYTECODE=1

# The environment is complete when the copy of the requirements exists.
make_environment() {
    cmp -s "$here/requirements.txt" "$venv/requirements.txt" && return
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv" &&
        "$venv/bin/pip" install -q --only-binary :all: -r "$here/requirements.txt" &&
        cp "$here/requirements.txt" "$venv/requirements.txt"
}

mkdir -p "$root/build/interop"
if ! make_environment >"$root/build/interop/pip.log" 2>&1; then
    echo "interop: skipped: no virtual environment: $(tail -n 1 "$root/build/interop/pip.log")"
    [ "${CI:-}" != true ]
    exit
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
SAFETENSORS_SAMPLE=$scratch/sample.safetensors \
    "${BUILD:-$root/build/release}/tests/unit/format/test_safetensors_write" >"$scratch/log" ||
    { cat "$scratch/log"; exit 1; }
"$venv/bin/python" "$here/read_written.py" "$scratch/sample.safetensors"
"$venv/bin/python" "$here/corner_checkpoint.py" "$scratch/corner" "$scratch/dtypes"
checkpoints=("$root/tests/data/ring-micro-linear" "$scratch/corner")
for directory in "$models/ring-nano-linear" "$models"/zoo/*; do
    if [ -e "$directory/config.json" ]; then
        checkpoints+=("$directory")
    else
        echo "interop: skipped: $directory does not exist"
    fi
done
export OCTAVO=${OCTAVO:-$root/build/octavo}
failed=0
PYTHON=$venv/bin/python NEED_ML_DTYPES=1 "$here/check.sh" "${checkpoints[@]}" "$scratch/dtypes" || failed=1
"$venv/bin/python" "$here/export_check.py" --need-safetensors "${checkpoints[@]}" || failed=1
"$venv/bin/python" "$here/gate_check.py" "$scratch" || failed=1
"$venv/bin/python" "$here/fp8_check.py" || failed=1
"$venv/bin/python" "$here/fp8_export.py" --need-safetensors "${checkpoints[@]}" || failed=1
tokenizers=()
for directory in "${checkpoints[@]}"; do
    [ ! -e "$directory/tokenizer.json" ] || tokenizers+=("$directory/tokenizer.json")
done
"$venv/bin/python" "$here/tokenizer_check.py" "${tokenizers[@]}" || failed=1
"$venv/bin/python" "$here/tokenizer_families.py" || failed=1
"$venv/bin/python" "$here/tiktoken_check.py" || failed=1
exit $failed
