#!/bin/bash
# Wrong command lines and bad input of verify --forward: one clear line, the right status, nothing left behind.
. "$ROOT/tests/cli_lib.sh"
golden=$TESTDATA/golden/ring-micro-linear/golden.safetensors
ln -s "$TESTDATA/ring-micro-linear" source
ln -s "$golden" golden.safetensors
quietly convert source -o micro.octavo
quietly convert source -o bare.octavo --no-embed config.json --no-embed tokenizer.json
forward() {
    octavo verify micro.octavo --only forward -q "$@"
}

say 'what makes no sense'
octavo verify micro.octavo --text golden.safetensors
forward
forward --text a --tokens b
forward --reference a --tokens b
forward --reference a --against source
forward --tokens a --force
octavo verify micro.octavo --quick --forward --tokens a
octavo verify micro.octavo --only digests --forward --tokens a
octavo verify source --forward --only weights --against source --tokens a
octavo verify source
forward --tokens a --slope other
forward --tokens a --slope trained,
forward --tokens a --mode fast
forward --tokens a --sequences 0
forward --tokens a --length 0

say 'tokens'
forward --tokens missing.json
echo '[1, 2, 512]' >tokens.json
forward --tokens tokens.json --length 3
echo '[1, 2, 3]' >tokens.json
forward --tokens tokens.json
forward --tokens tokens.json --length 3 --sequences all
: >empty.txt
forward --text empty.txt
printf 'a\xff' >wrong.txt
forward --text wrong.txt
head -c 20000 "$ROOT/LICENSE" | gzip >text.gz
forward --text text.gz --sequences 1
forward --text text.gz --length 4096
forward --tokens golden.safetensors --length 95
forward --reference golden.safetensors --sequences 1

say 'memory'
forward --tokens golden.safetensors --memory 2K
forward --tokens golden.safetensors --memory 64K

say 'models that cannot be run'
octavo verify bare.octavo --only forward --tokens tokens.json -q
octavo verify bare.octavo --only forward --text text.gz -q
tiny other
octavo verify other --forward --tokens tokens.json -q

say 'dumps'
mkdir dump
forward --tokens tokens.json --length 3 --dump dump
forward --tokens tokens.json --length 3 --dump missing/dump.safetensors
files
