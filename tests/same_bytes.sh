#!/bin/bash
# The same checkpoint gives the same bytes, whatever the machine, the user, and the options that do not affect data.
#
#     tests/same_bytes.sh CHECKPOINT...       OCTAVO: the tool (default build/octavo)
#
# Converts each checkpoint in many environments and compares the files; `verify` and `verify --against` must pass on the
# first. Prints what differs, and a summary line. Works in a temporary directory below TMPDIR.
set -u
root=$(dirname "$(dirname "$(readlink -f "$0")")")
octavo=$(readlink -f "${OCTAVO:-$root/build/octavo}")
checkpoints=()
for checkpoint in "$@"; do
    checkpoints+=("$(readlink -f "$checkpoint")")
done
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1
files=0
failed=0

complain() {
    failed=$((failed + 1))
    echo "FAILED: $name: $*"
    sed 's/^/    /' "$work/log" | head -n 5
}

# variant WHAT COMMAND...: run the command, which must write $work/out.octavo, and compare that with the first file.
variant() {
    local what=$1
    shift
    files=$((files + 1))
    if ! "$@" >"$work/log" 2>&1; then
        complain "$what: conversion failed"
    elif ! cmp "$work/first.octavo" "$work/out.octavo" >"$work/log" 2>&1; then
        complain "$what: different bytes"
    fi
    rm -f "$work/out.octavo"
}

# The instruction levels that this machine supports; octavo -V prints the highest.
levels=(baseline)
best=$("$octavo" -V | sed -n 's/^CPU  *//p')
[[ $best == baseline ]] || levels+=(v3)
[[ $best != v4 ]] || levels+=(v4)

in_other_directory() {
    mkdir -p deep/er && ln -sfn "$checkpoint" deep/link && cd deep/er &&
        "$octavo" convert ../link/ -o ../../out.octavo
}
with_umask() {
    umask "$1" && convert && [[ $(stat -c %a out.octavo) == "$2" ]]
}
convert() {
    "$octavo" convert "$checkpoint" -o out.octavo "$@"
}

for checkpoint in "${checkpoints[@]}"; do
    name=$(basename "$checkpoint")
    if ! "$octavo" convert "$checkpoint" -o first.octavo -f >log 2>&1; then
        complain 'conversion failed'
        continue
    fi
    "$octavo" verify first.octavo >log 2>&1 || complain 'verify'
    "$octavo" verify first.octavo --against "$checkpoint" --only weights >log 2>&1 || complain 'verify --against'
    variant 'again' convert
    for threads in 1 2 5; do
        variant "--threads $threads" convert --threads $threads
    done
    for level in "${levels[@]}"; do
        variant "level $level" env OCTAVO_CPU="$level" "$octavo" convert "$checkpoint" -o out.octavo
    done
    variant 'another directory' eval '(in_other_directory)'
    for locale in C C.UTF-8 de_DE.UTF-8 tr_TR.UTF-8; do
        variant "LC_ALL=$locale" env LC_ALL=$locale LANG=$locale "$octavo" convert "$checkpoint" -o out.octavo
    done
    variant 'an empty environment' env -i TZ=Pacific/Kiritimati "$octavo" convert "$checkpoint" -o out.octavo
    variant 'memory that is not zero' env MALLOC_PERTURB_=165 "$octavo" convert "$checkpoint" -o out.octavo
    variant 'umask 077' eval '(with_umask 077 600)'
    variant 'umask 000' eval '(with_umask 000 666)'
    variant 'little memory' convert --memory 16M --threads 3
    variant 'a lot of memory' convert --memory 2G
    variant 'all kinds of output' convert --progress always --no-read-back -v --json
done
echo "same bytes: $# checkpoints, $files files compared, levels ${levels[*]}, $failed failures"
((failed == 0))
