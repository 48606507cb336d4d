#!/bin/bash
# A packed file on standard input: what is found is what would be found in the file.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o good.octavo --scales ue8m0
size=$(stat -c %s good.octavo)

# feed FILE ARGUMENTS: through a pipe.
feed() {
    local file=$1
    shift
    echo "\$ cat $file | octavo $*"
    cat "$file" | under "$OCTAVO" "$@"
}

say 'whole: a pipe, a file, a file from somewhere in it'
feed good.octavo verify -
feed good.octavo verify - --threads 3 --memory 8M -q
feed good.octavo verify - --only structure,digests -q
echo '$ octavo verify - <good.octavo'
under "$OCTAVO" verify - <good.octavo
(echo prefix && cat good.octavo) >behind
echo '$ octavo verify - <behind, 7 bytes on'
{
    read -r _
    under "$OCTAVO" verify - -q
} <behind
cat good.octavo | "$OCTAVO" verify - --json | sed -E 's/"(seconds|root)":[^,}]*/"\1":X/g'

say 'damaged'
cp good.octavo bad
flip bad $((size - 20000))
flip bad 70000
feed bad verify -
octavo verify bad
cp good.octavo bad
flip bad 600
feed bad verify -
cat bad | "$OCTAVO" verify - --json 2>"$TMPDIR/stderr" | sed -E 's/"seconds":[^,}]*/"seconds":X/g'

say 'too short, too long'
for length in 0 3 4096 50000 $((size - 4096)) $((size - 1)); do
    head -c "$length" good.octavo >bad
    feed bad verify -
done
(cat good.octavo && echo more) >bad
feed bad verify -
(cat good.octavo good.octavo) >bad
feed bad verify -

say 'without an end'
# endless WHAT...: octavo itself must come to an end, and a signal would end it.
endless() {
    echo "\$ $1, and no end | octavo verify - --memory 64M"
    { eval "$2"; cat /dev/zero; } 2>&1 | under timeout 60 "$OCTAVO" verify - --memory 64M
}
endless 'nothing' :
endless 'a packed file' 'cat good.octavo'
endless 'the beginning of one' 'head -c 20 good.octavo'
endless 'its head' 'head -c 8192 good.octavo; head -c 70000 /dev/zero'

say 'no packed file'
feed checkpoint/config.json verify -
feed checkpoint/model-00001-of-00002.safetensors verify -

say 'what a stream cannot do'
for option in '--against checkpoint' --quick '--only structure' '--tensor *norm*' '--forward --text good.octavo'; do
    # shellcheck disable=SC2086 # an option and its value
    feed good.octavo verify - $option
done
feed good.octavo inspect -
echo '$ octavo verify - <&-'
under "$OCTAVO" verify - <&-

say 'a signal, while nothing comes'
mkfifo fifo
exec 3<>fifo
"$OCTAVO" verify - <fifo 2>"$TMPDIR/stderr" &
until_it_catches $!
kill -TERM $!
wait $! 2>"$TMPDIR/none"
echo "exit status $?: $(cat "$TMPDIR/stderr")"
exec 3>&-
files
