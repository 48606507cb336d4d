#!/bin/bash
# Every system call fails in turn, with every plausible error: no failure is a verdict, a bad file or a leftover.
# tests/fault/calls.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'sanitizers make system calls of their own'
mkdir calls
cd calls && THIN=${THIN:-40} "$PYTHON" "$ROOT/tests/fault/calls.py" verify diff tokenize tokenize-texts convert-f export-f unpack-f || exit 1
