#!/bin/bash
# A forward pass measures the same numbers, to the last bit, whatever the threads, the memory and the instruction level.
#
#     tests/same_numbers.sh [--brief] CHECKPOINT...   OCTAVO: the tool (default build/octavo); PYTHON: default python3
#
# For each checkpoint the numbers of two comparisons with it: of a packed file, and of FP8 that follows another rule. Prints
# what differs, and a line with a digest of all numbers, which must be the same on every machine:
# tests/cli/verify/same_numbers.stdout has it for the built-in example. --brief: with 16 tokens, once and without other
# surroundings, for programs that run slowly. Works in a temporary directory below TMPDIR.
set -u
root=$(dirname "$(dirname "$(readlink -f "$0")")")
octavo=$(readlink -f "${OCTAVO:-$root/build/octavo}")
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
brief=
[[ ${1-} == --brief ]] && brief=1 && shift

complain() {
    failed=$((failed + 1))
    echo "FAILED: $(basename "$checkpoint"): $*"
}

# Embedding and head of the packed file are quantized, so that these parts have errors, too.
prepare() {
    local ends=(--quantize '*embed*')
    grep -qs lm_head "$checkpoint"/*.safetensors && ends+=(--quantize '*lm_head*')
    "$octavo" convert "$checkpoint" -o "$work/packed.octavo" -f "${ends[@]}" &&
        "$octavo" convert "$checkpoint" -o "$work/other.octavo" -f --scales ue8m0 &&
        "$octavo" convert "$checkpoint" -o "$work/rule.octavo" -f --dialect transformer-engine &&
        "$octavo" export "$work/rule.octavo" -o "$work/fp8" -f --for vllm --allow-unloadable &&
        "$octavo" convert "$work/fp8" -o "$work/carried.octavo" -f
} >"$work/log" 2>&1

# numbers FILE OPTION...: what is measured, one number a line. Status 6: the gate found something, and measured all the same.
numbers() {
    local file=$1
    shift
    "$octavo" verify "$work/$file.octavo" --against "$checkpoint" --only forward --tokens "$work/ids.json" \
        --activations both "$@" --json >"$work/report.json" 2>"$work/log"
    [[ $? == [06] ]] || cat "$work/log"
    "$python" "$root/tests/numbers_of.py" <"$work/report.json"
}

# first WHAT FILE OPTION...: measure what all others are compared with.
first() {
    echo "$1" >>"$work/all"
    subject=("${@:2}")
    numbers "${subject[@]}" --threads 1 >"$work/first" || complain "$1"
    cat "$work/first" >>"$work/all"
}

# again WHAT OPTION...: the same, in other surroundings.
again() {
    numbers "${subject[@]}" "${@:2}" >"$work/again"
    diff "$work/first" "$work/again" >"$work/log" || { complain "$1" && head -n 5 "$work/log"; }
}

# The instruction levels that this machine supports besides baseline; octavo -V prints the highest.
levels=()
best=$("$octavo" -V | sed -n 's/^CPU  *//p')
[[ $best == v[34] ]] && levels+=(v3)
[[ $best == v4 ]] && levels+=(v4)

# Eight sequences and two versions of everything; then the slow level, baseline, with less.
compare() {
    local n
    first 'a packed file' packed --length 12 --mode both --versus "$work/other.octavo"
    for n in 2 8; do
        again "--threads $n" --threads $n
    done
    for n in 1M 3M; do
        again "--memory $n" --memory $n --threads 2
    done
    for n in "${levels[@]}"; do
        OCTAVO_CPU=$n again "level $n"
    done
    MALLOC_PERTURB_=165 again 'memory that is not zero' --threads 3
    first 'FP8 by another rule' carried --length 12 --sequences 2
    again 'FP8 by another rule, --threads 2' --threads 2
    OCTAVO_CPU=baseline again 'FP8 by another rule, level baseline' --threads 2
}

# What is left of it for slow programs.
compare_briefly() {
    first 'a packed file' packed --length 8 --sequences 2 --mode both --versus "$work/other.octavo"
    first 'FP8 by another rule' carried --length 8 --sequences 2
}

for checkpoint; do
    checkpoint=$(readlink -f "$checkpoint")
    echo "[$(seq -s, 1 3 290), 5]" >"$work/ids.json"
    : >"$work/all"
    if prepare; then
        if [[ $brief ]]; then compare_briefly; else compare; fi
        count=$(wc -l <"$work/all")
        echo "$(sha256sum "$work/all" | cut -c 1-32) $(basename "$checkpoint"): $count numbers"
    else
        complain 'preparation' && tail -n 3 "$work/log"
    fi
done
((failed == 0))
