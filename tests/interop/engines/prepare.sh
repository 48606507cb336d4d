#!/bin/bash
# Exports for load_transformers.py: each CHECKPOINT with both scale formats, for hf and bf16.
#
#     OCTAVO=build/octavo tests/interop/engines/prepare.sh OUT CHECKPOINT...
#
# Makes OUT/NAME/{hf,bf16}-{f32,ue8m0} and a copy of golden.safetensors. Whatever transformers does not
# read in FP8 is exported as dequantized values, as octavo reports.
set -eu
[ $# -ge 2 ] || { sed -n '2,8s/^# \?//p' "$0" >&2; exit 2; }
octavo=${OCTAVO:-build/octavo}
out=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for checkpoint; do
    directory=$out/$(basename "$checkpoint")
    mkdir -p "$directory"
    install -m 644 "$checkpoint/golden.safetensors" "$directory/"
    for scales in f32 ue8m0; do
        "$octavo" convert "$checkpoint" -o "$scratch/packed.octavo" -q -f --scales "$scales"
        for runtime in hf bf16; do
            "$octavo" export "$scratch/packed.octavo" -o "$directory/$runtime-$scales" -f \
                --for "$runtime" --dequantize
        done
    done
done
