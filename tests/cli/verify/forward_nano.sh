#!/bin/bash
# The larger trained model over all of a text: perplexity and divergence are what they are known to be.
. "$ROOT/tests/cli/lib.sh"
models=${OCTAVO_MODELS:-$ROOT/../shared/models}
[[ -e $models/ring-nano-linear ]] || skip "no $models/ring-nano-linear"
[[ $OCTAVO == "$ROOT/build/octavo" ]] || skip 'takes minutes in builds other than the release'
quietly convert "$models/ring-nano-linear" -o nano.octavo
"$OCTAVO" verify nano.octavo --against "$models/ring-nano-linear" --only forward --text "$models/sample.txt" --length 128 \
    --sequences all --no-ideal --json >report.json
echo "exit status $?"
"$PYTHON" - <<'END'
import json
summary = json.load(open("report.json"))["forward"]["variants"][0]["summary"]
for name, low, high in (("source_perplexity", 9, 12), ("packed_perplexity", 9, 12), ("kl_mean", 3.5e-3, 5.5e-3)):
    print(name, "within" if low <= summary[name] <= high else f"{summary[name]} NOT within", low, high)
END
