#!/bin/bash
# Progress on standard error, in runs that strace makes slow enough to be worth a line.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
export ASAN_OPTIONS=detect_leaks=0
tiny checkpoint

# slow MICROSECONDS COMMAND: so much longer for every read.
slow() {
    local delay=$1
    shift
    strace -f -qq -o /dev/null -e trace=pread64 -e "inject=pread64:delay_enter=$delay" "$OCTAVO" "$@"
}
export -f slow
# Room for one slot: one thread reads all, one after the other.
conversion=(convert checkpoint -o out.octavo -f --memory 7M --device cpu)

# stages FILE: what it shows, without numbers.
stages() {
    tr '\r' '\n' <"$1" | grep -oE '^[a-z ]+ +[0-9.]+ [kM]?B of|^octavo:.*|%' |
        sed -E 's/ +[0-9.]+ .*//' | sort -u | tr '\n' ' '
    echo
}

# on_terminal ARGUMENTS: slow octavo with a terminal of its own, whose output goes to the file `screen`.
on_terminal() {
    "$PYTHON" -c '
import os, pty, sys
with open("screen", "wb") as screen:
    def read(fd):
        data = os.read(fd, 65536)
        screen.write(data)
        return b" "
    pty.spawn(["bash", "-c", "slow 40000 \"$@\"", "bash", *sys.argv[1:]], read)' "$@" </dev/null | tr -d ' '
}

say 'always: whole lines, once a second'
slow 90000 "${conversion[@]}" --progress always 2>seen | mask
stages seen

say 'auto: nothing in a file'
slow 90000 "${conversion[@]}" --no-read-back 2>seen | mask
stages seen

say 'auto: one line that is overwritten, on a terminal'
on_terminal "${conversion[@]}"
stages screen
grep -c $'\r\033\\[K' screen

say 'not with -q or --json, and never is never'
for options in -q --json '--progress never'; do
    # shellcheck disable=SC2086 # words
    on_terminal "${conversion[@]}" --no-read-back $options
    stages screen
done
