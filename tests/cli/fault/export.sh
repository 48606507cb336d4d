#!/bin/bash
# Every system call on an exported directory and its files fails in turn, so does every allocation, and death comes at any
# moment: the final name holds a whole directory or none, the old one is intact, nothing is left.
# tests/fault/sweep_export.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'sanitizers have an allocator of their own'
export SHIM=$TMPDIR/shim.so
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
for group in faults memory kill; do
    mkdir $group
    (cd $group && "$PYTHON" "$ROOT/tests/fault/sweep_export.py" $group) || exit 1
done
