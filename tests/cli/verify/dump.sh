#!/bin/bash
# verify --dump replaces nothing that the command reads, whatever -f says: exit 2 before any check, and nothing is lost.
. "$ROOT/tests/cli/lib.sh"
cp -rL "$TESTDATA/ring-micro-linear" source
cp "$TESTDATA/golden/ring-micro-linear/golden.safetensors" reference
cp reference tokens
shard=$(cd source && echo *.safetensors | cut -d ' ' -f 1)
head -c 4000 "$ROOT/LICENSE" >text
echo '{"octavo_limits": 1}' >limits
quietly convert source -o packed
tar -cf tar -C source .
tar -czf tar.gz -C source .
cp -r . "$TMPDIR/before"

# dump FILE OPTIONS: over FILE, through links to it, and where the temporary file would be FILE.
dump() {
    local file=$1 name
    shift
    octavo verify "$@" --forward --dump "$file" -f
    ln -s "$file" soft
    ln "$file" hard
    ln "$file" .new.part
    for name in soft hard new; do # the same
        "$OCTAVO" verify "$@" --forward --dump "$name" -f 2>&1
        echo "exit status $?"
    done
    rm -f soft hard .new.part
    diff -r . "$TMPDIR/before" || echo "$file: CHANGED"
}

say 'the packed file'
dump packed packed --tokens tokens
say 'its source'
for name in "$shard" model.safetensors.index.json config.json tokenizer.json; do
    dump "source/$name" packed --tokens tokens --against source
done
dump tar packed --tokens tokens --against tar
dump tar.gz packed --tokens tokens --against tar.gz
say 'a source as the operand'
dump "source/$shard" source --tokens tokens
dump tar.gz tar.gz --tokens tokens
dump packed source --against packed --tokens tokens
say 'what the tokens come from, and limits'
dump text packed --text text --length 64
dump tokens packed --tokens tokens
dump reference packed --reference reference
dump limits packed --tokens tokens --limits limits
say 'standard input'
"$OCTAVO" verify packed --forward --text - --length 64 --dump ./text -f <text 2>&1
echo "exit status $?"
diff -r . "$TMPDIR/before"

say 'without -f, too'
octavo verify packed --forward --tokens tokens --dump packed
say 'anything else is replaced'
: >old
octavo verify packed --forward --tokens tokens --dump old -f -q
octavo verify packed --forward --reference old -q
files
