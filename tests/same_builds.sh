#!/bin/bash
# gcc and clang builds, with and without optimization, write the same packed files at every instruction level of the CPU,
# and measure the same numbers in a forward pass.
#
#     tests/same_builds.sh         run by `make test-builds`; needs clang; takes a few minutes
#
# Compares the files of the built-in example, the tiny checkpoint and, if there are any next to the source tree (or in
# OCTAVO_MODELS), checkpoints of many kinds; verify of every build must pass on the file of the first build. The builds
# remain in build/same-*.
set -u
root=$(dirname "$(dirname "$(readlink -f "$0")")")
cd "$root" || exit 1
python=${PYTHON:-/usr/bin/python3}
models=${OCTAVO_MODELS:-$root/../shared/models}
export PYTHONDONTWRITEBYTECODE=1
unset CONFIG CC CFLAGS SAN
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
files=0

complain() {
    failed=$((failed + 1))
    echo "FAILED: $*"
    sed 's/^/    /' "$work/log" | head -n 5
}

command -v clang >/dev/null || { echo "same_builds.sh: no clang" >&2; exit 2; }
builds=("$root/build/octavo")
for build in gcc-O0 clang-O0 clang-O3; do
    make -s -j"$(nproc)" CONFIG=same-$build CC=${build%-*} CFLAGS="-${build#*-}" CUDA=0 all || exit 1
    builds+=("$root/build/same-$build/octavo")
done

"$python" tests/tiny_checkpoint.py "$work/tiny" || exit 1
checkpoints=(tests/data/ring-micro-linear "$work/tiny")
run=(tests/data/ring-micro-linear) # in a forward pass
if [[ -d $models/ring-nano-linear && -d $models/zoo ]]; then
    checkpoints+=("$models/ring-nano-linear" "$models"/zoo/*)
    run+=("$models"/zoo/{llama,qwen3})
else
    echo "same_builds.sh: no checkpoints in $models, only the built-in ones are compared"
fi

levels=(baseline)
best=$("${builds[0]}" -V | sed -n 's/^CPU  *//p')
[[ $best == baseline ]] || levels+=(v3)
[[ $best != v4 ]] || levels+=(v4)

# compare CHECKPOINT SCALES: compare all builds and levels with the first.
compare() {
    local build level what
    rm -f "$work"/*.octavo
    for build in "${builds[@]}"; do
        for level in "${levels[@]}"; do
            what="$(basename "$(dirname "$build")") at level $level, $(basename "$1"), $2"
            files=$((files + 1))
            OCTAVO_CPU=$level "$build" convert "$1" -o "$work/out.octavo" -f --scales "$2" --device cpu --no-read-back \
                >"$work/log" 2>&1 || complain "$what: conversion"
            [[ -e $work/first.octavo ]] || mv "$work/out.octavo" "$work/first.octavo"
            [[ ! -e $work/out.octavo ]] || cmp "$work/first.octavo" "$work/out.octavo" >"$work/log" 2>&1 ||
                complain "$what: different bytes"
        done
        "$build" verify "$work/first.octavo" --against "$1" -q >"$work/log" 2>&1 || complain "$what: verify --against"
    done
}
# measure CHECKPOINT: compare what every build measures with what the first one does, at the best level.
measure() {
    local build
    rm -f "$work/first.numbers"
    for build in "${builds[@]}"; do
        OCTAVO=$build tests/same_numbers.sh --brief "$1" >"$work/numbers" 2>"$work/log"
        [[ -e $work/first.numbers ]] || cp "$work/numbers" "$work/first.numbers"
        if [[ -s $work/log ]] || ! grep -q '^[0-9a-f]\{32\} ' "$work/numbers"; then
            complain "$build, $(basename "$1"): forward pass"
        fi
        diff "$work/first.numbers" "$work/numbers" >"$work/log" || complain "$build, $(basename "$1"): numbers"
    done
}
for checkpoint in "${checkpoints[@]}"; do
    for scales in f32 ue8m0; do
        compare "$checkpoint" $scales
    done
done
for checkpoint in "${run[@]}"; do
    measure "$checkpoint"
done
echo "same builds: ${#builds[@]} builds, ${#checkpoints[@]} checkpoints, $files files and ${#run[@]} forward passes compared, $failed failures"
((failed == 0))
