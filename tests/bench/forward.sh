#!/bin/bash
# The forward pass of a packed model next to its source: seconds, tokens per second, bytes read, peak memory.
#
#     forward.sh SOURCE PACKED TOKENS LENGTH SEQUENCES [OPTION]...     TOKENS: --text or --tokens and its value as one word,
#                                                                      such as --text=sample.txt
# OCTAVO: the tool. PYTHON: the interpreter.
set -eu
root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
python=${PYTHON:-/usr/bin/python3}
source=$1 packed=$2 tokens=$3 length=$4 sequences=$5
shift 5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
MEASURE_FILE=$work/peak "$python" "$root/tests/measure.py" forward "${OCTAVO:-$root/build/octavo}" verify "$packed" \
    --only forward --against "$source" "$tokens" --length "$length" --sequences "$sequences" --json "$@" >"$work/report" 2>"$work/log" ||
    { cat "$work/log" "$work/report" && exit 1; }
"$python" - "$work/report" "$work/peak" <<'END'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    r = json.load(f)["forward"]
with open(sys.argv[2], encoding="utf-8") as f:
    peak = int(f.read())
tokens = r["sequences"] * r["length"]
read = r["source_bytes_read"] + r["packed_bytes_read"]
print(
    f"forward, {tokens} tokens, both sides  {r['seconds']:.2f} s, {tokens / r['seconds']:.0f} tokens/s, "
    f"{read / 1e9:.2f} GB read, peak {peak / 1024:.0f} MiB"
)
END
