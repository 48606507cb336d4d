#!/bin/bash
# Damage by the place: on standard error for people, all of it in --json; the exit status tells damage from nonsense.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o good.octavo
"$OCTAVO" inspect good.octavo --json >inspect.json
# at NAME [MORE]: where a tensor or section starts in the file
at() {
    "$PYTHON" - "$@" <<'END'
import json, sys
top = json.load(open("inspect.json"))
places = {t["name"]: t["off"] for t in top["tensors"]} | {s["tag"]: s["off"] for s in top["sections"]}
print(places[sys.argv[1]] + int(sys.argv[2]) if len(sys.argv) > 2 else places[sys.argv[1]])
END
}
damaged() {
    cp good.octavo bad.octavo
    local offset
    for offset in "$@"; do
        flip bad.octavo "$offset"
    done
    octavo verify bad.octavo
}
say 'one tensor, an expert, two of them'
damaged "$(at model.norm.weight 3)"
damaged "$(at model.layers.0.mlp.experts.*.down_proj.weight 650)"
damaged "$(at model.norm.weight)" "$(at model.layers.1.self_attn.q_proj.weight 77)"
octavo verify bad.octavo -q
octavo verify bad.octavo --quick
octavo verify bad.octavo --tensor '*experts*'

say 'sections, superblock, trailer, padding, length'
damaged "$(at CHNK 5)"
damaged "$(at FILE 5)"
damaged 100
damaged $(($(stat -c %s good.octavo) - 8))
damaged $(($(at TENS) + 128 * 30))
head -c -1 good.octavo >bad.octavo
octavo verify bad.octavo
head -c 5000 good.octavo >bad.octavo
octavo verify bad.octavo
: >bad.octavo
octavo verify bad.octavo

say 'no packed file at all'
octavo verify checkpoint/config.json
octavo verify checkpoint
octavo verify missing.octavo
octavo inspect bad.octavo

say 'more than a hundred places: all in --json'
quietly convert "$TESTDATA/ring-micro-linear" -o good.octavo -f
"$OCTAVO" inspect good.octavo --json >inspect.json
"$PYTHON" - <<'END'
import json
data = bytearray(open("good.octavo", "rb").read())
tensors = json.load(open("inspect.json"))["tensors"]
for t in tensors:
    data[t["off"]] ^= 1
open("bad.octavo", "wb").write(data)
print(len(tensors), "tensors damaged")
END
octavo verify bad.octavo | sed '3,100d'
"$OCTAVO" verify bad.octavo --json 2>"$TMPDIR/stderr" | "$PYTHON" -c '
import json, sys
top = json.load(sys.stdin)
damages = top["integrity"]["damage"]
names = [t["name"] for t in json.load(open("inspect.json"))["tensors"]]
assert [d["location"] for d in damages] == ["tensor " + n for n in names]
print(len(damages), top["error"]["code"], sorted(damages[0]))'
cat "$TMPDIR/stderr"
