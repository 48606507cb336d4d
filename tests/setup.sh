#!/bin/sh
# Install the Debian packages that building and testing need, if any is missing.
#
#     tests/setup.sh            what `make demo` and `make test` need
#     tests/setup.sh --lint     and what `make lint`, `make fuzz`, `make test-interop` and .ci/run need
#     tests/setup.sh --check    install nothing: name what plain `make` misses and exit 2
#
# Installs iff this is root or `sudo -n` works; otherwise prints the one command to type and exits 2. Silent when
# nothing is missing.
set -eu

# How to see that it is there, and the package it is in. tool: a command; lib: a pkg-config module; file: a path,
# which may be a glob; python: a module of Debian's own interpreter.
build_needs='
tool gcc               gcc
tool make              make
tool pkg-config        pkg-config
file /usr/include/stdlib.h libc6-dev
lib  jansson           libjansson-dev
lib  libarchive        libarchive-dev
lib  libxxhash         libxxhash-dev
lib  libcrypto         libssl-dev
lib  libpcre2-8        libpcre2-dev
lib  zlib              zlib1g-dev
'
test_needs='
lib  check             check
tool git               git
tool python3           python3
python numpy           python3-numpy
python xxhash          python3-xxhash
tool strace            strace
'
lint_needs='
tool clang             clang
tool clang-format      clang-format
tool clang-tidy        clang-tidy
tool cppcheck          cppcheck
tool shellcheck        shellcheck
tool mandoc            mandoc
tool g++               g++
file /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a libclang-rt-14-dev
python ensurepip       python3-venv
'

is_there() {
    case $1 in
    tool) command -v "$2" >/dev/null ;;
    lib) pkg-config --exists "$2" 2>/dev/null ;;
    file)
        # shellcheck disable=SC2086 # the shell expands the glob; ls fails if nothing matches
        ls $2 >/dev/null 2>&1
        ;;
    python) /usr/bin/python3 -c "import $2" 2>/dev/null ;;
    esac
}

check_only=no
needs=$build_needs$test_needs
case ${1-} in
'') ;;
--check)
    check_only=yes
    needs=$build_needs
    ;;
--lint) needs=$build_needs$test_needs$lint_needs ;;
*)
    echo "usage: tests/setup.sh [--lint | --check]" >&2
    exit 2
    ;;
esac

set --
while read -r kind what package; do
    if [ -n "$kind" ] && ! is_there "$kind" "$what"; then
        set -- "$@" "$package"
        if [ "$check_only" = yes ]; then
            echo "missing: ${what##*/} (Debian package $package)" >&2
        fi
    fi
done <<END
$needs
END
if [ $# -eq 0 ]; then
    exit 0
fi
set -- apt-get install -y --no-install-recommends "$@"

if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
else
    as_root() { sudo -n "$@"; }
fi
if [ "$check_only" = yes ] || ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
    echo "octavo needs packages that are not installed. Type:" >&2
    echo "    sudo $*" >&2
    exit 2
fi

echo "setup: $*" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A fresh machine has no package lists; where they cannot be had, the install says so.
as_root apt-get update >"$log" 2>&1 || true
if ! as_root env DEBIAN_FRONTEND=noninteractive "$@" >>"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: could not install the packages" >&2
    exit 2
fi
