#!/bin/bash
# Programs for AArch64, cross-built by gcc and clang, write the bytes that the program for this machine writes: packed
# files, exports, dumps of forward passes, tokens. What forward passes measure is the same to the last bit.
#
#     tests/same_machines.sh         by `make test-aarch64`; on x86-64, with what tests/setup.sh --aarch64 installs
#
# Takes two minutes: qemu-user runs them. All checkpoints of tests/same_outputs.sh by gcc's program, the built-in one by
# clang's. OCTAVO: the program for this machine (default build/octavo). The builds stay in build/aarch64-*.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
octavo=$(readlink -f "${OCTAVO:-$root/build/octavo}")
unset CONFIG CC AR PKG_CONFIG CFLAGS SAN OCTAVO
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# measure PROGRAM: a digest of what it measures of the built-in checkpoint.
measure() {
    OCTAVO=$1 "$root/tests/same_numbers.sh" --brief "$root/tests/data/ring-micro-linear"
}

# compare NAME CC CHECKPOINT...
compare() {
    local name=$1 cc=$2
    shift 2
    make -s -C "$root" -j"$(nproc)" CONFIG="aarch64-$name" CC="$cc" CUDA=0 WERROR=1 all || return 1
    printf '#!/bin/sh\nexec qemu-aarch64-static "%s" "$@"\n' "$root/build/aarch64-$name/octavo" >"$work/$name"
    chmod +x "$work/$name"
    if [[ $("$work/$name" --version) != *AArch64* ]]; then
        echo "build/aarch64-$name/octavo does not run, or is not for AArch64"
        return 1
    fi
    echo -n "AArch64 by $name: "
    diff <(measure "$octavo") <(measure "$work/$name") || return 1
    OCTAVO=$work/$name DEVICE=cpu "$root/tests/same_outputs.sh" "$octavo" "$@"
}

compare gcc aarch64-linux-gnu-gcc &&
    compare clang 'clang --target=aarch64-linux-gnu' "$root/tests/data/ring-micro-linear"
