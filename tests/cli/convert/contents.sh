#!/bin/bash
# What options put into the file: embedded files, digests, powers of two.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
echo '{"for":"me"}' >checkpoint/generation_config.json
echo 'print(1)' >checkpoint/modeling_tiny.py

# shown EXPRESSION: evaluate it on the object of `inspect --json`, called r.
shown() {
    "$OCTAVO" inspect --json out.octavo |
        "$PYTHON" -c 'import json, sys; r = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}
# embedded OPTIONS: the names that a conversion with these options embeds.
embedded() {
    echo "embedded with $*"
    quietly convert checkpoint -o out.octavo -f "$@"
    shown '" ".join(f["name"] for f in r["files"])'
}

say 'embedded files'
embedded
embedded --embed '*.txt'
embedded --no-embed '*' --embed 'config.json'
embedded --no-embed 'LICENSE' --embed 'LIC*'
embedded --embed '*'
octavo convert checkpoint -o out.octavo -f --embed '*.md'
octavo convert checkpoint -o out.octavo -f --no-embed nothing
octavo convert checkpoint -o out.octavo -f --embed ''
mkdir checkpoint/vocab.json
octavo convert checkpoint -o out.octavo -f
rmdir checkpoint/vocab.json
truncate -s 64M checkpoint/tokenizer.json
embedded
truncate -s +1 checkpoint/tokenizer.json
octavo convert checkpoint -o out.octavo -f
rm checkpoint/tokenizer.json
: >checkpoint/vocab.txt
embedded
rm checkpoint/vocab.txt

say 'what is embedded comes out bit for bit: the archive is a ustar'
quietly convert checkpoint -o out.octavo -f
read -r off len <<<"$(shown '"%d %d" % next((s["off"], s["len"]) for s in r["sections"] if s["tag"] == "FILE")')"
mkdir unpacked
dd if=out.octavo bs=1 skip="$off" count="$len" status=none | tar -x -C unpacked
(cd unpacked && sha256sum -- * >../sums)
(cd checkpoint && sha256sum --quiet -c ../sums) && ls unpacked

say 'digests'
octavo convert checkpoint -o out.octavo -f --digest sha256
shown 'r["superblock"]["digest_alg"]'
q=model.layers.1.self_attn.q_proj.weight
tensor=$(shown "next('%d %d %s' % (t['off'], t['len'], t['digest']) for t in r['tensors'] if t['name'] == '$q')")
read -r off len digest <<<"$tensor"
# One chunk: the digest of the tensor is that of its bytes.
dd if=out.octavo bs=1 skip="$off" count="$len" status=none | sha256sum | grep -q "$digest" &&
    echo "$q: sha256 of its bytes"
quietly verify out.octavo
quietly convert checkpoint -o out.octavo -f --digest xxh3
shown 'r["superblock"]["digest_alg"]'
octavo convert checkpoint -o out.octavo -f --digest md5

say '--source-sha256: what sha256sum says, the Hub calls it the object id'
quietly convert checkpoint -o out.octavo -f --source-sha256
shown '"\n".join(s["sha256"] + "  " + s["name"] for s in r["provenance"]["shards"])' >sums
(cd checkpoint && sha256sum -c ../sums)
quietly verify out.octavo
quietly convert checkpoint -o out.octavo -f
shown '[s.get("sha256") for s in r["provenance"]["shards"]]'

say 'scales'
octavo convert checkpoint -o out.octavo -f --scales ue8m0
shown '[t["pow2"] for t in r["tensors"] if t["class"] == "scales"]'
quietly verify out.octavo
# Every scale is 2^k, as the lower 23 bits of a float32 tell.
scale=model.layers.0.mlp.up_proj.weight_scale_inv
read -r off len <<<"$(shown "next('%d %d' % (t['off'], t['len']) for t in r['tensors'] if t['name'] == '$scale')")"
od -v -An -tx4 -w4 -j "$off" -N "$len" out.octavo | grep -c '[08]00000$'
octavo convert checkpoint -o out.octavo -f --scales f16
