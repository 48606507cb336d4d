#!/bin/bash
# Help: its text, that every way to ask for it gives the same text, and that it fits a terminal.
. "$ROOT/tests/cli/lib.sh"

octavo
octavo help
octavo help verify
octavo help inspect
octavo help tokenize
octavo help devices
octavo help bench
octavo help help

say 'every way to ask'
for c in convert verify inspect export tokenize devices bench help; do
    "$OCTAVO" help $c >"$TMPDIR/$c"
    for way in "$c -h" "$c --help" "help -- $c" "$c -h operand another"; do
        # shellcheck disable=SC2086 # words on purpose
        "$OCTAVO" $way | cmp - "$TMPDIR/$c" || echo "octavo $way differs"
    done
done
for way in -h --help 'help octavo' 'help'; do
    # shellcheck disable=SC2086
    "$OCTAVO" $way | cmp - <("$OCTAVO" help) || echo "octavo $way differs"
done

say 'lines of more than 80 columns'
for c in octavo convert verify inspect export tokenize devices bench help; do
    "$OCTAVO" help $c | grep -nE '.{81}'
done

say 'topics that do not exist'
octavo help veriyf
octavo help --completion csh
octavo help --completion bash verify
octavo help convert verify
