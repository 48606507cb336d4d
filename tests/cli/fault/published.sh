#!/bin/bash
# Once an output has its name, somebody may move it away or put another file in its place; the report is that of the run all the same.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the leak checker cannot work under strace'
tiny checkpoint
quietly convert checkpoint -o other.octavo --scales ue8m0
zeros few model.layers.0.mlp.up_proj.weight:128x128
quietly convert few -o few.octavo
echo 'not a packed file' >text
failed=0
fail() {
    echo "$*"
    failed=1
}

# report FILE: what octavo printed, an object of --json without times.
report() {
    if [[ $(head -c 1 "$1") == '{' ]]; then
        "$PYTHON" -c 'import json, re, sys
print(re.sub(r"\"[a-z_]*(seconds|per_s|peak_memory_bytes)\": [^,}]*", "", json.dumps(json.load(sys.stdin))))' <"$1"
    else
        mask "$1"
    fi
}

# replaced CHANGE ARGUMENTS: octavo, which stops when a file has got its name; CHANGE is done, and it goes on.
replaced() {
    local change=$1 calls=rename,renameat,renameat2 pid='' status=0
    shift
    : >trace
    rm -f out.octavo
    strace -f -qq -o trace -e trace=$calls -e inject=$calls:signal=STOP "$OCTAVO" "$@" >printed 2>complaint &
    until [[ $pid ]]; do
        kill -0 $! 2>/dev/null || { fail "$*: it never stopped"; return; }
        pid=$(sed -n 's/^\([0-9]*\) .*--- stopped by SIGSTOP ---$/\1/p' trace | head -n 1)
        sleep 0.01
    done
    $change
    kill -CONT "$pid"
    wait $! || status=$?
    ((status == 0)) && [[ -z $(mask complaint) ]] || fail "$*, $change: status $status, $(cat complaint)"
    report printed | cmp -s - usual || fail "$*, $change: another report: $(report printed | diff usual - | head -n 4)"
}
other() { mv other.octavo out.octavo; }
fewer() { cp few.octavo new && mv new out.octavo; }
no_packed() { cp text new && mv new out.octavo; }
gone() { mv out.octavo away; }

for form in -v --json; do
    command=(convert checkpoint -o out.octavo --device cpu --progress never "$form")
    rm -f out.octavo
    "$OCTAVO" "${command[@]}" >printed 2>complaint || fail "$(cat complaint)"
    report printed >usual
    for change in gone fewer no_packed other; do
        cp other.octavo kept
        replaced "$change" "${command[@]}"
        mv kept other.octavo
    done
done
exit $failed
