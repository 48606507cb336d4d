#!/bin/bash
# Two versions of octavo write the same bytes: packed files, exports, unpacked tensors, dumps of forward passes, tokens.
#
#     tests/same_outputs.sh COMMIT|PROGRAM [CHECKPOINT...]
#
# Compares octavo with PROGRAM, or with one built from COMMIT without CUDA. OCTAVO: the tool under test (default
# build/octavo); DEVICE: where it converts (default cpu). Default checkpoints: the built-in one and, if present,
# those of OCTAVO_MODELS (default ../shared/models) except its second zoo. Outputs that only the tool under test writes
# are counted; outputs that only the old one writes are differences. Exit status 0: no differences. Works below TMPDIR.
set -u
shopt -s nullglob
root=$(cd "$(dirname "$0")/.." && pwd)
models=${OCTAVO_MODELS:-$root/../shared/models}
new=$(readlink -f "${OCTAVO:-$root/build/octavo}")
device=${DEVICE:-cpu}
(($#)) || { sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2; }
version=$1
shift
(($#)) || set -- "$root/tests/data/ring-micro-linear" "$models"/ring-*/ "$models"/zoo/*/
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ -f $version && -x $version ]]; then
    old=$(readlink -f "$version")
else
    git clone --quiet --no-hardlinks "$root" "$work/tree" && git -C "$work/tree" checkout --quiet "$version" &&
        make -s -C "$work/tree" -j"$(nproc)" CUDA=0 || exit 1
    old=$work/tree/build/octavo
fi

# run PROGRAM OUT NAME ARGUMENTS...: run PROGRAM with its output at $out (`@` in ARGUMENTS); OUT/NAME.status is its exit
# status. Messages are not compared: their wording may change.
run() {
    local program=$1 name=$3
    out=$2/$name
    shift 3
    "$program" "${@//@/$out}" </dev/null >"$out.stdout" 2>"$out.stderr"
    echo $? >"$out.status"
}

# everything PROGRAM OUT CHECKPOINT DEVICE
everything() {
    local program=$1 dir=$2 checkpoint=$3 on=$4 word ids
    mkdir -p "$dir"
    for word in f32 ue8m0; do
        run "$program" "$dir" "$word.octavo" convert "$checkpoint" -o @ --scales "$word" --device "$on"
    done
    for word in deepgemm transformers transformer-engine compressed-tensors linghe; do
        run "$program" "$dir" "dialect-$word.octavo" convert "$checkpoint" -o @ --dialect "$word" --device "$on"
    done
    for word in vllm sglang ant-sglang hf areal compressed-tensors bf16; do
        run "$program" "$dir" "for-$word" export "$dir/f32.octavo" -o @ --for "$word" --dequantize --allow-unloadable
        run "$program" "$dir" "for-$word-ue8m0" export "$dir/ue8m0.octavo" -o @ --for "$word" --dequantize --allow-unloadable
    done
    run "$program" "$dir" unpacked unpack "$dir/f32.octavo" -o @ --dequantize f32
    run "$program" "$dir" tokens tokenize "$checkpoint" --text "$root/LICENSE"
    mv "$dir/tokens.stdout" "$dir/tokens"
    ids=$dir/ids.json
    echo "[$(seq -s, 1 3 190), 5]" >"$ids"
    for word in f32 fp8; do
        run "$program" "$dir" "packed-$word.safetensors" verify "$dir/f32.octavo" --only forward --tokens "$ids" --length 32 \
            --activations "$word" --dump @
        run "$program" "$dir" "source-$word.safetensors" verify "$checkpoint" --forward --tokens "$ids" --length 32 \
            --activations "$word" --dump @
    done
    run "$program" "$dir" decode.safetensors verify "$checkpoint" --forward --tokens "$ids" --length 16 --mode decode --dump @
    rm -f "$dir"/*.stdout
}

# compare CHECKPOINT: compare every output of the old program with that of the new one.
compare() {
    local status name
    for status in "$work"/old/*.status; do
        name=$(basename "$status" .status)
        if [[ $(<"$status") != 0 ]]; then
            [[ $(<"$work/new/$name.status") == 0 ]] && more=$((more + 1))
        elif [[ $(<"$work/new/$name.status") != 0 ]]; then
            bad=$((bad + 1))
            echo "FAILED: $1: $name: exit status $(<"$work/new/$name.status"): $(head -n 1 "$work/new/$name.stderr")"
        elif diff -rq "$work/old/$name" "$work/new/$name"; then
            same=$((same + 1))
        else
            bad=$((bad + 1))
        fi
    done
}

same=0
bad=0
more=0
for checkpoint; do
    rm -rf "$work/old" "$work/new"
    everything "$old" "$work/old" "$checkpoint" cpu
    everything "$new" "$work/new" "$checkpoint" "$device"
    compare "$checkpoint"
done
echo "$# checkpoints: $same outputs the same, $bad different, $more that only the new program writes"
((bad == 0 && same > 0))
