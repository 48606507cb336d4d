#!/bin/bash
# System calls and signals in unpack and diff: what is left in and beside the directory.
# tests/fault/sweep_unpack.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
mkdir unpack
cd unpack && "$PYTHON" "$ROOT/tests/fault/sweep_unpack.py" || exit 1
