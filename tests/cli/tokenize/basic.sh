#!/bin/bash
# Token ids: of a directory, a folder of the Hub's cache, a single file, a tokenizer.json and a packed file; of texts
# from standard input, plain and compressed; what is refused.
. "$ROOT/tests/cli/lib.sh"
cp -r "$TESTDATA/ring-micro-linear" model
quietly convert model -o model.octavo
printf 'Hello <|endoftext|> caf\xc3\xa9 123\r\n' >text
gzip -c text >text.gz

say 'where the tokenizer is'
octavo tokenize model --text text
octavo tokenize model/tokenizer.json --text text
octavo tokenize model/model-00001-of-00002.safetensors --text text
octavo tokenize model.octavo --text text
mkdir -p hub/snapshots/abc hub/refs
cp model/tokenizer.json hub/snapshots/abc
printf abc >hub/refs/main
octavo tokenize hub --text text
(cd model && octavo tokenize model-00001-of-00002.safetensors --text ../text)

say 'where the text is'
octavo tokenize model --text text.gz
octavo tokenize model <text
octavo tokenize model --text - <text.gz
octavo tokenize model --text /dev/null <text
octavo tokenize model
octavo tokenize model --json --text text

say 'what is ignored, with a note'
sed 's/"truncation": *null/"truncation":{"max_length":2}/; s/"padding": *null/"padding":{}/' model/tokenizer.json >saved.json
octavo tokenize saved.json --text text
octavo tokenize saved.json --text text --json

say 'what is refused'
octavo tokenize
octavo tokenize model --tokens text
octavo tokenize missing --text text
octavo tokenize model --text missing
printf 'ab\xff' >bad
octavo tokenize model --text bad
octavo tokenize model <bad
head -c 30 text.gz >cut.gz
octavo tokenize model --text cut.gz
mkdir empty
octavo tokenize empty --text text
octavo tokenize empty/x.safetensors --text text
quietly convert model -o without.octavo --no-embed tokenizer.json
octavo tokenize without.octavo --text text
octavo tokenize text --text text
cp model.octavo damaged.octavo
flip damaged.octavo 600
octavo tokenize damaged.octavo --text text --json
sed 's/"normalizer": *null/"normalizer":{"type":"Lowercase"}/' model/tokenizer.json >lower.json
octavo tokenize lower.json --text text
echo '{"model":' >broken.json
octavo tokenize broken.json --text text

say 'all golden texts'
"$PYTHON" - <<'END'
import json, os, subprocess
golden = json.load(open(os.path.join(os.environ["TESTDATA"], "golden/ring-micro-linear/tokenizer_golden.json")))
good = 0
for item in golden:
    run = subprocess.run([os.environ["OCTAVO"], "tokenize", "model.octavo"], input=item["text"].encode(),
                         capture_output=True, check=True)
    good += json.loads(run.stdout) == item["ids"]
print(good, "of", len(golden), "agree")
END
