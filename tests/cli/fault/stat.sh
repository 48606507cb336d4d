#!/bin/bash
# Whatever asks the system about a file and gets no answer ends with status 3: a failure is neither "there is none" nor "it is
# another file". Every such call on a file that matters fails in turn; so does every attempt to open a model to see what it is.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'sanitizers make system calls of their own'
failed=0
error=EIO
calls=%%stat
named='^$' # what may be printed instead of the usual output

# each_stat PATH ARGUMENTS, with each of the calls: octavo ends with status 3 and the words of the error, or as usual.
each_stat() {
    local path=$1 n status usual=0
    shift
    prepare
    "$OCTAVO" "$@" >usual 2>complaint || usual=$?
    ended >>usual
    for ((n = 1; n < 60; n++)); do
        prepare
        status=0
        strace -f -qq -o trace -P "$path" -e trace="$calls" -e "inject=$calls:error=$error:when=$n" \
            "$OCTAVO" "$@" >printed 2>complaint || status=$?
        ended >>printed
        grep -q INJECTED trace || break
        { ((status == usual)) && { cmp -s usual printed || grep -q "$named" printed; }; } ||
            { ((status == 3)) && grep -qE 'Input/output error|Permission denied|Too many open files' complaint; } ||
            fail "$*: call $n on $path: status $status: $(cat complaint)"
    done
    ((n > 1 && n < 60)) || fail "$*: $((n - 1)) calls on $path"
}
fail() {
    echo "$*"
    failed=1
}
# What lies there before and after.
prepare() {
    rm -rf out pipe linked
    cp old.octavo out
    chmod 600 out
    mkfifo pipe
    ln -s pipe linked
    ln -f kept.json recipe.json
}
ended() {
    stat -c '%n %F %a' out pipe linked
}

tiny checkpoint
echo text >checkpoint/notes.txt
mkdir checkpoint/other
echo text >checkpoint/other/notes.txt
mkdir -p hub/refs hub/snapshots
cp -r checkpoint hub/snapshots/abc
printf abc >hub/refs/main
quietly convert checkpoint -o old.octavo
echo '{"octavo_recipe": 1, "rules": []}' >kept.json
prepare
convert=(convert -q --device cpu --threads 1)

# what is not embedded is listed, or it is an error
for error in EACCES EIO; do
    each_stat checkpoint/notes.txt convert checkpoint -n --json --threads 1
done
named='"other/"' # instead of what is in it
each_stat checkpoint/other convert checkpoint -n --json --threads 1
named='^$'
# a directory of the hub is one
each_stat hub/refs inspect hub --json
each_stat hub/snapshots inspect hub --json
# an output is no input
each_stat checkpoint/config.json "${convert[@]}" checkpoint -o checkpoint/config.json -f
each_stat kept.json "${convert[@]}" checkpoint --recipe kept.json -o recipe.json -f
# a link to a pipe stays, a private file stays private
each_stat linked "${convert[@]}" checkpoint -o linked -f
each_stat out "${convert[@]}" checkpoint -o out -f
# what kind of model an operand is: its name does not say
calls=openat
cp old.octavo packed
tar -cf archive checkpoint
cp checkpoint/model-00001-of-00002.safetensors one.safetensors
error=EIO
each_stat packed inspect packed --json
each_stat packed inspect packed --recipe
each_stat packed diff packed packed -q
each_stat archive inspect archive --json
each_stat one.safetensors inspect one.safetensors --recipe
error=EMFILE
each_stat packed inspect packed --json
calls=pread64
error=EIO
each_stat packed inspect packed --json
each_stat checkpoint/LICENSE verify checkpoint/LICENSE
exit $failed
