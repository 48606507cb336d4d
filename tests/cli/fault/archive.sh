#!/bin/bash
# System calls while a checkpoint is read out of an archive: what is left in the output and in TMPDIR.
# tests/fault/sweep_archive.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
mkdir archive
cd archive && "$PYTHON" "$ROOT/tests/fault/sweep_archive.py" || exit 1
