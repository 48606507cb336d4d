#!/bin/bash
# Help, manual page and the three completions list the same options of every command; the manual of octavo has the exit
# statuses of all of them.
. "$ROOT/tests/cli/lib.sh"

for s in bash zsh fish; do
    "$OCTAVO" help --completion $s >"$TMPDIR/$s" || echo "no completion for $s"
done

from_help() {
    "$OCTAVO" help "$1" | sed -nE 's/^ {2}(-[a-zA-Z], | {4})--([a-z0-9-]+).*/\2/p'
}
from_man() {
    "$OCTAVO" help --man "$1" | sed -nE 's/^\.It.* Fl \\-([a-z0-9-]+).*/\1/p'
}
from_bash() {
    sed -nE "s/^    ('?)$1('?)\) words='(.*)' ;;/\3/p" "$TMPDIR/bash" | grep -oE -- '--[a-z0-9-]+' | sed 's/^--//'
}
from_zsh() {
    sed -nE "/^    $1\)$/,/;;/p" "$TMPDIR/zsh" | grep -oE -- "--[a-z0-9-]+(}')?\[" | grep -oE '[a-z][a-z0-9-]*'
}
from_fish() {
    grep -F "__fish_seen_subcommand_from $1'" "$TMPDIR/fish" | grep -oE -- '-l [a-z0-9-]+' | sed 's/^-l //'
}

for c in convert verify inspect unpack diff export tokenize devices bench help; do
    from_help $c | sort >"$TMPDIR/expected"
    echo "$c: $(wc -l <"$TMPDIR/expected") options"
    for way in man bash zsh fish; do
        from_$way $c | sort | diff -u --label help --label "$way of $c" "$TMPDIR/expected" -
    done
done

statuses() {
    "$OCTAVO" help --man "$1" | sed -nE '/^\.Sh EXIT STATUS/,/^\.Sh EXAMPLES/s/^\.It ([0-9]+)$/\1/p'
}
for c in convert verify inspect unpack diff export tokenize devices bench help octavo; do
    # shellcheck disable=SC2046 # one line
    echo "$c: exit status" $(statuses $c)
    [[ $c == octavo ]] || statuses $c >>"$TMPDIR/statuses"
done
sort -nu "$TMPDIR/statuses" | diff -u --label 'all commands' --label octavo - <(statuses octavo)
