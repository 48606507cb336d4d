#!/bin/bash
# A file that cannot be read back past the page cache is read through it, and the report says so.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the leak checker cannot work under strace'
cp -rL "$TESTDATA/ring-micro-linear" checkpoint # has matrices large enough to be read past the page cache
export OCTAVO_SANDBOX=off
failed=0

# reads FROM [TAMPERING...]: the report of a conversion under strace with these options.
reads() {
    local from=$1 convert=(convert checkpoint -o out.octavo -f --device cpu --progress never) note=0
    shift
    strace -f -qq -o trace "$@" "$OCTAVO" "${convert[@]}" --json >report 2>&1 || cat report
    grep -qF "\"read_back\":true,\"read_back_from\":\"$from\"" report || fail "$*: $(grep -o '"read_back[^,]*' report)"
    strace -f -qq -o trace "$@" "$OCTAVO" "${convert[@]}" >report 2>&1
    grep -q '^read back through the page cache' report && note=1
    [[ $from == 'page cache' ]] && ((!note)) && fail "$*: it does not say so: $(cat report)"
    [[ $from != 'page cache' ]] && ((note)) && fail "$*: $(cat report)"
}
fail() {
    echo "$*"
    failed=1
}

"$OCTAVO" convert checkpoint -o out.octavo -f --device cpu --json >report
if [[ $(stat -f -c %T .) == tmpfs ]]; then
    reads memory -e trace=none
elif grep -qF '"read_back_from":"disk"' report; then # a file system that supports it
    part=$(strace -f -qq -o trace -e trace=openat "$OCTAVO" convert checkpoint -o out.octavo -f --device cpu -q &&
        grep -oE '/proc/self/fd/[0-9]+' trace | head -n 1)
    reads disk -e trace=none
    reads 'page cache' -P "$part" -e trace=openat -e inject=openat:error=EINVAL
    reads 'page cache' -e trace=fadvise64 -e inject=fadvise64:error=EINVAL
    reads 'page cache' -e trace=fadvise64 -e inject=fadvise64:retval=0
else
    reads 'page cache' -e trace=none
fi
"$OCTAVO" convert checkpoint -o out.octavo -f --no-read-back --device cpu --json >report
grep -qF '"read_back":false,"read_back_from":null' report || fail "not read back: $(cat report)"
exit $failed
