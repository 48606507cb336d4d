#!/bin/bash
# Completions: the one for bash is run, the others are parsed if their shell is installed.
. "$ROOT/tests/cli/lib.sh"

for s in bash zsh fish; do
    "$OCTAVO" help --completion $s >"$TMPDIR/$s"
done
! command -v zsh >/dev/null || zsh -n "$TMPDIR/zsh"
! command -v fish >/dev/null || fish -n "$TMPDIR/fish"

# shellcheck disable=SC1091 # made above
. "$TMPDIR/bash"
# complete_words WORD...: the completions that bash offers for the last word.
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _octavo
    echo "$*: ${COMPREPLY[*]-}"
}
complete_words octavo ''
complete_words octavo i
complete_words octavo convert --s
complete_words octavo convert --scales ''
complete_words octavo convert --scales = u
complete_words octavo convert --scales =
complete_words octavo convert -o ''
complete_words octavo convert ''
complete_words octavo verify file --q
complete_words octavo verify --only ''
complete_words octavo verify --keep
complete_words octavo help v
complete_words octavo help --completion ''
