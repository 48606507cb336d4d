#!/bin/bash
# Every allocation fails, once and from then on, the address space is too small by little and by much, and reads and writes
# move a few bytes at a time.
# tests/fault/sweep_alloc.py and sweep.py do it and print what went wrong.
. "$ROOT/tests/cli/lib.sh"
export SHIM=$TMPDIR/shim.so
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
thin=16
is_sanitized && thin=64
for mode in once forever; do
    mkdir $mode
    (cd $mode && THIN=$thin "$PYTHON" "$ROOT/tests/fault/sweep_alloc.py" $mode) || exit 1
done
is_sanitized && exit 0 # the rest is for the allocator that sanitizers replace
fault_sweep short

# tight KILOBYTES ARGUMENTS: octavo in so much address space ends well and prints the same, or ends with status 8; it leaves
# nothing behind.
tight() {
    local kilobytes=$1 status=0
    shift
    rm -rf out.octavo out.dir
    (ulimit -v "$kilobytes" && exec "$OCTAVO" "$@" "${threads[@]}") >printed 2>complaint || status=$?
    case $status in
    0) cmp -s printed usual || fail "$kilobytes: $1 prints something else" ;;
    8) grep -qE 'memory|cannot start thread' complaint && [[ ! -e out.octavo && ! -e out.dir ]] || fail "$kilobytes: $1: $(cat complaint)" ;;
    139) crashes_before_main "$kilobytes" || fail "$kilobytes: $1: crashed" ;;
    127) grep -qE 'loading shared libraries|cannot allocate TLS' complaint || fail "$kilobytes: $1: status 127" ;;
    *) fail "$kilobytes: $1: status $status: $(cat complaint)" ;;
    esac
    [[ ! -e .out.octavo.part && ! -e .out.dir.part ]] || fail "$kilobytes: $1: a temporary file was left"
    [[ ! -e out.octavo ]] || cmp -s out.octavo old.octavo || fail "$kilobytes: $1: other bytes"
    [[ ! -e out.dir ]] || diff -rq out.dir usual.dir || fail "$kilobytes: $1: other files"
    ended[$status]=1
}
# crashes_before_main KILOBYTES: so does --version, which needs nothing. The CUDA runtime, which is linked into the program,
# does not check what it allocates in its constructor.
crashes_before_main() {
    local status=0
    (ulimit -v "$1" && exec "$OCTAVO" --version) >/dev/null 2>&1 || status=$?
    ((status == 139))
}
fail() {
    echo "address space $1"
    failed=1
}
# range FIRST STEP LAST ARGUMENTS
range() {
    local first=$1 step=$2 last=$3 kilobytes
    shift 3
    declare -A ended=()
    rm -rf out.dir usual.dir
    "$OCTAVO" "$@" "${threads[@]}" >usual
    [[ ! -e out.dir ]] || mv out.dir usual.dir
    for ((kilobytes = first; kilobytes <= last; kilobytes += step)); do
        tight $kilobytes "$@"
    done
    [[ -n ${ended[0]-} && -n ${ended[8]-} ]] || fail "$1: never too small, or never enough"
}
failed=0
threads=(--threads 2)
tiny checkpoint
quietly convert checkpoint -o old.octavo --threads 2
range 40000 2500 200000 convert checkpoint -o out.octavo -q --device cpu
range 40000 500 60000 verify old.octavo -q
echo 'a b' >text
echo '{"model": {"vocab": {"a": 0, "b": 1, " ": 2, "\n": 3}, "merges": []}}' >tokenizer.json
threads=()
range 40000 100 52000 inspect old.octavo
range 40000 4000 104000 tokenize tokenizer.json --text text
threads=(--threads 2)
range 40000 250 52000 diff old.octavo checkpoint
range 40000 250 52000 export old.octavo --for bf16 -o out.dir -q
range 40000 100 52000 unpack old.octavo -o out.dir -q
exit $failed
