#!/bin/bash
# Every system call on the output, and on what a killed run left, fails in turn: exit status 3, the file named, nothing left, the
# old file intact.
# tests/fault/sweep.py and sweep_left.py do it and print what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
fault_sweep output
mkdir left
cd left && "$PYTHON" "$ROOT/tests/fault/sweep_left.py" || exit 1
