#!/bin/bash
# System calls and allocations while a checkpoint is read out of an archive: what is left in the output and in TMPDIR.
# tests/fault/sweep_archive.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
if ! is_sanitized; then # sanitizers have an allocator of their own
    export SHIM=$TMPDIR/shim.so
    "${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
fi
mkdir archive
cd archive && "$PYTHON" "$ROOT/tests/fault/sweep_archive.py" || exit 1
