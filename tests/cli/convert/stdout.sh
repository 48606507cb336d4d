#!/bin/bash
# The packed file on standard output: the bytes of the file, the report on standard error, and what a reader can tell of
# a failure.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
cp -rL "$TESTDATA/ring-micro-linear" micro
quietly convert checkpoint -o tiny.octavo
quietly convert micro -o micro.octavo

# stream FILE ARGUMENTS: octavo with standard output into FILE.
stream() {
    local status=0 file=$1
    shift
    echo "\$ octavo $* >$file"
    "$OCTAVO" "$@" >"$file" 2>"$TMPDIR/stderr" || status=$?
    mask -e 's/^/  ! /' "$TMPDIR/stderr"
    echo "  exit status $status"
}

say 'a file, a pipe, options'
stream out convert checkpoint -o -
same out tiny.octavo
stream out convert checkpoint -o - -v --device cpu
same out tiny.octavo
stream out convert checkpoint -o - -q -f --no-read-back
same out tiny.octavo
for threads in 1 2 3 8; do
    "$OCTAVO" convert micro -o - --device cpu -q --threads $threads | cat >out
    same out micro.octavo
done
stream out convert checkpoint -o - --digest sha256 --scales ue8m0 -q
quietly verify out

say 'nothing but a plan'
octavo convert checkpoint -o - -n

say 'into verify: one root'
"$OCTAVO" convert micro -o - --device cpu 2>"$TMPDIR/report" | "$OCTAVO" verify - >"$TMPDIR/check"
echo "exit status ${PIPESTATUS[*]}"
mask "$TMPDIR/report" "$TMPDIR/check"
sed -n '/^root /p' "$TMPDIR/report" "$TMPDIR/check" | uniq | wc -l

say 'refused'
octavo convert checkpoint -o - --json
cp checkpoint/config.json config.json
echo '$ octavo convert checkpoint -o - >>checkpoint/config.json'
{ "$OCTAVO" convert checkpoint -o - --device cpu >>checkpoint/config.json; } 2>&1
echo "  exit status $?"
same config.json checkpoint/config.json

say 'a name of its own'
octavo convert checkpoint -o ./- -q
same ./- tiny.octavo

say 'full, broken, and somebody who ignores the signal'
stream /dev/full convert checkpoint -o -
"$OCTAVO" convert micro -o - --device cpu 2>"$TMPDIR/stderr" | head -c 1000 >"$TMPDIR/head"
echo "exit status ${PIPESTATUS[0]}: $(cat "$TMPDIR/stderr")"
(
    trap '' PIPE
    "$OCTAVO" convert micro -o - --device cpu 2>"$TMPDIR/stderr"
    echo "$?" >"$TMPDIR/status"
) | head -c 1000 >"$TMPDIR/head"
echo "exit status $(cat "$TMPDIR/status"): $(cat "$TMPDIR/stderr")"

say 'a failure on the way: what was written is no packed file'
tiny bad --plant model.layers.1.self_attn.o_proj.weight 7 007c
stream out convert bad -o -
octavo verify out 2>&1 | sed 's/found [0-9]*.*/found N/'

say 'a signal, while nobody reads'
mkfifo fifo
exec 3<>fifo
"$OCTAVO" convert micro -o - --device cpu >fifo 2>"$TMPDIR/stderr" &
until_it_catches $!
kill -TERM $!
wait $! 2>"$TMPDIR/none"
echo "exit status $?: $(cat "$TMPDIR/stderr")"
exec 3>&-
files
