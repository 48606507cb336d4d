#!/bin/bash
# Checkpoints of many kinds, where there are some beside the source tree (or in OCTAVO_MODELS): the same bytes in all
# surroundings (tests/same_bytes.sh).
. "$ROOT/tests/cli/lib.sh"
models=${OCTAVO_MODELS:-$ROOT/../shared/models}
[[ -d $models/ring-nano-linear && -d $models/zoo ]] || skip "no checkpoints in $models"
exec "$ROOT/tests/same_bytes.sh" "$models/ring-nano-linear" "$models"/zoo/*
