#!/bin/bash
# Which of two packed files is nearer to their source?
. "$ROOT/tests/cli/lib.sh"
ln -s "$TESTDATA/ring-micro-linear" source
quietly convert source -o micro.octavo
quietly convert source -o powers.octavo --scales ue8m0
"$PYTHON" "$ROOT/tests/plant_fault.py" scale model.layers.2.attention.dense.weight micro.octavo bad.octavo

# compare A B ARGUMENT...: only what is said of the two, and the verdict
compare() {
    octavo verify "$1.octavo" --against source --only forward --text text --length 32 --versus "$2.octavo" "${@:3}" |
        grep 'versus\|gate:'
}
head -c 4000 "$ROOT/LICENSE" >text

say 'a file and itself'
compare micro micro
say 'two forms of scales'
compare micro powers
say 'a fault: of few sequences nothing is said'
compare micro bad --sequences 4
compare micro bad
compare bad micro
say 'what it needs'
octavo verify micro.octavo --only forward --text text --versus powers.octavo
octavo verify micro.octavo --against source --versus powers.octavo
octavo verify micro.octavo --against source --only forward --text text --versus nowhere.octavo
