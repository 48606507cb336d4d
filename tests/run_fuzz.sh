#!/bin/sh
# Run fuzz targets and print one line for each.
#
#     tests/run_fuzz.sh replay PROGRAM...       each stored input, and damaged copies of it (any build)
#     tests/run_fuzz.sh SECONDS PROGRAM...      fuzz that long (programs of `make fuzz`), on all processors
#     tests/run_fuzz.sh sum [COUNTS...]         a table of what was run so far: all lines of the files COUNTS, added up
#
# The stored inputs of target fuzz_NAME are tests/fuzz/seeds/NAME/*, its dictionary is tests/fuzz/NAME.dict. Fuzzing
# collects more inputs in corpus/NAME beside the program, and goes on with them the next time; it leaves an input that
# broke the target in fuzz_NAME-crash-*, and appends a line to the file $COUNTS (build/fuzz/counts): the target, runs,
# seconds, 1 if something was found, the version. JOBS processes at a time, default: as many as there are processors.
# Exit status: 0 all well, 1 not.
set -u

seeds_of() {
    find "$here/seeds/$1" -type f 2>/dev/null | LC_ALL=C sort
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
    [ ! -d "$here/seeds/$name" ] || set -- "$@" "$here/seeds/$name"
    [ ! -f "$here/$name.dict" ] || set -- -dict="$here/$name.dict" "$@"
    begun=$(date +%s)
    "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="$program-" "$@" >"$program.log" 2>&1
    status=$?
    took=$(($(date +%s) - begun))
    # libFuzzer's exit status after SIGINT or SIGTERM: stopped, nothing found.
    [ $status -ne 72 ] || status=0
    # After a crash there are no statistics, only the number of the last line that was printed.
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p; s/^#\([0-9][0-9]*\)[^0-9].*/\1/p' "$program.log" | tail -n 1)
    echo "$name ${runs:-0} $took $((status != 0)) $(git -C "$here" describe --always 2>/dev/null)" >>"$COUNTS"
    if [ $status -eq 0 ]; then
        echo "fuzz: $name: $runs runs in $took s, $((runs / (took > 0 ? took : 1)))/s, nothing found"
    else
        printf 'FAIL fuzz_%s\n%s\n' "$name" "$(tail -n 60 "$program.log" | sed 's/^/    /')"
        exit 1
    fi
}

sum() {
    sort "$@" | awk '
        function row(a, b, c, d, e) { printf "%-16s %14s %9s %8s %9s\n", a, b, c, d, e }
        function flush_row() { if (name) row(name, runs, time, int(runs / (time ? time : 1)), found) }
        BEGIN { row("target", "runs", "seconds", "runs/s", "findings") }
        $1 != name { flush_row(); name = $1; runs = time = found = 0 }
        { runs += $2; time += $3; found += $4; all += $2; all_time += $3; all_found += $4 }
        END { flush_row(); row("all", all, all_time, int(all / (all_time ? all_time : 1)), all_found) }'
}

here=${0%/*}/fuzz
export COUNTS="${COUNTS:-${0%/*}/../build/fuzz/counts}"
# The memory that the sanitizer keeps aside to notice late use is only cleared and filled again: 256 MB by default.
export ASAN_OPTIONS="quarantine_size_mb=4:${ASAN_OPTIONS:-}"
failed=0
inputs=0
what=$1
shift
case $what in
replay) replay "$@" ;;
--one) fuzz_one "$@" ;;
sum) sum "${@:-$COUNTS}" ;;
*) printf '%s\n' "$@" | xargs -r -P "${JOBS:-$(nproc)}" -n 1 "$0" --one "$what" || failed=1 ;;
esac
exit $failed
