#!/bin/bash
# Convert checkpoints with octavo and compare the results with the second reader, quantizer and writer.
#
#     check.sh CHECKPOINT...
#
# PYTHON: the interpreter (default /usr/bin/python3), OCTAVO: the tool (default build/octavo),
# NEED_ML_DTYPES: not empty if the oracle requires ml_dtypes. Each checkpoint is converted with both scale
# formats, the first two in every dialect and under the older built-in rules, the first one also with other
# options. Every check prints a line if it fails; the last line counts the checks.
set -u
here=$(dirname "$(readlink -f "$0")")
python=${PYTHON:-/usr/bin/python3}
oracle=("$python" "$here/oracle.py")
[ -z "${NEED_ML_DTYPES:-}" ] || oracle+=(--need-ml-dtypes)
octavo=$(readlink -f "${OCTAVO:-build/octavo}")
export PYTHONDONTWRITEBYTECODE=1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0

# expect WHAT COMMAND...: run COMMAND; its output is shown only if it fails.
expect() {
    local what=$1 status=0
    shift
    "$@" >"$scratch/log" 2>&1 || status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $what: exit status $status"
        sed 's/^/    /' "$scratch/log" | head -n 25
    fi
}

inspect_json() {
    "$octavo" inspect --json "$1" >"$2"
}

# check_unpack NAME FILE CHECKPOINT SCALES: unpack FILE in each form, and compare. In the checkpoint of all dtypes
# nothing is quantized.
check_unpack() {
    local form options nothing=()
    [ "$(basename "$3")" != dtypes ] || nothing=(nothing)
    rm -rf "$scratch/unpacked"
    mkdir "$scratch/unpacked"
    for form in stored f32 bf16; do
        options=()
        [ $form = stored ] || options=(--dequantize "$form")
        expect "$1: unpack, $form" "$octavo" unpack "$2" -o "$scratch/unpacked/$form" -q "${options[@]}"
        expect "$1: unpacked, $form" "$python" "$here/check_unpacked.py" $form "$4" \
            "$scratch/unpacked/$form" "$3" "${nothing[@]}"
    done
    expect "$1: diff, unpacked" "$octavo" diff "$2" "$scratch/unpacked/stored"
    expect "$1: diff, source" "$octavo" diff "$3" "$2"
}

# check NAME CHECKPOINT OPTIONS_OF_THE_TOOL -- OPTIONS_OF_THE_PYTHON_WRITER
check() {
    local name=$1 checkpoint=$2 tool_options=()
    shift 2
    while [ "$1" != -- ]; do
        tool_options+=("$1")
        shift
    done
    shift
    local ours=$scratch/ours.octavo theirs=$scratch/theirs.octavo shown=$scratch/inspect.json
    rm -f "$ours" "$theirs" "$shown"
    expect "$name: convert" "$octavo" convert "$checkpoint" -o "$ours" -q "${tool_options[@]}"
    [ -e "$ours" ] || return
    expect "$name: inspect --json" inspect_json "$ours" "$shown"
    expect "$name: reader agrees with inspect" \
        "$python" "$here/read_packed.py" --inspect "$shown" "$ours"
    expect "$name: oracle" "${oracle[@]}" "$ours" "$checkpoint"
    expect "$name: second writer" "$python" "$here/write_packed.py" "$checkpoint" -o "$theirs" "$@"
    expect "$name: same bytes from both writers" cmp "$ours" "$theirs"
}

[ -x "$octavo" ] || { echo "$0: no tool at $octavo" >&2; exit 2; }
expect "oracle self-test" "${oracle[@]}" --self-test
check "$(basename "$1") --digest sha256" "$1" --digest sha256 --source-sha256 -- \
    --digest sha256 --source-sha256
check "$(basename "$1") with rules" "$1" --keep '*.g_proj.*' \
    --quantize '*[.]layers.[!2-9].*gate.weight' --keep 'model.layers.3.*' -- \
    --rules '[{"action":"keep","match":"*.g_proj.*"},
              {"action":"quantize","match":"*[.]layers.[!2-9].*gate.weight"},
              {"action":"keep","match":"model.layers.3.*"}]'
echo '{"octavo_recipe":1,"built_in":1}' >"$scratch/set1.json"
for checkpoint in "${@:1:2}"; do
    check "$(basename "$checkpoint") under set 1" "$checkpoint" --recipe "$scratch/set1.json" -- --built-in 1
done
# The first two in every dialect; linghe has f32 scales only for 16-bit sources, which the first one has.
for checkpoint in "${@:1:2}"; do
    for dialect in deepgemm transformers transformer-engine compressed-tensors linghe; do
        for scales in f32 ue8m0; do
            [ "$dialect $scales" != "compressed-tensors ue8m0" ] || continue
            [ "$dialect $scales" != "linghe f32" ] || [ "$checkpoint" = "$1" ] || continue
            check "$(basename "$checkpoint") $dialect $scales" "$checkpoint" --dialect "$dialect" \
                --scales $scales -- --dialect "$dialect" --scales $scales
        done
    done
done
for checkpoint in "$@"; do
    for scales in f32 ue8m0; do
        check "$(basename "$checkpoint") $scales" "$checkpoint" --scales $scales -- --scales $scales
        check_unpack "$(basename "$checkpoint") $scales" "$scratch/ours.octavo" "$checkpoint" $scales
    done
done
echo "interop: $passed passed, $failed failed"
[ "$failed" = 0 ]
