# shellcheck shell=bash
# For tests in tests/cli/: a transcript that is compared with NAME.stdout, and checkpoints to work on.
#
#     . "$ROOT/tests/cli/lib.sh"
#     tiny checkpoint                              a checkpoint of 80 KB in ./checkpoint
#     say 'an existing file stays'
#     octavo convert checkpoint -o out.octavo      the command, what it says, its exit status
#     files                                        what lies in the directory now
#
# Times, rates, roots and GPUs are masked in transcripts; sizes, counts and names are exact.
set -u
export PYTHONDONTWRITEBYTECODE=1

# say TEXT: a heading.
say() {
    printf '\n== %s\n' "$*"
}

# skip REASON
skip() {
    echo "$*"
    exit 77
}

# That there is no sandbox depends on the kernel and the build, and whether there is a way past the page cache on the
# file system; common/sandbox and fault/read_back test it.
mask() {
    sed -E -e '/note: no sandbox( for|: this build)|^(  . )?read back through the page cache/d' -e 's/[0-9.]+ (ms|s) \([0-9.-]+ GB\/s\)( on .*)?/TIME/' -e 's/ in [0-9.:]+ (ms|s|min|h)$/ in TIME/' \
        -e 's/^root [0-9a-f]{64}$/root ROOT/' -e 's/^memory     peak [0-9.]+ [KMG]iB/memory     peak SIZE/' "$@"
}

# octavo ARGUMENTS: run it, print all about it. Standard output has no mark, standard error a "!".
octavo() {
    echo "\$ octavo $*"
    under "$OCTAVO" "$@"
}

# under COMMAND...: the same for a command that runs octavo in some environment; prints no command line.
under() {
    local status=0
    "$@" >"$TMPDIR/stdout" 2>"$TMPDIR/stderr" || status=$?
    mask -e 's/^/  /' "$TMPDIR/stdout"
    mask -e 's/^/  ! /' "$TMPDIR/stderr"
    echo "  exit status $status"
}

# quietly ARGUMENTS: octavo as a preparation, which must work and whose output does not matter.
quietly() {
    "$OCTAVO" "$@" >"$TMPDIR/stdout" 2>"$TMPDIR/stderr" ||
        { echo "FAILED ($?): octavo $*" && cat "$TMPDIR/stdout" "$TMPDIR/stderr"; }
}

# files [DIRECTORY]: the names in it, in one line.
files() {
    echo "files: $(cd "${1:-.}" && LC_ALL=C ls -A | tr '\n' ' ')"
}

# same FILE FILE: say whether they are equal.
same() {
    cmp -s "$1" "$2" && echo "$1 and $2: the same" || echo "$1 and $2: DIFFERENT"
}

# unchanged FILE: against the copy that `remember FILE` made.
remember() {
    cp "$1" "$TMPDIR/remembered.${1//\//_}"
}
unchanged() {
    cmp -s "$1" "$TMPDIR/remembered.${1//\//_}" && echo "$1: unchanged" || echo "$1: CHANGED"
}

# tiny DIRECTORY [OPTIONS]: see tests/tiny_checkpoint.py.
tiny() {
    "$PYTHON" "$ROOT/tests/tiny_checkpoint.py" "$@"
}

# zeros DIRECTORY NAME:SHAPE...: a checkpoint of such BF16 tensors, all zero, as "lm_head.weight:16x128".
zeros() {
    "$PYTHON" - "$ROOT/tests" "$@" <<'EOF'
import os, sys

sys.path.insert(0, sys.argv[1])
import st_write

tensors = []
for word in sys.argv[3:]:
    name, shape = word.split(":")
    shape = [int(d) for d in shape.split("x")]
    tensors.append((name, "BF16", shape, bytes(st_write.tensor_bytes("BF16", shape))))
os.mkdir(sys.argv[2])
st_write.write_file(sys.argv[2] + "/model.safetensors", tensors)
EOF
    echo '{}' >"$1/config.json"
}

# flip FILE OFFSET: change one bit.
flip() {
    local byte
    byte=$(od -An -tu1 -j "$2" -N 1 "$1")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\x$(printf %02x $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# until_it_catches PROCESS: it has its handler of SIGTERM.
until_it_catches() {
    local caught=0
    while ((!(caught & 1 << 14))); do
        sleep 0.05
        caught=0x$(sed -n 's/^SigCgt:[^0-9a-f]*//p' "/proc/$1/status")
    done
}

# Sanitizers need address space, and the leak checker cannot work under strace.
is_sanitized() {
    grep -qE '__(asan|tsan)_init' "$OCTAVO"
}

# without_gpu ARGUMENTS: octavo with no CUDA device, built with CUDA or not; the reason is masked.
without_gpu() {
    CUDA_VISIBLE_DEVICES=-1 octavo "$@" |
        sed -E -e 's/(CUDA is not built in|no NVIDIA driver|no CUDA device)/REASON/' \
            -e 's/--device cpu gives the same bytes[^"]*/--device cpu gives the same bytes/'
}

# in_namespace SCRIPT: run it as root of a new name space, where it may mount what it likes.
in_namespace() {
    unshare -rm true 2>/dev/null || skip 'unshare -rm is not allowed here'
    unshare -rm bash -c "$1"
}

# needs_terminal: skip where no pseudo-terminal can be opened, as in a chroot without devpts.
needs_terminal() {
    "$PYTHON" -c 'import os; os.openpty()' 2>/dev/null || skip 'no pseudo-terminal can be opened here'
}

# slow MICROSECONDS ARGUMENTS: octavo, which needs so much longer for every read.
slow() {
    local delay=$1
    shift
    ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e trace=pread64 \
        -e "inject=pread64:delay_enter=$delay" "$OCTAVO" "$@"
}

# stages FILE: the stages of the progress that it shows, without numbers.
stages() {
    tr '\r' '\n' <"$1" | grep -oE '^[a-z ]+ +[0-9.]+ [kM]?B of|^octavo:.*|%' |
        sed -E 's/ +[0-9.]+ .*//' | sort -u | tr '\n' ' '
    echo
}

# as_nobody COMMAND...: without root's right to read and write everything. Copies of octavo are what nobody can reach.
as_nobody() {
    if [[ $(id -u) == 0 ]]; then
        setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
    else
        "$@"
    fi
}

# fault_sweep GROUP: see tests/fault/sweep.py. The test fails if any run of it does.
fault_sweep() {
    mkdir "$1"
    (cd "$1" && "$PYTHON" "$ROOT/tests/fault/sweep.py" "$1") || exit 1
}
