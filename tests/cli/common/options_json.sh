#!/bin/bash
# --json: exactly one object on standard output, even on failure, and its status is the exit status.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o good.octavo
cp good.octavo bad.octavo
flip bad.octavo 70000
head -c 100 good.octavo >short.octavo
echo '{"octavo_recipe":2}' >recipe.json
mkdir empty

# shape [KEY]...: the parts of the object that are always the same.
cat >"$TMPDIR/shape.py" <<'END'
import json, sys
text = open(sys.argv[1], encoding="utf-8").read()
status = int(sys.argv[2])
assert text.endswith("}\n") and text.count("\n") == 1, "not one line"
top = json.loads(text)
assert top["schema"] == 1
error = top.get("error")
assert (status == 0) == (error is None), "error and exit status disagree"
if error:
    assert error["status"] == status and error["message"], error
    assert set(error) <= {"code", "status", "message", "hint"}
print("  status", status, error["code"] if error else "-", " ".join(k for k in top if k not in ("schema", "error")))
END
json() {
    echo "\$ octavo $*"
    local status=0
    "$OCTAVO" "$@" >"$TMPDIR/object" 2>"$TMPDIR/stderr" || status=$?
    "$PYTHON" "$TMPDIR/shape.py" "$TMPDIR/object" "$status"
    if ((status > 0)) && [[ ! -s $TMPDIR/stderr ]]; then
        echo '  nothing on standard error'
    fi
}
json convert checkpoint -o out.octavo --json -n
json convert checkpoint -o out.octavo --json
json convert checkpoint -o out.octavo --json -q
json convert checkpoint --json
json convert --json --frobnicate
json convert --frobnicate --json
json conver --json
json convert checkpoint -o out.octavo --json --memory 1
json convert checkpoint -o new.octavo --json --keep 'nothing*'
json convert checkpoint -o new.octavo --json --recipe recipe.json
json convert checkpoint -o new.octavo --json --recipe missing.json
json convert empty -o new.octavo --json
json convert missing -o new.octavo --json
json verify good.octavo --json
json verify good.octavo --json --quick
json verify good.octavo --json --only digests --tensor 'model.norm*'
json verify good.octavo --json --tensor 'nothing*'
json verify bad.octavo --json
json verify short.octavo --json
json verify checkpoint/config.json --json
json verify missing --json
json inspect good.octavo --json
json inspect checkpoint --json
json inspect checkpoint --json --tensor 'nothing*'
json inspect short.octavo --json
json inspect good.octavo --json --recipe
cp "$TESTDATA/ring-micro-linear/tokenizer.json" .
json tokenize tokenizer.json --json
rm tokenizer.json
json tokenize checkpoint --json
json tokenize --json
files .
