#!/bin/bash
# All figures of the conversion on a machine with a GPU, in one run of a few minutes.
#
#     run.sh OCTAVO [OPTION]... [PART]...
#
# Parts, by default all, `disk` only with --disk:
#   bench      `octavo bench --device cuda`, if the program has it
#   kernels    a copy, and block FP8 by Triton and PyTorch: peer_kernels.py
#   convert    the whole mini-shaped model (32.8 GB) from memory to memory, on GPU and CPU; the outputs are compared
#   baseline   the conversion as a typical PyTorch script does it, on the first shards of the same source
#   disk       9 layers (16 GB) from disk to disk, nothing cached, compared with a probe
# Options:
#   --huge            put the files in memory into a tmpfs of huge pages (which is mounted, so only for root)
#   --layers N        of the model in memory (default: all 20, which takes 70 GB of memory)
#   --disk DIR        a directory on the disk to measure; needs 2.1 times the source (34 GB)
#   --disk-layers N   of the model on the disk (default 9)
#   --runs N          of every conversion (default 3; on the disk 2)
#   --out DIR         keep the full figures, as JSON
#
# PYTHON: an interpreter with torch, triton, safetensors and numpy (default python3). LD_LIBRARY_PATH is passed on.
# Memory: the files are in /dev/shm or, if that is too small and root runs this, in a separate tmpfs. If a part fails,
# that is reported and the other parts run; the exit status is then 1.
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$(dirname "$(dirname "$here")")")
python=${PYTHON:-python3}
jobs=$(nproc)

usage() {
    sed -n '4s/^# *//p' "$0" >&2
    exit 2
}

number() {
    [[ $1 =~ ^[1-9][0-9]*$ ]] || usage
}

layers=20 disk='' disk_layers=9 runs=3 out='' huge=''
parts=()
(($# > 0)) || usage
octavo=$(readlink -f "$1")
shift
while (($# > 0)); do
    case $1 in
    bench | kernels | convert | baseline | disk) parts+=("$1") ;;
    --huge) huge=yes ;;
    --layers | --disk | --disk-layers | --runs | --out)
        (($# > 1)) || usage
        case $1 in
        --layers) number "$2" && layers=$2 ;;
        --disk) disk=$2 ;;
        --disk-layers) number "$2" && disk_layers=$2 ;;
        --runs) number "$2" && runs=$2 ;;
        --out) out=$2 ;;
        esac
        shift
        ;;
    *) usage ;;
    esac
    shift
done
[[ -x $octavo ]] || { echo "run.sh: no program: $octavo" >&2 && exit 2; }
((${#parts[@]})) || parts=(bench kernels convert baseline ${disk:+disk})

# ---- cleaning up, whatever happens ----

work=$(mktemp -d) || exit 1
mounted=
scratch=() # directories to remove
clean_up() {
    ((${#scratch[@]} == 0)) || rm -rf "${scratch[@]}"
    [[ -z $mounted ]] || umount "$mounted"
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[[ -n $out ]] || out=$work/out
mkdir -p "$out" || exit 1
rm -f "$out"/{bench,kernels,convert,baseline,disk}.json # the summary is about this run

failed=()
# part NAME COMMAND...: run COMMAND; a failure is remembered, not fatal.
part() {
    local name=$1 begin=$SECONDS
    shift
    echo "== $name"
    "$@" || failed+=("$name")
    echo "   ($((SECONDS - begin)) s)"
}

# ---- space and source ----

gigabytes() {
    echo "$((($1 + 999999999) / 1000000000)) GB"
}

# free_bytes DIR
free_bytes() {
    df --output=avail -B1 "$1" | tail -n 1
}

# room DIR BYTES: DIR must have that much free space.
room() {
    local free
    free=$(free_bytes "$1") || return 1
    if ((free < $2)); then
        echo "$1: $(gigabytes "$2") needed, $(gigabytes "$free") free" >&2
        return 1
    fi
}

# memory_room BYTES: sets $memory, a directory in memory with that much space.
memory=
memory_room() {
    if [[ -z $huge ]] && room /dev/shm "$1" 2>/dev/null; then
        memory=$(mktemp -d -p /dev/shm) || return 1
        scratch+=("$memory")
    else
        # The limit of /dev/shm is half of the memory that the kernel saw when it started, not a lack of memory.
        mkdir -p "$work/memory"
        if ! mount -t tmpfs -o "size=$1${huge:+,huge=always}" tmpfs "$work/memory"; then
            room /dev/shm "$1" # prints what is missing
            return 1
        fi
        mounted=$work/memory memory=$work/memory
    fi
}

# source_bytes LAYERS
source_bytes() {
    "$python" "$root/tests/make_checkpoint.py" --preset ring-mini --layers "$1" -n | sed 's/.* \([0-9]*\) bytes.*/\1/'
}

# make_source LAYERS DIR: shards of 2 GiB, one for each process.
make_source() {
    "$python" "$root/tests/make_checkpoint.py" --preset ring-mini --layers "$1" --shard-bytes 2G --jobs "$jobs" -o "$2"
}

# touch_memory BYTES: the memory of a virtual machine is slow until it has been used once.
touch_memory() {
    local i
    mkdir "$memory/touch" || return 1
    for ((i = 0; i < jobs; i++)); do
        head -c "$(($1 / jobs))" /dev/zero >"$memory/touch/$i" &
    done
    wait
    rm -r "$memory/touch"
}

# outputs_bytes SOURCE_BYTES: two packed files; half of the source each, and the embeddings, which are kept.
outputs_bytes() {
    echo $(($1 + 2 * 700000000))
}

# Once, for both parts that need it: the source, and space for the outputs of two devices.
source=
source_in_memory() {
    local bytes outputs begin=$SECONDS
    [[ -z $source ]] || return 0
    [[ -z $memory ]] || return 1 # tried, and failed
    bytes=$(source_bytes "$layers") && outputs=$(outputs_bytes "$bytes") || return 1
    memory_room $((bytes + outputs)) || return 1
    make_source "$layers" "$memory/source" || return 1
    echo "   source made in $((SECONDS - begin)) s"
    begin=$SECONDS
    touch_memory "$outputs" || return 1
    echo "   memory for the outputs touched in $((SECONDS - begin)) s"
    source=$memory/source
}

# ---- the parts ----

machine() {
    uname -srm
    nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
    sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | sort | uniq -c
    grep -E '^Mem(Total|Available)' /proc/meminfo
    "$octavo" --version
}

run_bench() {
    if ! "$octavo" help bench >/dev/null 2>&1; then
        echo "skipped: this program has no such command"
        return 0
    fi
    "$octavo" bench --json --device cuda | tee "$out/bench.json"
    return "${PIPESTATUS[0]}"
}

run_kernels() {
    "$python" "$here/peer_kernels.py" --seconds 0.5 --json >"$out/kernels.json"
}

# Also measures, in turn with conversions, reading and writing at the same time: the limit of a conversion from memory
# to memory.
run_convert() {
    source_in_memory && "$python" "$here/jobs.py" memory "$octavo" "$source" "$memory" --runs "$runs" \
        --json "$out/convert.json" &&
        "$octavo" bench --device cuda --checkpoint "$source" "$memory" | grep -E 'disk|conversion|bottleneck'
}

run_baseline() {
    source_in_memory || return 1
    "$python" "$here/python_convert.py" "$source" "$memory/script" --max-bytes 8G --json >"$out/baseline.json"
    local code=$?
    rm -rf "$memory/script"
    return "$code"
}

run_disk() {
    local place bytes code
    [[ -n $disk ]] || { echo "--disk DIR is required" >&2 && return 1; }
    bytes=$(source_bytes "$disk_layers") || return 1
    bytes=$((bytes + $(outputs_bytes "$bytes"))) # the second output is the probe's
    mkdir -p "$disk" && room "$disk" "$bytes" && place=$(mktemp -d -p "$disk") || return 1
    scratch+=("$place")
    make_source "$disk_layers" "$place/source" || return 1
    "$python" "$here/jobs.py" disk "$octavo" "$place/source" "$place" --runs 2 --seconds 45 --json "$out/disk.json"
    code=$?
    rm -rf "$place"
    return "$code"
}

machine
for name in "${parts[@]}"; do
    part "$name" "run_$name"
done
echo "== summary"
"$python" "$here/jobs.py" report "$out"
if ((${#failed[@]} > 0)); then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
