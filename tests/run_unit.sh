#!/bin/sh
# Run unit test programs, two at a time, and print one line of summary; what a failing program said comes before it.
#
#     tests/run_unit.sh PROGRAM...
#
# UNDER='COMMAND OPTION...' runs them under another program.
# Every program runs with its output in PROGRAM.log and in its own temporary directory. Exit status: 0 all passed, 1 not.
set -u

run_one() {
    log=$1.log
    TMPDIR=$(mktemp -d) || exit 1
    export TMPDIR
    # shellcheck disable=SC2086 # a command with its options
    ${UNDER-} "$1" >"$log" 2>&1
    status=$?
    left=$(ls -A "$TMPDIR")
    rm -rf "$TMPDIR"
    if [ "$status" -ne 0 ]; then
        # One write, so that the lines of two programs do not mix.
        printf 'FAIL %s (exit status %d)\n%s\n' "${1##*/}" "$status" "$(sed 's/^/    /' "$log")"
        exit 1
    fi
    if [ -n "$left" ]; then
        printf 'FAIL %s left behind: %s\n' "${1##*/}" "$left"
        exit 1
    fi
}

if [ "${1-}" = --one ]; then
    run_one "$2"
    exit 0
fi

for program in "$@"; do
    rm -f "$program.log"
done
status=0
printf '%s\n' "$@" | xargs -r -n 1 -P "${JOBS:-2}" "$0" --one || status=1

checks=0
for program in "$@"; do
    count=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' "$program.log" | awk '{ n += $1 } END { print n + 0 }')
    checks=$((checks + count))
done
if [ "$status" -eq 0 ]; then
    printf 'unit: %d programs, %d tests passed\n' "$#" "$checks"
else
    printf 'unit: FAILED (%d programs, %d tests)\n' "$#" "$checks"
fi
exit "$status"
