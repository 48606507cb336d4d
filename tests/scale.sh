#!/bin/bash
# The tests that need disk space: a mini-shaped checkpoint of more than 8 GB and one of about 1 GB are converted and verified,
# and the conversion of the large one must not take more memory than that of the small one (within 5 %).
#
# `scale.sh forward` runs only the last part: the forward pass of a whole mini-shaped model (52 GB).
# OCTAVO: the tool (default build/octavo). SCALE_DIR: where to work (default build/scale, needs 30 GB). Run by hand:
# it takes minutes, and its figures belong in the release notes.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")
octavo=$(readlink -f "${OCTAVO:-$root/build/octavo}")
dir=${SCALE_DIR:-$root/build/scale}
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$dir"
export MEASURE_FILE=$dir/peaks
trap 'rm -rf "$dir"' EXIT

# run LABEL COMMAND...: print its output, then its time and peak memory.
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

# A whole model, 20 layers: both sides stream from the disk.
forward() {
    if [ "$(df --output=avail -k "$dir" | tail -n 1)" -lt $((52 * 1000 * 1000)) ]; then
        echo "forward pass of 20 layers: skipped, it needs 52 GB of disk space"
        return
    fi
    "$python" "$root/tests/make_checkpoint.py" --preset ring-mini -o "$dir/mini"
    run "mini: convert" "$octavo" convert "$dir/mini" -o "$dir/mini.octavo"
    "$python" -c 'import json, random; random.seed(1); print(json.dumps([random.randrange(157184) for _ in range(256)]))' \
        >"$dir/tokens.json"
    # The built-in limits are for trained weights; these are random.
    echo '{"octavo_limits": 1, "f32": {"local_error": null, "kl_mean": null, "top1": null}}' >"$dir/limits.json"
    OCTAVO=$octavo PYTHON=$python "$root/tests/bench/forward.sh" "$dir/mini" "$dir/mini.octavo" "--tokens=$dir/tokens.json" \
        256 1 --limits "$dir/limits.json" | tee "$dir/forward"
    rm -r "${dir:?}/mini" "$dir/mini.octavo"
    if [ "$(sed -n 's/.*peak \([0-9]*\) MiB/\1/p' "$dir/forward")" -gt 2048 ]; then
        echo "FAILED: the forward pass took more than 2 GiB"
        exit 1
    fi
}

if [ "${1:-}" = forward ]; then
    forward
    exit
fi

job small --layers 2 --experts 128 --vocab 16384
job large --layers 6

echo "peak of convert: small ${peaks[0]} KiB, large ${peaks[1]} KiB"
limit=$(((256 + 512) * 1024))
if [ "${peaks[1]}" -gt $((peaks[0] * 105 / 100)) ] || [ "${peaks[1]}" -gt "$limit" ]; then
    echo "FAILED: the large conversion took more than 1.05 times the memory of the small one, or more than $limit KiB"
    exit 1
fi

forward
