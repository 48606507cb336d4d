#!/bin/bash
# Print the C sources that a check of single files has to look at again since it saw all of them in COMMIT: those that were
# changed, and those that include a changed file, directly or through others. Not yet committed changes count. All sources,
# if COMMIT is empty or not known here, or if the rules of the check were changed.
#
#     tests/lint_changed.sh COMMIT      at the top of a work tree
set -u -o pipefail

all() {
    git ls-files '*.c'
    exit
}
# The analyzer's header is included by option.
rules='^(\.clang-tidy|tests/analyzer\.h)$'

git cat-file -e "$1^{commit}" 2>/dev/null || all

since=$({
    git diff --name-only "$1" --
    git ls-files --others --exclude-standard
    echo
    # FILE:#include "PATH"; paths are from the root.
    git grep --untracked -E '^ *# *include "' -- '*.c' '*.h' '*.cu' '*.cuh'
} | awk -F '"' '
    !edges { if ($0 == "") edges = 1; else changed[$0] = 1; next }
    { split($1, file, ":"); from[++n] = file[1]; to[n] = $2 }
    END {
        do {
            more = 0
            for (i = 1; i <= n; i++)
                if (to[i] in changed && !(from[i] in changed)) more = changed[from[i]] = 1
        } while (more)
        for (f in changed) print f
    }' | LC_ALL=C sort) || exit 1
! grep -qE "$rules" <<<"$since" || all
grep '\.c$' <<<"$since" | while read -r file; do
    # A changed file may be gone.
    [[ ! -e $file ]] || echo "$file"
done
exit 0
