#!/bin/bash
# Somebody changes a source while it is read: neither success nor a verdict, but status 3; permissions and links may change.
# tests/fault/sources.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the stamps of files are compared here, not what sanitizers see'
mkdir sources
cd sources && THIN=${THIN:-8} "$PYTHON" "$ROOT/tests/fault/sources.py" || exit 1
