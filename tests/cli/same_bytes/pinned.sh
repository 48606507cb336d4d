#!/bin/bash
# What the built-in example becomes, to the bit, for ever: whoever changes this changes the format or the numbers. It
# also tells when another version of a library writes another archive.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
ln -s "$TESTDATA/ring-micro-linear" micro
pin() {
    quietly convert "$1" -o out.octavo -f "${@:2}"
    echo "$(sha256sum <out.octavo | cut -d ' ' -f 1) $*"
}
pin micro
pin micro --scales ue8m0
pin micro --digest sha256 --source-sha256
pin micro --keep '*' --allow-none --no-embed '*'
pin checkpoint
pin checkpoint --scales ue8m0 --quantize model.embed_tokens.weight --embed notes.txt
# Files of set 1 of the built-in rules are the same as before there was a set 2.
echo '{"octavo_recipe":1,"built_in":1}' >set1.json
pin micro --recipe set1.json
pin micro --recipe set1.json --scales ue8m0
pin checkpoint --recipe set1.json
