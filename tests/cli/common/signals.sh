#!/bin/bash
# A signal stops convert, verify and export: cleaned up, no file left, killed by that signal; ignored signals stay ignored.
. "$ROOT/tests/cli/lib.sh"
command -v strace >/dev/null || skip 'strace is not installed'
is_sanitized && skip 'the leak checker cannot work under strace'
strace -o /dev/null true 2>/dev/null || skip 'strace may not trace here'
tiny checkpoint
quietly convert checkpoint -o good.octavo
remember good.octavo

# struck SIGNAL CALL ARGUMENTS: run octavo and send it SIGNAL at its first CALL. The message of the shell about
# the signal goes to standard error.
struck() {
    local signal=$1 call=$2 status=0
    shift 2
    strace -f -qq -o /dev/null -e trace="$call" -e inject="$call:signal=$signal:when=1" "$OCTAVO" "$@" \
        >"$TMPDIR/stdout" 2>"$TMPDIR/stderr" || status=$?
    echo "$signal at $call, $1: exit status $status"
    sed 's/^/  /' "$TMPDIR/stdout" | mask
    sed 's/^/  ! /' "$TMPDIR/stderr"
}
for s in INT TERM HUP XCPU XFSZ PIPE; do
    struck $s pwrite64 convert checkpoint -o new.octavo --device cpu 2>/dev/null
done
struck INT pwrite64 convert checkpoint -o good.octavo --device cpu -f 2>/dev/null
unchanged good.octavo
struck TERM pwrite64 convert checkpoint -o new.octavo --device cpu --json 2>/dev/null
struck INT pwrite64 export good.octavo -o out --for areal --allow-unloadable 2>/dev/null
struck TERM fsync export good.octavo -o out --for bf16 2>/dev/null
files .

say 'ignored at the start'
(
    trap '' INT HUP
    struck INT pwrite64 convert checkpoint -o new.octavo --device cpu -q
    struck HUP pwrite64 convert checkpoint -o new.octavo --device cpu -qf
)
same new.octavo good.octavo
