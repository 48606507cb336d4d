#!/bin/sh
# Run fuzz targets and print one line of summary.
#
#     tests/run_fuzz.sh replay PROGRAM...       each stored input once (any build)
#     tests/run_fuzz.sh SECONDS PROGRAM...      fuzz that long (programs of `make fuzz`), on all processors
#
# The stored inputs of target fuzz_NAME are tests/fuzz/seeds/NAME/*; fuzzing collects more in corpus/NAME beside the
# program and leaves an input that broke it in fuzz_NAME-crash-*. Exit status: 0 all well, 1 not.
set -u

seeds_of() {
    find "$seeds/$1" -type f 2>/dev/null | LC_ALL=C sort
}

replay() {
    for program in "$@"; do
        name=${program##*/fuzz_}
        # Without inputs the driver tries the empty one.
        if ! seeds_of "$name" | xargs -d '\n' "$program" >"$program.log" 2>&1; then
            printf 'FAIL fuzz_%s\n%s\n' "$name" "$(tail -n 40 "$program.log" | sed 's/^/    /')"
            failed=1
        fi
        inputs=$((inputs + $(seeds_of "$name" | wc -l)))
    done
    echo "fuzz: $# targets, $inputs stored inputs replayed$([ $failed -eq 0 ] || echo ', FAILED')"
}

fuzz_one() {
    name=${2##*/fuzz_}
    corpus=${2%/*}/corpus/$name
    mkdir -p "$corpus"
    program=$2
    seconds=$1
    # libFuzzer writes what it finds to the first directory and only reads the second.
    set -- "$corpus"
    [ ! -d "$seeds/$name" ] || set -- "$corpus" "$seeds/$name"
    if "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$program-" "$@" >"$program.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$program.log")
        echo "fuzz: $name: $runs runs in $seconds s, nothing found"
    else
        printf 'FAIL fuzz_%s\n%s\n' "$name" "$(tail -n 60 "$program.log" | sed 's/^/    /')"
        exit 1
    fi
}

seeds=${0%/*}/fuzz/seeds
failed=0
inputs=0
what=$1
shift
case $what in
replay) replay "$@" ;;
--one) fuzz_one "$@" ;;
*) printf '%s\n' "$@" | xargs -r -P "$(nproc)" -n 1 "$0" --one "$what" || failed=1 ;;
esac
exit $failed
