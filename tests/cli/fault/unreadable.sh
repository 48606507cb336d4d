#!/bin/bash
# Output directories that may be written but not read: no descriptor of them can be synced, so their file system is. If that fails,
# it is an error; without it the run would end well, and a power cut could take the file away.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the leak checker cannot work under strace'
tiny checkpoint
mkdir checkpoint/additional_chat_templates
echo text >checkpoint/additional_chat_templates/a.jinja
quietly convert checkpoint -o model.octavo
cp "$OCTAVO" octavo.copy
chmod 777 .
as_nobody ./octavo.copy -V >"$TMPDIR/version" 2>&1 || skip 'cannot run octavo as another user'
failed=0

# writes WHERE ARGUMENTS: octavo ends well when it has synced the file system of the directory WHERE, which may not be read, and with
# status 3 when that fails at the end.
writes() {
    local where=$1 status n
    shift
    for n in 0 last; do
        rm -rf room
        mkdir -p room/additional_chat_templates
        chmod 777 room room/additional_chat_templates
        chmod 333 "$where"
        local inject=()
        [[ $n == last ]] && inject=(-e "inject=syncfs:error=EIO:when=$(grep -c "syncfs(" trace)")
        rm -f trace
        status=0
        as_nobody strace -f -qq -o trace -e trace=syncfs "${inject[@]}" ./octavo.copy "$@" >printed 2>complaint || status=$?
        chmod 755 "$where"
        if [[ $n == 0 ]]; then
            ((status == 0)) && grep -q 'syncfs.* = 0' trace || fail "$*: status $status: $(cat complaint trace)"
        else
            ((status == 3)) && grep -q 'cannot sync its file system: Input/output error' complaint ||
                fail "$*: status $status when it cannot be synced: $(cat complaint trace)"
        fi
    done
}
fail() {
    echo "$*"
    failed=1
}

writes room convert -q --device cpu --threads 1 checkpoint -o room/out.octavo
writes room unpack -q model.octavo -o room/whole
writes room unpack -q -f model.octavo -o room
writes room/additional_chat_templates unpack -q -f model.octavo -o room
writes room export -q --for vllm --allow-unloadable model.octavo -o room/exported
exit $failed
