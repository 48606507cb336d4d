#!/bin/bash
# Progress on standard error, in runs that strace makes slow enough to be worth a line.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
tiny checkpoint

# Room for one slot: one thread reads all, one after the other.
conversion=(convert checkpoint -o out.octavo -f --memory 7M --device cpu)

say 'always: whole lines, once a second'
slow 90000 "${conversion[@]}" --progress always 2>seen | mask
stages seen

say 'auto: nothing in a file'
slow 90000 "${conversion[@]}" --no-read-back 2>seen | mask
stages seen
