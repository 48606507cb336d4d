#!/bin/bash
# The part of the interop tests that needs Debian's python3-numpy and python3-xxhash only: whether
# the comparisons can fail, the built-in example, and a checkpoint of corner cases.
#
#     OCTAVO=build/octavo tests/interop/run_plain.sh
set -eu
here=$(dirname "$(readlink -f "$0")")
export PYTHONDONTWRITEBYTECODE=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
/usr/bin/python3 "$here/test_interop.py" >"$scratch/log" 2>&1 || { cat "$scratch/log"; exit 1; }
/usr/bin/python3 "$here/corner_checkpoint.py" "$scratch/corner"
PYTHON=/usr/bin/python3 "$here/check.sh" "$here/../data/ring-micro-linear" "$scratch/corner"
