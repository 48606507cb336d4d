#!/bin/bash
# Every allocation fails in turn, the address space is too small by little and by much, and reads and writes move a few
# bytes at a time.
# tests/fault/sweep.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
is_sanitized && skip 'sanitizers have an allocator of their own'
export SHIM=$TMPDIR/shim.so
"${CC:-cc}" -std=c11 -D_GNU_SOURCE -O2 -shared -fPIC -o "$SHIM" "$ROOT/tests/fault/shim.c" || exit 1
fault_sweep memory
fault_sweep short

# tight KILOBYTES: a conversion in so much address space ends well or with status 8, and leaves nothing behind.
tight() {
    local status=0
    rm -f out.octavo
    (ulimit -v "$1" && exec "$OCTAVO" convert checkpoint -o out.octavo -q --threads 2 --device cpu) 2>complaint || status=$?
    case $status in
    0) cmp -s out.octavo old.octavo || fail "$1: other bytes" ;;
    8) grep -qE 'memory|cannot start thread' complaint && [[ ! -e out.octavo ]] || fail "$1: $(cat complaint)" ;;
    127) grep -q 'error while loading shared libraries' complaint || fail "$1: status 127" ;;
    *) fail "$1: status $status: $(cat complaint)" ;;
    esac
    [[ ! -e .out.octavo.part ]] || fail "$1: a temporary file was left"
    ended[$status]=1
}
fail() {
    echo "address space $1"
    failed=1
}
failed=0
declare -A ended
tiny checkpoint
quietly convert checkpoint -o old.octavo --threads 2
for ((kilobytes = 50000; kilobytes <= 200000; kilobytes += 2500)); do
    tight $kilobytes
done
[[ -n ${ended[0]-} && -n ${ended[8]-} ]] || fail 'never too small, or never enough'
exit $failed
