#!/bin/bash
# Somebody gives the name of a source to another good file, as convert -f does: the result is that of the one or of the
# other, never a mixture. tests/fault/exchange.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the opens of files are counted here, not what sanitizers see'
mkdir exchange
cd exchange && THIN=${THIN:-8} "$PYTHON" "$ROOT/tests/fault/exchange.py" || exit 1
