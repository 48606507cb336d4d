#!/bin/bash
# Standard output that cannot be written is an error, however late it occurs; a closed pipe ends inspect silently.
. "$ROOT/tests/cli/lib.sh"
[[ -w /dev/full ]] || skip 'no /dev/full'
tiny checkpoint
mkdir model
cp "$TESTDATA/ring-micro-linear/tokenizer.json" model
quietly convert checkpoint -o good.octavo

full() {
    echo "\$ octavo $* >/dev/full"
    local status=0
    "$OCTAVO" "$@" >/dev/full 2>"$TMPDIR/stderr" || status=$?
    mask -e 's/^/  ! /' "$TMPDIR/stderr"
    echo "  exit status $status"
}
full help
full -V
full help --man convert
full help --completion zsh
full inspect good.octavo
full inspect good.octavo --json
full inspect checkpoint --recipe
full tokenize model
full devices
full devices --json
full verify good.octavo
full verify good.octavo --json
full convert checkpoint -o out.octavo
full convert checkpoint -o out.octavo -n
full verify good.octavo -q
quietly convert "$TESTDATA/ring-micro-linear" -o long.octavo # its output does not fit into a buffer
full inspect long.octavo
full inspect long.octavo --json
rm long.octavo
files .

say 'a non-blocking pipe and a slow reader'
through_pipe() {
    "$PYTHON" - "$OCTAVO" "$@" <<'END'
import fcntl, os, subprocess, sys, time
plain = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE).stdout
end, pipe = os.pipe()
fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
os.set_blocking(pipe, False)
run = subprocess.Popen(sys.argv[1:], stdout=pipe)
time.sleep(0.2)
print("the pipe blocks now" if os.get_blocking(pipe) else "the pipe still does not block")
os.close(pipe)
slow = b""
while data := os.read(end, 3000):
    slow += data
print("all arrived" if slow == plain and len(plain) > 4096 else f"{len(slow)} of {len(plain)} bytes arrived")
print("exit status", run.wait())
END
}
through_pipe inspect "$TESTDATA/ring-micro-linear" --json
through_pipe help --man convert

say 'a reader that goes away'
"$OCTAVO" inspect good.octavo --json 2>&1 | true
[[ ${PIPESTATUS[0]} == 0 || ${PIPESTATUS[0]} == 141 ]] && echo 'silence'
"$OCTAVO" bench --size 1M --device cpu 2>"$TMPDIR/stderr" | head -n 1 >"$TMPDIR/head"
echo "bench: exit status ${PIPESTATUS[0]}"
cat "$TMPDIR/stderr"
files .
