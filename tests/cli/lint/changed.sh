#!/bin/bash
# Which sources clang-tidy looks at again: tests/lint_changed.sh in a small work tree.
. "$ROOT/tests/cli/lib.sh"
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a

mkdir -p low high tests
echo 'int low;' >low/low.h
echo '#include "low/low.h"' >low/mid.h
echo '#include "low/low.h"' >low/low.c
echo '#include "low/mid.h"' >high/high.c
echo '#include <stdio.h>' >high/alone.c
echo '#include "low/low.h"' >tests/test_low.c
: >tests/analyzer.h
git init -q . && git add . && git commit -qm first || exit 1

# changed WHAT: the sources to look at, then the tree as it was.
changed() {
    echo "$1: $("$ROOT/tests/lint_changed.sh" "${2-HEAD}" | tr '\n' ' ')"
    git reset -q --hard && git clean -qfd
}
changed 'nothing'
echo >>high/alone.c && changed 'a source'
echo >>low/mid.h && changed 'a header'
echo >>low/low.h && changed 'a header below a header'
echo >high/new.c && changed 'a new source'
echo >low/new.h && echo '#include "low/new.h"' >>high/alone.c && git add . && changed 'a new header'
rm high/alone.c && changed 'a source that is gone'
echo 'Checks: -*' >.clang-tidy && changed 'the rules'
echo >>tests/analyzer.h && changed 'what the analyzer reads'
changed 'an unknown commit' 0123456789012345678901234567890123456789
changed 'no commit' ''
echo >>low/low.c && git commit -qam second && changed 'since the first commit' HEAD~
