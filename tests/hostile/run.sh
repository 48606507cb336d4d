#!/bin/bash
# Malformed checkpoints and broken packed files: octavo must refuse each with the right exit status.
#
#     OCTAVO=build/octavo tests/hostile/run.sh
#
# First the independent reader checks every broken packed file, so that a mistake in the corpus is
# recognized as such.
set -eu
here=$(dirname "$(readlink -f "$0")")
octavo=$(readlink -f "${OCTAVO:-build/octavo}")
python=${PYTHON:-/usr/bin/python3}
export PYTHONDONTWRITEBYTECODE=1
[ -x "$octavo" ] || { echo "$0: no tool at $octavo" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" "$here/small_checkpoint.py" "$scratch/reference"
rules=$(cd "$here" && "$python" -c 'import json, small_checkpoint; print(json.dumps(small_checkpoint.RULES))')
"$python" "$here/../interop/write_packed.py" "$scratch/reference" -o "$scratch/reference.octavo" --rules "$rules"
"$python" "$here/patch_packed.py" "$scratch/reference.octavo"
"$python" "$here/check_hostile.py" "$octavo" "$scratch"
"$python" "$here/check_names.py" "$octavo" "$scratch/names"
