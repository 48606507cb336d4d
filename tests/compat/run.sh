#!/bin/bash
# Checkpoints of every kind through convert, verify and every export (run.py), the tests of what checks them, and packed
# files of earlier releases (packed/packed.py).
#
#     OCTAVO=build/octavo tests/compat/run.sh [CASE...]
#
# Real checkpoints are taken from OCTAVO_MODELS, or from beside the source tree. THIN=N: every N-th.
set -eu
here=$(dirname "$(readlink -f "$0")")
export PYTHONDONTWRITEBYTECODE=1
export OCTAVO=${OCTAVO:-$here/../../build/octavo}
python=${PYTHON:-/usr/bin/python3}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$python" "$here/test_check.py" >"$log" 2>&1 || { cat "$log"; exit 1; }
"$python" "$here/packed/packed.py"
models=$(readlink -m "${OCTAVO_MODELS:-$here/../../../shared/models}")
options=()
for folder in zoo zoo2; do
    if [[ -d $models/$folder ]]; then
        options+=(--models "$models/$folder")
    else
        echo "compat: no real checkpoints: no $models/$folder"
    fi
done
exec "$python" "$here/run.py" --thin "${THIN:-1}" "${options[@]}" "$@"
