#!/bin/bash
# Every system call on the input fails in turn, those that read past the page cache, and those of verify.
# tests/fault/sweep.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
fault_sweep input
fault_sweep direct
