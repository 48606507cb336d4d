#!/bin/bash
# Several texts: files, directories, JSON lines, compressed ones; their order, and what is refused.
. "$ROOT/tests/cli/lib.sh"
cp -r "$TESTDATA/ring-micro-linear" model
mkdir -p corpus/sub
echo 'one' >corpus/b.txt
echo 'two' >corpus/sub/a.md
echo 'three' >corpus/sub-a.text
printf '{"text":"four"}\n\n{"id":7,"text":"f\\u00efve","body":"six"}\r\n' >corpus/c.jsonl
echo 'not a text' >corpus/d.pdf
ln -s sub corpus/link

# all FILE...: the ids of each of them, one after another.
all() {
    for file in "$@"; do "$OCTAVO" tokenize model --text "$file"; done | tr -d '[\n' | sed 's/\]\(.\)/,\1/g; s/^/[/'
    echo
}

say 'every text by itself, in the order of the command line and of paths'
octavo tokenize model --text corpus/sub/a.md --text corpus/b.txt
all corpus/sub/a.md corpus/b.txt
octavo tokenize model --text corpus
all corpus/b.txt corpus/c.jsonl corpus/sub-a.text corpus/sub/a.md
"$OCTAVO" tokenize model --text corpus/b.txt --text - --text corpus/sub <corpus/c.jsonl
all corpus/b.txt - corpus/sub <corpus/c.jsonl

say 'JSON lines, by their names'
octavo tokenize model --text corpus/c.jsonl
cp corpus/c.jsonl c.txt
octavo tokenize model --text c.txt
printf '{"body":"six"}' >six.ndjson
octavo tokenize model --text six.ndjson --text-field body

say 'compressed ones are the same'
for file in corpus/b.txt corpus/c.jsonl; do
    for packer in gzip zstd xz bzip2; do
        type -P $packer >"$TMPDIR/which" || { echo "no $packer" && continue; }
        ending=$(case $packer in gzip) echo gz ;; zstd) echo zst ;; xz) echo xz ;; *) echo bz2 ;; esac)
        $packer -c $file >"$TMPDIR/packed.${file##*.}.$ending"
        "$OCTAVO" tokenize model --text "$TMPDIR/packed.${file##*.}.$ending" >"$TMPDIR/ids"
        "$OCTAVO" tokenize model --text $file | cmp - "$TMPDIR/ids" && echo "$file, $packer: the same"
        [[ $file == *.jsonl ]] || $packer -c $file | "$OCTAVO" tokenize model | cmp - "$TMPDIR/ids"
    done
done

say 'what is refused'
octavo tokenize model --text - --text corpus --text -
octavo tokenize model --text corpus/b.txt --text missing
octavo tokenize model --text corpus/b.txt --text-field body
octavo tokenize model --text-field body
octavo tokenize model --text corpus/c.jsonl --text-field body
printf '{"text":"a"}\n{"text":2}\n' >wrong.jsonl
octavo tokenize model --text wrong.jsonl
printf '{"text":"a"}\n{"text":"b"\n' >wrong.jsonl
octavo tokenize model --text wrong.jsonl --json
printf '{"text":"a"}\n{"text":"b\xff"}\n' >wrong.jsonl
octavo tokenize model --text wrong.jsonl
printf '{"text":"a","text":"b"}' >wrong.jsonl
octavo tokenize model --text wrong.jsonl
gzip -c corpus/c.jsonl | head -c 40 >cut.jsonl.gz
octavo tokenize model --text cut.jsonl.gz
mkdir none
octavo tokenize model --text none
printf 'a\xff' >corpus/sub/wrong.txt
octavo tokenize model --text corpus
