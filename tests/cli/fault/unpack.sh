#!/bin/bash
# System calls, allocations and signals in unpack and diff: what is left in and beside the directory.
# tests/fault/sweep_unpack.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
if ! is_sanitized; then # sanitizers have an allocator of their own
    export SHIM=$TMPDIR/shim.so
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
fi
mkdir unpack
cd unpack && "$PYTHON" "$ROOT/tests/fault/sweep_unpack.py" || exit 1
