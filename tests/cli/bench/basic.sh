#!/bin/bash
# What bench prints, with the numbers masked: which lines, in which order; that it leaves nothing behind.
. "$ROOT/tests/cli/lib.sh"
export CUDA_VISIBLE_DEVICES=-1 # GPU results depend on the machine
mkdir disk

# numbers: one for each speed and ratio; the slowest stage must be one of the stages.
numbers() {
    sed -E -e 's/ +[0-9.]+ GB\/s/ N GB\/s/g' -e 's/ratio [0-9.]+$/ratio N/' \
        -e 's/^  bottleneck: (disk write|disk read|digest|CPU engine)$/  bottleneck: STAGE/'
}
octavo bench --size 16M --threads 2 disk | numbers
files disk
octavo bench --size 1 --threads 1 --device cpu disk | numbers

say 'an existing checkpoint'
cp -r "$TESTDATA/ring-micro-linear" model
before=$(sha256sum model/*)
octavo bench --checkpoint model --threads 2 disk | numbers
files disk
[[ $(sha256sum model/*) == "$before" ]] || echo 'the checkpoint was touched'
"$OCTAVO" bench --checkpoint model --threads 1 --json disk | "$PYTHON" -c 'import json, sys
r = json.load(sys.stdin); print(r["checkpoint"], r["source_bytes"], r["packed_bytes"])'
octavo bench --checkpoint model --size 16M disk
octavo bench --checkpoint missing disk
files disk

say 'as JSON'
"$OCTAVO" bench --json --size 16M --threads 2 disk >object || echo "failed: $?"
"$PYTHON" - <<'END'
import json
r = json.load(open("object"))
print(sorted(r), r["schema"], r["kind"], r["dir"], r["source_bytes"], r["packed_bytes"], r["threads"], r["device"])
for m in r["measurements"]:
    assert m["gb_per_s"] > 0, m
    assert (m["share_of_limit"] is None) == (m["limited_by"] is None) == (m["limit_gb_per_s"] is None), m
    assert m["share_of_limit"] is None or abs(m["share_of_limit"] * m["limit_gb_per_s"] / m["gb_per_s"] - 1) < 1e-9, m
    print(f"  {m['name']}{'' if m['limited_by'] is None else ': ' + m['limited_by']}")
stages = r["stage_gb_per_s"]
assert r["bottleneck"] == min(stages, key=stages.get), r
print(sorted(stages))
END

say 'what is refused, and what fails'
octavo bench --size none disk
octavo bench --size 16M --memory 1M disk
octavo bench disk another
octavo bench --device gpu
without_gpu bench --device cuda disk
octavo bench --size 16M missing
octavo bench --size 16M missing --device cpu --json
files disk

say 'a signal'
for s in HUP TERM; do
    "$OCTAVO" bench --size 64M disk >/dev/null 2>&1 &
    while [[ -z $(ls -A disk) ]] && kill -0 $! 2>/dev/null; do
        sleep 0.01
    done
    kill -$s $!
    wait $!
    echo "$s: exit status $?"
    files disk
done 2>/dev/null
