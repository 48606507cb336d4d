#!/bin/bash
# Each step into the sandbox fails: octavo does the usual without one, or says that there is no memory.
# tests/fault/sweep_sandbox.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'a sanitizer starts processes and writes files: no sandbox'
[[ ${OCTAVO_SANDBOX-} != off ]] || skip 'OCTAVO_SANDBOX is off'
tiny checkpoint
strace -f -qq -o calls -e trace=landlock_restrict_self "$OCTAVO" inspect checkpoint >/dev/null
grep -q 'landlock_restrict_self(.* = 0' calls || skip 'this kernel has no Landlock'
export SHIM=$TMPDIR/shim.so
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
mkdir sweep
cd sweep && THIN=40 "$PYTHON" "$ROOT/tests/fault/sweep_sandbox.py" verify-v inspect-links convert-archive || exit 1
