#!/bin/bash
# A sample of what `make gate` tries: planted faults are found and named, other tools' rounding is judged by its error,
# and a file without a fault gives no alarm. tests/gate/gate.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
thin=${THIN:-1}
# sample N COMMAND MODEL...: every N-th case
sample() {
    THIN=$(($1 * thin)) "$PYTHON" "$ROOT/tests/gate/gate.py" "${@:2}" >report 2>&1 || { cat report && exit 1; }
}
sample 6 faults micro llama qwen3
sample 12 rounding micro
sample 5 alarms micro
exit 0
