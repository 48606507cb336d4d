#!/bin/bash
# Manual pages: those in spec/man are what the program prints, and mandoc finds no fault with them.
. "$ROOT/tests/cli/lib.sh"

"$OCTAVO" help --man >"$TMPDIR/octavo.1"
"$OCTAVO" help --man octavo | cmp - "$TMPDIR/octavo.1"
for c in convert verify inspect unpack diff export tokenize devices bench help; do
    "$OCTAVO" help --man $c >"$TMPDIR/octavo-$c.1"
    "$OCTAVO" help $c --man | cmp - "$TMPDIR/octavo-$c.1"
done
for page in "$TMPDIR"/*.1; do
    cmp "$page" "$ROOT/spec/man/${page##*/}" || echo '"make man" writes them'
    if command -v mandoc >/dev/null; then
        mandoc -Tlint -W warning "$page"
    fi
done
files "$TMPDIR"
