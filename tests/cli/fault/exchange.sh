#!/bin/bash
# Somebody gives the name of a source to another good file, as convert -f does: the result is that of the one or of the
# other, never a mixture. tests/fault/exchange.py does it and prints what went wrong.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the opens of files are counted here, not what sanitizers see'
mkdir exchange
cd exchange && THIN=${THIN:-8} "$PYTHON" "$ROOT/tests/fault/exchange.py" || exit 1
cd ..

# The report of a conversion is about the file that was written, whatever has its name by then: it is not opened again.
tiny checkpoint
for options in '--json' '-v'; do
    strace -f -qq -o trace -e trace=openat "$OCTAVO" convert checkpoint -o out.octavo -f --device cpu "$options" >report 2>&1 ||
        cat report
    grep -q '"sqnr"\|SQNR' report || echo "$options: no error of each tensor"
    grep '[/"]out\.octavo"' trace && echo "$options: opened by its name" && exit 1
done
exit 0
