#!/bin/bash
# Look at the source text for what the compiler does not say. `make lint` calls this with CC and CFLAGS set.
#
#     tests/lint.sh [CHECK]...       default: all; each CHECK is one of the check_ functions below
#     tests/lint.sh --all [CHECK]... the same, of all files
#
# clang-tidy, by far the slowest, looks only at what may read otherwise than in the commit that tests/lint_base names, the
# last one of which it saw all files (tests/lint_changed.sh). --all without a CHECK names a new one there if nothing
# complains.
# Prints one line for each check, complaints before it. Exit status 0: none, 1: some.
# shellcheck disable=SC2317 # the checks are called by their names
set -u
shopt -s nullglob
cd "$(dirname "$0")/.." || exit 1

CC=${CC:-cc}
read -ra flags <<<"${CFLAGS:--std=c11 -D_GNU_SOURCE -I.}"
flags+=(-DKERNEL_LEVEL=baseline '-DOCTAVO_VERSION="0"' '-DOCTAVO_GIT="0"')
rooms=(format quant convert verify gpu bin)
mapfile -t sources < <(git ls-files '*.c')
mapfile -t headers < <(git ls-files '*.h')
mapfile -t kernels < <(git ls-files '*.cu' '*.cuh')
mapfile -t scripts < <(git ls-files .ci/run '*.sh')
# What sees CUDA is looked at where its headers are.
if ! echo '#include <cuda_runtime_api.h>' | "$CC" "${flags[@]}" -fsyntax-only -x c - 2>/dev/null; then
    mapfile -t with_cuda < <(grep -lE '#include (<cuda|"gpu/(device/cuda_call|quantize/kernels)\.h")' gpu/*/*.[ch] tests/unit/*/*.c)
    without_cuda() {
        local file
        for file; do
            [[ " ${with_cuda[*]} " == *" $file "* ]] || echo "$file"
        done
    }
    mapfile -t sources < <(without_cuda "${sources[@]}")
    mapfile -t headers < <(without_cuda "${headers[@]}")
    echo "lint: without CUDA's headers: not looked at: ${with_cuda[*]}"
fi

check_layout() {
    local file bad=0
    for file in "${sources[@]}" "${headers[@]}" "${kernels[@]}"; do
        clang-format "$file" | cmp -s - "$file" || { echo "$file: \`make format\` would change it" && bad=1; }
    done
    return "$bad"
}

# One process a file: in one process clang-tidy 14 carries the state of va_lists over from file to file. err.c defines
# what analyzer.h explains to the others.
check_tidy() {
    local -a look=()
    mapfile -t look < <(tests/lint_changed.sh "$base" | grep -Fx -f <(printf '%s\n' "${sources[@]}"))
    echo "lint: tidy looks at ${#look[@]} of ${#sources[@]} sources${base:+, changed since $base}"
    {
        printf '%s\n' "${look[@]}" | sed -e '/^$/d' -e '\|^format/base/err\.c$|d' |
            xargs -r -P "$(nproc)" -I FILE clang-tidy --quiet FILE -- "${flags[@]}" -include tests/analyzer.h &&
            { [[ " ${look[*]} " != *" format/base/err.c "* ]] || clang-tidy --quiet format/base/err.c -- "${flags[@]}"; }
    } 2>/dev/null
}

check_cppcheck() {
    # uninitvar: takes the address of a variable for its use; the compilers and sanitizers know better.
    # memleak: does not follow a pointer into a struct; the address sanitizer does.
    # readdirCalled: a stream of its own for each thread is safe; readdir_r is obsolete.
    cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,performance,portability --inline-suppr \
        --library=posix --suppress=missingIncludeSystem \
        --suppress=uninitvar --suppress=memleak --suppress=readdirCalled \
        --error-exitcode=1 -I. "${rooms[@]}"
}

check_shell() {
    # SC2120: does not see the scripts that source cli_lib.sh and call its functions.
    shellcheck --severity=warning --exclude=SC2120 "${scripts[@]}"
}

check_manual() {
    local page
    for page in spec/man/*.1; do
        mandoc -Tlint -W warning "$page" || return 1
    done
}

# The law of folders (tests/folders.txt).
check_folders() { tests/lint_folders.sh table; }
check_includes() { tests/lint_folders.sh includes; }
check_symbols() {
    make -s -j"$(nproc)" CONFIG=release all && tests/lint_folders.sh symbols
}

# Every header compiles alone; the arithmetic that other compilers share, with those compilers.
check_headers() {
    local header bad=0
    for header in "${headers[@]}"; do
        alone "$header" "$CC" -x c "${flags[@]}" -Werror || bad=1
        if grep -q SHARED_FN "$header"; then
            alone "$header" clang -x c "${flags[@]}" -Werror || bad=1
            alone "$header" g++ -x c++ -std=c++17 -Wall -Wextra -Werror -I. || bad=1
        fi
    done
    return "$bad"
}

alone() {
    local header=$1
    shift
    # Unused functions are the normal case in a header.
    "$@" -Wno-unused-function -fsyntax-only -include "$header" - </dev/null
}

# Calls that overflow, keep hidden state, or run a shell. Each has a better one beside it.
check_banned() {
    ! grep -nE '\b(strcpy|strcat|strncpy|strncat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|localtime|gmtime|ctime|asctime|mktemp|tmpnam|system|popen|alloca|setlocale) *\(' \
        "${sources[@]}" "${headers[@]}"
}

# Steps end at the first failure by TRY and TRY_OUT (CONTRIBUTING.md, "Errors"): complains about a step in a block of its
# own, `if (code == OK) { code = ...; }`, with or without a further condition.
check_errors() {
    git ls-files -z "${rooms[@]}" | grep -z '\.c$' | xargs -0 awk '
        FNR == 1 { step = 0 }
        step == 1 { step = /^ *code = / ? 2 : 0 }
        step == 3 && /^ *}$/ { print FILENAME ":" at ": a step chained by `if (code == OK)`: use TRY or TRY_OUT"; bad = 1 }
        step == 3 { step = 0 }
        step == 2 && /;$/ { step = 3 }
        /^ *if \(code == OK( && .*)?\) \{$/ { step = 1; at = FNR }
        END { exit bad }'
}

# File names are unique, and nothing new is at the top.
check_names() {
    local twice top
    top=$(git ls-files | sed 's/\/.*//' | sort -u |
        grep -vxE '\..*|[A-Z]+(\.md)?|Makefile|bin|convert|format|gpu|quant|spec|tests|verify' | tr '\n' ' ')
    [[ -z $top ]] || { echo "not known at the top: $top" && return 1; }
    twice=$(printf '%s\n' "${sources[@]##*/}" "${headers[@]##*/}" | sort | uniq -d)
    [[ -z $twice ]] || { echo "file names that occur twice: $twice" && return 1; }
}

check_length() {
    wc -l "${sources[@]}" "${headers[@]}" "${kernels[@]}" "${scripts[@]}" gpu/cuda.mk spec/man.mk tests/tests.mk Makefile tests/*.py tests/*/*.py tests/*/*/*.py |
        awk '$2 != "total" && ($1 > 500 || $2 == "Makefile" && $1 > 250) { print $2 ": " $1 " lines"; bad = 1 } END { exit bad }'
}

# After a look at everything: what is in HEAD needs no second one.
move_base() {
    if [[ ${with_cuda[*]-} ]]; then
        echo "lint: tests/lint_base stays: without CUDA's headers this was not a look at everything"
    elif [[ $(git status --porcelain) ]]; then
        echo "lint: tests/lint_base stays: there are changes that are not committed"
    else
        git rev-parse HEAD >tests/lint_base
        echo "lint: tests/lint_base names $(git log -1 --format='%h %s'); commit it"
    fi
}

failed=0
base=$(cat tests/lint_base 2>/dev/null)
all=
if [[ ${1-} == --all ]]; then
    base=
    shift
    (($#)) || all=yes
fi
(($#)) || set -- layout folders includes symbols headers banned names errors length shell manual cppcheck tidy
for check in "$@"; do
    start=$SECONDS
    if output=$("check_$check" 2>&1); then
        grep '^lint: ' <<<"$output"
        echo "lint: $check ok ($((SECONDS - start)) s)"
    else
        printf '%s\nlint: %s FAILED\n' "$output" "$check"
        failed=1
    fi
done
[[ -z $all ]] || ((failed)) || move_base
exit $failed
