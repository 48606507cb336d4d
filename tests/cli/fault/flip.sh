#!/bin/bash
# A byte changes between write and rename: a sample of the places that tests/fault/sweep_flip.py tries.
. "$ROOT/tests/cli/lib.sh"
is_sanitized && skip 'sanitizers have an allocator of their own'
export SHIM=$TMPDIR/shim.so
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
mkdir flip
cd flip && THIN=8 "$PYTHON" "$ROOT/tests/fault/sweep_flip.py"
