#!/bin/bash
# The version: number, commit, instruction level of the processor.
. "$ROOT/tests/cli/lib.sh"

machine=$(uname -m | sed 's/x86_64/x86-64/; s/aarch64/AArch64/')
"$OCTAVO" -V | sed -E 's/^git    ([0-9a-f]+(-dirty)?|unknown)$/git    ID/; s/ (baseline|v3|v4)$/ LEVEL/; s/^(for    Linux on )'"$machine"'$/\1MACHINE/; s/^CUDA   ([0-9.]+|not built in)$/CUDA   RUNTIME/'
for way in --version 'convert -V' 'verify --version' 'help -V' 'inspect --json -V'; do
    # shellcheck disable=SC2086 # words on purpose
    "$OCTAVO" $way | cmp - <("$OCTAVO" -V) || echo "octavo $way differs"
done
OCTAVO_CPU=baseline "$OCTAVO" -V | grep CPU
OCTAVO_CPU=v9 under "$OCTAVO" -V
