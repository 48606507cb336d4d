#!/bin/bash
# No packed file comes from a terminal.
. "$ROOT/tests/cli/lib.sh"
needs_terminal

script -qec "$OCTAVO verify -" "$TMPDIR/typescript" </dev/null >"$TMPDIR/terminal"
echo "on a terminal: exit status $?"
tr -d '\r' <"$TMPDIR/terminal"
