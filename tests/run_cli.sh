#!/bin/bash
# Run the command line tests, two at a time, and print one line of summary; failures come before it, with a diff.
#
#     tests/run_cli.sh [NAME]...        COMMAND/NAME as in tests/cli/COMMAND/NAME.sh, globs allowed; default: all
#
# A test is a script that runs in a fresh directory with these absolute paths in its environment:
#     OCTAVO      the program under test       TESTDATA  tests/data
#     ROOT        the source tree              BUILD     where its test programs are
#     PYTHON      an interpreter with numpy    TMPDIR    a second fresh directory
# What it must say stands beside it; what has no file is not compared:
#     NAME.stdout, NAME.stderr              the output, exactly
#     NAME.stdout.glob, NAME.stderr.glob    the output, line by line as shell globs
#     NAME.exit                             the exit status, 0 if there is no such file
# ACCEPT=1 writes the output into the files (not into globs) instead of comparing: read the change before you commit it.
# Exit status 77 skips the test; the last line it printed is the reason. Exit status of this script: 0 or 1.
set -u
shopt -s nullglob

here=$(cd "$(dirname "$0")" && pwd)
export ROOT=${ROOT:-${here%/*}}
export BUILD=${BUILD:-$ROOT/build/release}
export OCTAVO=${OCTAVO:-$ROOT/build/octavo}
export TESTDATA=${TESTDATA:-$ROOT/tests/data}
export PYTHON=${PYTHON:-python3}

# same EXPECTED ACTUAL: compare by the rule that the name of EXPECTED tells, print what differs.
same() {
    case $1 in
    *.glob) same_globs "$1" "$2" ;;
    *) diff -u --label "${1##*/}" --label actual "$1" "$2" ;;
    esac
}

same_globs() {
    local -a globs lines
    mapfile -t globs <"$1"
    mapfile -t lines <"$2"
    local i
    for ((i = 0; i < ${#globs[@]} || i < ${#lines[@]}; i++)); do
        # shellcheck disable=SC2053 # the right side is a glob on purpose
        if ((i >= ${#globs[@]} || i >= ${#lines[@]})) || [[ ${lines[i]} != ${globs[i]} ]]; then
            printf -- '--- %s\n+++ actual\n@@ line %d @@\n' "${1##*/}" $((i + 1))
            ((i < ${#globs[@]})) && printf -- '-%s\n' "${globs[i]}"
            ((i < ${#lines[@]})) && printf -- '+%s\n' "${lines[@]:i:5}"
            return 1
        fi
    done
}

# judge TEST STATUS WORK: print nothing if the test passed, else why not.
judge() {
    local base=${1%.sh} expected=0 name
    [[ -e $base.exit ]] && read -r expected <"$base.exit"
    if [[ $2 != "$expected" ]]; then
        echo "exit status $2, expected $expected"
        [[ $2 == 124 ]] && echo "(124: stopped after ${CLI_TIMEOUT:-300} s)"
        [[ -e $base.stdout || -e $base.stdout.glob ]] || tail -n 20 "$3/stdout"
        [[ -e $base.stderr || -e $base.stderr.glob ]] || tail -n 20 "$3/stderr"
    fi
    for name in stdout stderr; do
        [[ -n ${ACCEPT-} && -e $base.$name ]] && cp "$3/$name" "$base.$name"
    done
    for name in stdout stderr stdout.glob stderr.glob; do
        [[ -e $base.$name ]] && same "$base.$name" "$3/${name%.glob}"
    done
}

# run_one TEST RESULT: the first word of the file RESULT is pass, fail or skip.
run_one() {
    local name work status complaint
    name=${1#"$here/cli/"}
    name=${name%.sh}
    work=$(mktemp -d)
    mkdir "$work/cwd" "$work/tmp"
    local -a command=("$1")
    [[ -x $1 ]] || command=(sh "$1")
    (cd "$work/cwd" && umask 022 && LC_ALL=C TMPDIR=$work/tmp \
        exec timeout --kill-after=10 "${CLI_TIMEOUT:-300}" "${command[@]}") \
        <"/dev/null" >"$work/stdout" 2>"$work/stderr"
    status=$?
    if ((status == 77)); then
        printf 'SKIP %s: %s\n' "$name" "$(cat "$work/stdout" "$work/stderr" | tail -n 1)"
        echo skip >"$2"
    else
        complaint=$(judge "$1" "$status" "$work")
        if [[ -n $complaint ]]; then
            # One write, so that the lines of two tests do not mix.
            printf 'FAIL %s\n    %s\n' "$name" "${complaint//$'\n'/$'\n    '}"
            echo fail >"$2"
        else
            echo pass >"$2"
        fi
    fi
    chmod -R u+rwx "$work"
    rm -rf "$work"
}

if [[ ${1-} == --one ]]; then
    run_one "$2" "$3/$(basename "$(dirname "$2")").$(basename "$2")"
    exit 0
fi

tests=()
(($#)) || set -- '*/*'
for name in "$@"; do
    # shellcheck disable=SC2206 # expands the glob that the caller gave
    found=("$here/cli/"$name.sh)
    if [[ ! -e ${found[0]-} ]]; then
        echo "run_cli.sh: no test matches '$name'" >&2
        exit 1
    fi
    tests+=("${found[@]}")
done
mapfile -t tests < <(printf '%s\n' "${tests[@]}" | sort -u)

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
printf '%s\0' "${tests[@]}" | xargs -0 -r -P "${JOBS:-2}" -I TEST "$0" --one TEST "$results"
passed=$(grep -rlx pass "$results" | wc -l)
skipped=$(grep -rlx skip "$results" | wc -l)
failed=$((${#tests[@]} - passed - skipped))
echo "cli: $passed passed, $failed failed, $skipped skipped"
((failed == 0))
