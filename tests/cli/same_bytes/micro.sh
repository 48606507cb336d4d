#!/bin/bash
# The built-in example and one with a bit of everything: the same bytes in all surroundings (tests/same_bytes.sh).
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
exec "$ROOT/tests/same_bytes.sh" "$TESTDATA/ring-micro-linear" checkpoint
