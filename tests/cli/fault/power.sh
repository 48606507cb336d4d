#!/bin/bash
# Simulated power cuts during convert, export and unpack: the final name holds nothing, the old content or the complete new one,
# and the next run goes on. tests/fault/power.py does it and prints what went wrong; `make fault CLASS=power` tries more points.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the kernel does the work here, not what sanitizers see'
mkdir power
cd power || exit 1
if ! THIN=$((16 * ${THIN:-1})) "$PYTHON" "$ROOT/tests/fault/power.py" >log; then
    cat log
    exit 1
fi
