#!/bin/bash
# Every system call on an exported directory and its files fails in turn, and death comes at any moment: the final name
# holds a whole directory or none, the old one is intact, nothing is left.
# tests/fault/sweep_export.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the kernel does the work here, not what sanitizers see'
for group in faults kill; do
    mkdir $group
    (cd $group && "$PYTHON" "$ROOT/tests/fault/sweep_export.py" $group) || exit 1
done
