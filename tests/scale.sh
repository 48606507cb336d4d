#!/bin/bash
# The tests that need room: a mini-shaped checkpoint of more than 8 GB and one of about 1 GB are converted and verified,
# and the conversion of the large one must not take more memory than that of the small one (within 5 %).
#
# OCTAVO: the tool (default build/octavo). SCALE_DIR: where to work (default build/scale, needs 30 GB). By hand: it
# takes minutes, and its figures belong into the notes of a release.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
octavo=$(readlink -f "${OCTAVO:-$root/build/octavo}")
dir=${SCALE_DIR:-$root/build/scale}
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$dir"
export MEASURE_FILE=$dir/peaks
trap 'rm -rf "$dir"' EXIT

# run LABEL COMMAND...: its output is shown, and what it took.
run() {
    "$python" "$root/tests/measure.py" "$@"
}

# job NAME MAKER_OPTIONS...: make, convert, verify; adds the conversion's peak to $peaks.
peaks=()
job() {
    local name=$1
    shift
    "$python" "$root/tests/make_checkpoint.py" --preset ring-mini "$@" -o "$dir/$name"
    : >"$MEASURE_FILE"
    run "$name: convert" "$octavo" convert "$dir/$name" -o "$dir/$name.octavo"
    peaks+=("$(cat "$MEASURE_FILE")")
    run "$name: verify" "$octavo" verify "$dir/$name.octavo"
    run "$name: verify --against" "$octavo" verify "$dir/$name.octavo" --against "$dir/$name"
    rm -r "${dir:?}/$name" "$dir/$name.octavo"
}

job small --layers 2 --experts 128 --vocab 16384
job large --layers 6

echo "peak of convert: small ${peaks[0]} KiB, large ${peaks[1]} KiB"
limit=$(((256 + 512) * 1024))
if [ "${peaks[1]}" -gt $((peaks[0] * 105 / 100)) ] || [ "${peaks[1]}" -gt "$limit" ]; then
    echo "FAILED: the large conversion took more than 1.05 times the memory of the small one, or more than $limit KiB"
    exit 1
fi
