#!/bin/bash
# -n prints the plan and touches nothing.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
touch -d 2001-01-01 checkpoint/* checkpoint
quietly convert checkpoint -o out.octavo

# state: everything that a run could change here.
state() {
    find . -printf '%p %y %s %i %m %T@ %C@\n' | sort
}
state >"$TMPDIR/before"

say 'the plan, with layers folded and unfolded'
octavo convert checkpoint -o new.octavo -n --threads 2
octavo convert checkpoint -o new.octavo -n -v --threads 1 --memory 100M --scales ue8m0 --keep '*q_proj*'

say 'it finds the same faults'
octavo convert checkpoint -o new.octavo -n --keep nothing
octavo convert checkpoint -o new.octavo -n --keep '*'
octavo convert checkpoint -o new.octavo -n --memory 1
octavo convert missing -o new.octavo -n

say 'and says nothing of the output, which is not touched'
octavo convert checkpoint -o out.octavo -n -f -q
octavo convert checkpoint -o missing/new.octavo -n -q

say 'the plan tells the size of the file'
planned=$("$OCTAVO" convert checkpoint -o new.octavo -n --json |
    "$PYTHON" -c 'import json, sys; print(json.load(sys.stdin)["plan"]["output_bytes"])')
[[ $planned == $(stat -c %s out.octavo) ]] && echo "right: $planned bytes"

state | diff - "$TMPDIR/before" && echo 'nothing was touched'
