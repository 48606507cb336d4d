#!/bin/sh
# Install the Debian packages that building and testing need, if any is missing.
#
#     tests/setup.sh            what `make demo` and `make test` need
#     tests/setup.sh --lint     and what `make lint`, `make fuzz`, `make test-interop` and .ci/run need
#     tests/setup.sh --valgrind and what `make test-valgrind` needs
#     tests/setup.sh --aarch64  and what building for AArch64 on another machine and running the result need: Debian's
#                               cross compiler, its packages of architecture arm64, and qemu
#     tests/setup.sh --coverage and what `make coverage` needs
#     tests/setup.sh --check    install nothing: name what plain `make` misses and exit 2
#
# Installs iff this is root or `sudo -n` works; otherwise prints the one command to type and exits 2. Silent when
# nothing is missing.
set -eu

# How to see that it is there, and the package it is in. tool: a command; lib: a pkg-config module, cross: one for
# AArch64; file: a path, which may be a glob; python: a module of Debian's own interpreter.
build_needs='
tool gcc               gcc
tool make              make
tool pkg-config        pkg-config
file /usr/include/stdlib.h libc6-dev
lib  jansson           libjansson-dev
lib  libarchive        libarchive-dev
lib  libxxhash         libxxhash-dev
lib  nettle            nettle-dev
lib  libpcre2-8        libpcre2-dev
lib  libutf8proc       libutf8proc-dev
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
coverage_needs='
tool gcovr             gcovr
'
# Debian's valgrind cannot work without the symbols of ld.so.
valgrind_needs='
tool valgrind          valgrind
file /usr/lib/debug/.build-id libc6-dbg
'
# pkgconf:arm64 is aarch64-linux-gnu-pkg-config, which looks only at packages of arm64.
aarch64_needs='
tool aarch64-linux-gnu-gcc        gcc-aarch64-linux-gnu
tool aarch64-linux-gnu-pkg-config pkgconf:arm64
tool qemu-aarch64-static          qemu-user-static
file /usr/include/aarch64-linux-gnu/sys/types.h libc6-dev:arm64
cross jansson          libjansson-dev:arm64
cross libarchive       libarchive-dev:arm64
cross libxxhash        libxxhash-dev:arm64
cross nettle           nettle-dev:arm64
cross libpcre2-8       libpcre2-dev:arm64
cross libutf8proc      libutf8proc-dev:arm64
cross zlib             zlib1g-dev:arm64
cross check            check:arm64
'

is_there() {
    case $1 in
    tool) command -v "$2" >/dev/null ;;
    lib) pkg-config --exists "$2" 2>/dev/null ;;
    cross) aarch64-linux-gnu-pkg-config --exists "$2" 2>/dev/null ;;
    file)
        # shellcheck disable=SC2086 # the shell expands the glob; ls fails if nothing matches
        ls $2 >/dev/null 2>&1
        ;;
    python) /usr/bin/python3 -c "import $2" 2>/dev/null ;;
    esac
}

check_only=no
foreign=
needs=$build_needs$test_needs
case ${1-} in
'') ;;
--check)
    check_only=yes
    needs=$build_needs
    ;;
--lint) needs=$build_needs$test_needs$lint_needs ;;
--coverage) needs=$build_needs$test_needs$coverage_needs ;;
--valgrind) needs=$build_needs$test_needs$valgrind_needs ;;
--aarch64)
    needs=$build_needs$test_needs
    if [ "$(uname -m)" != aarch64 ]; then
        needs=$needs$aarch64_needs
        foreign=arm64
    fi
    ;;
*)
    echo "usage: tests/setup.sh [--lint | --valgrind | --aarch64 | --coverage | --check]" >&2
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
# Packages of another architecture are known after `dpkg` and `apt-get update`.
if [ -n "$foreign" ] && dpkg --print-foreign-architectures 2>/dev/null | grep -qx "$foreign"; then
    foreign=
fi

if [ "$(id -u)" -eq 0 ]; then
    as_root() { "$@"; }
else
    as_root() { sudo -n "$@"; }
fi
if [ "$check_only" = yes ] || ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
    echo "octavo needs packages that are not installed. Type:" >&2
    [ -z "$foreign" ] || echo "    sudo dpkg --add-architecture $foreign && sudo apt-get update" >&2
    echo "    sudo $*" >&2
    exit 2
fi

echo "setup: $*" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
[ -z "$foreign" ] || as_root dpkg --add-architecture "$foreign"
# A fresh machine has no package lists; where they cannot be had, the install says so.
as_root apt-get update >"$log" 2>&1 || true
if ! as_root env DEBIAN_FRONTEND=noninteractive "$@" >>"$log" 2>&1; then
    cat "$log" >&2
    echo "setup: could not install the packages" >&2
    exit 2
fi
