#!/bin/bash
# Standard output that cannot be written is an error, however late it shows; a closed pipe ends inspect silently.
. "$ROOT/tests/cli_lib.sh"
[[ -w /dev/full ]] || skip 'no /dev/full'
tiny checkpoint
mkdir model
cp "$TESTDATA/ring-micro-linear/tokenizer.json" model
quietly convert checkpoint -o good.octavo

full() {
    echo "\$ octavo $* >/dev/full"
    local status=0
    "$OCTAVO" "$@" >/dev/full 2>"$TMPDIR/stderr" || status=$?
    mask -e 's/^/  ! /' "$TMPDIR/stderr"
    echo "  exit status $status"
}
full help
full -V
full help --man convert
full help --completion zsh
full inspect good.octavo
full inspect good.octavo --json
full inspect checkpoint --recipe
full tokenize model
full devices
full devices --json
full verify good.octavo
full verify good.octavo --json
full convert checkpoint -o out.octavo
full convert checkpoint -o out.octavo -n
full verify good.octavo -q
files .

say 'a reader that goes away'
"$OCTAVO" inspect good.octavo --json 2>&1 | true
[[ ${PIPESTATUS[0]} == 0 || ${PIPESTATUS[0]} == 141 ]] && echo 'silence'
