#!/bin/bash
# Every system call on the output fails in turn: exit status 3, the file named, nothing left, the old file intact.
# tests/fault/sweep.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
fault_sweep output
