#!/bin/bash
# Conversion on a terminal: progress is one line that is overwritten, and no packed file is written to it.
. "$ROOT/tests/cli/lib.sh"
needs_terminal
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
export -f slow
tiny checkpoint

# Room for one slot: one thread reads all, one after the other.
conversion=(convert checkpoint -o out.octavo -f --memory 7M --device cpu)

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

say 'no packed file on a terminal'
script -qec "$OCTAVO convert checkpoint -o -" "$TMPDIR/typescript" </dev/null >"$TMPDIR/terminal"
echo "on a terminal: exit status $?"
tr -d '\r' <"$TMPDIR/terminal"
