#!/bin/bash
# Killed at any moment, asked to stop at any moment: the final name holds a whole file or none.
# tests/fault/sweep.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the kernel does the work here, not what sanitizers see'
fault_sweep kill
fault_sweep signal
