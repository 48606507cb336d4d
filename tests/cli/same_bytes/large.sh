#!/bin/bash
# 220 MB in the shape of Ring-mini-linear, in several shards: the same bytes in all surroundings
# (tests/same_bytes.sh). Larger ones: make test-scale.
. "$ROOT/tests/cli/lib.sh"
is_sanitized && skip 'too slow under a sanitizer; the other same_bytes tests are the same with less'
"$PYTHON" "$ROOT/tests/make_checkpoint.py" --preset ring-mini --layers 2 --experts 16 --vocab 1024 --shard-bytes 64M \
    -o large || exit 1
exec "$ROOT/tests/same_bytes.sh" large
