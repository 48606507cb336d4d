#!/bin/bash
# Options and operands in any order, joined letters, --name=VALUE, --, repeated options: one and the same conversion.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
tiny ./-odd

convert() {
    echo "\$ octavo convert $*"
    "$OCTAVO" convert --no-read-back "$@" | grep root | mask
    cmp out "$TMPDIR/first" 2>/dev/null || { cp out "$TMPDIR/first" && echo 'a new file'; }
    rm -f out
}
convert checkpoint -o out --scales ue8m0
convert -o out checkpoint --scales=ue8m0
convert --scales f32 --output=out --scales ue8m0 -- checkpoint
convert -fo out checkpoint --scales ue8m0
convert -vqfoout --scales ue8m0 -v checkpoint
POSIXLY_CORRECT=1 convert checkpoint --scales ue8m0 -o out
convert -o out --scales ue8m0 -- -odd
