#!/bin/bash
# verify --forward on several texts: no more is read than is needed, the report says so, and --dump replaces none of them.
. "$ROOT/tests/cli/lib.sh"
quietly convert "$TESTDATA/ring-micro-linear" -o packed
mkdir corpus
head -c 600 "$ROOT/LICENSE" >corpus/a.txt
"$PYTHON" - "$ROOT/LICENSE" <<'END'
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
with open("corpus/b.jsonl", "w", encoding="utf-8") as f:
    for i in range(600, 1600, 100):
        print(json.dumps({"id": i, "body": text[i:i + 100]}), file=f)
END
echo '{"body":' >corpus/c.jsonl # is never reached unless all is read
: >corpus/d.pdf

# forward OPTIONS: what the tokens are.
forward() {
    octavo verify packed --only forward --length 16 --text-field body "$@" | sed -E '/perplexity|coverage/d'
}

say 'as much as is needed'
forward --text corpus --sequences 4
forward --text corpus/a.txt --text corpus/b.jsonl --sequences 12
forward --text corpus/a.txt --text corpus/b.jsonl --sequences all
forward --text corpus --sequences all
forward --text corpus/a.txt --text corpus/b.jsonl --length 4096
"$OCTAVO" verify packed --only forward --length 16 --text corpus/a.txt --text corpus/b.jsonl --text-field body --json >part.json
"$OCTAVO" verify packed --only forward --length 16 --text corpus/a.txt --json >whole.json
"$PYTHON" - <<'END'
import json
for name in ("part", "whole"):
    found = json.load(open(name + ".json"))["forward"]
    print(name, found["sequences"], found["tokens_dropped"], found["all_text_read"])
END

say 'the same tokens as those of tokenize'
"$OCTAVO" tokenize packed --text corpus/a.txt --text corpus/b.jsonl --text-field body >ids.json
"$OCTAVO" verify packed --only forward --length 16 --tokens ids.json --sequences all --json >ids.report
"$OCTAVO" verify packed --only forward --length 16 --text corpus/a.txt --text corpus/b.jsonl --text-field body --sequences all --json >text.report
"$PYTHON" - <<'END'
import json
ids, text = (json.load(open(name + ".report"))["forward"] for name in ("ids", "text"))
print("equal", ids["variants"] == text["variants"], ids["all_text_read"], text["all_text_read"])
END

say 'no text is replaced'
cp -r corpus "$TMPDIR/before"
for file in corpus/a.txt corpus/b.jsonl corpus/c.jsonl; do
    octavo verify packed --only forward --length 16 --text corpus --text-field body --dump $file -f
done
diff -r corpus "$TMPDIR/before"

say 'what is refused'
octavo verify packed --text corpus/a.txt
octavo verify packed --forward --tokens ids.json --text-field body
octavo verify packed --forward --text corpus/a.txt --text-field body
octavo verify packed --forward --text corpus/a.txt --text missing
octavo verify packed --forward --text corpus/c.jsonl --text-field body -q
