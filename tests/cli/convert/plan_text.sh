#!/bin/bash
# The plan of the built-in example: every line of it, and that it touches nothing.
. "$ROOT/tests/cli/lib.sh"
cp -r "$TESTDATA/ring-micro-linear" model

# How much memory is best may change with the pipeline.
plan() {
    octavo convert model -o out.octavo -n "$@" | sed -E 's/^  memory  .* for buffers/  memory     SIZE for buffers/'
}
plan
plan -v --memory 64M --keep '*.layers.[0-3].*' --no-embed 'tokenizer*'
files .
