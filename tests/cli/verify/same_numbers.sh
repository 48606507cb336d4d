#!/bin/bash
# What a forward pass of the built-in example measures, to the bit, on every machine (tests/same_numbers.sh): who changes
# this changes a definition of spec/forward.md.
. "$ROOT/tests/cli/lib.sh"
is_sanitized && skip 'too slow under a sanitizer; test_forward compares threads there'
exec "$ROOT/tests/same_numbers.sh" "$TESTDATA/ring-micro-linear"
