#!/bin/bash
# diff: packed files and checkpoints against each other, alike and in every way different.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o a.octavo --keep '*o_proj*'

say 'alike'
octavo diff a.octavo a.octavo
octavo diff a.octavo a.octavo --full
octavo diff checkpoint checkpoint
octavo diff a.octavo checkpoint
octavo diff checkpoint a.octavo -q
quietly unpack a.octavo -o unpacked
octavo diff a.octavo unpacked
octavo diff a.octavo checkpoint --tensor '*experts.1.*'

say 'other weights: in an expert, in a kept tensor, in all codes of a tile'
tiny other --plant model.layers.0.mlp.experts.1.down_proj.weight 33 803d --plant model.norm.weight 5 0040 \
    --plant model.layers.1.calls 1 0700000000000000 --plant model.layers.0.mlp.up_proj.weight 150 8041
quietly convert other -o b.octavo --keep '*o_proj*'
octavo diff a.octavo b.octavo
octavo diff a.octavo b.octavo --full -q
octavo diff checkpoint other
octavo diff a.octavo other
octavo diff other a.octavo --tensor '*.norm.*'
octavo diff other a.octavo --tensor '*.embed_tokens.*'

say 'other rules and scales'
quietly convert checkpoint -o kept.octavo --keep '*layers.1.*'
octavo diff a.octavo kept.octavo
quietly convert checkpoint -o pow2.octavo --keep '*o_proj*' --scales ue8m0
octavo diff a.octavo pow2.octavo --tensor '*q_proj*'
octavo diff pow2.octavo checkpoint
quietly convert checkpoint -o sha.octavo --keep '*o_proj*' --digest sha256
octavo diff a.octavo sha.octavo

say 'tensors and shapes'
"$PYTHON" - <<'END'
import os, struct, sys
sys.path.insert(0, os.path.join(os.environ["ROOT"], "tests"))
import st_write
f = lambda *x: struct.pack(f"<{len(x)}f", *x)
nan = struct.pack("<I", 0x7FC00000)
common = [("same", "F32", [2], f(1, 2)), ("zero", "F32", [2], f(0, 1)), ("four", "F4", [4], b"\x12\x34")]
st_write.write_file("x.safetensors", common + [("gone", "U8", [1], b"x"), ("shape", "F32", [2], f(1, 2)),
    ("type", "F32", [1], f(1)), ("nan", "F32", [2], f(1, 2)), ("int", "I8", [3], b"\x80\x01\x02")])
common[1:] = [("zero", "F32", [2], f(-0.0, 1)), ("four", "F4", [4], b"\x12\x33")]
st_write.write_file("y.safetensors", common + [("shape", "F32", [1, 2], f(1, 2)), ("\u009b2J", "U8", [1], b"x"),
    ("type", "I32", [1], b"1234"), ("nan", "F32", [2], nan + f(2)), ("int", "I8", [3], b"\x7f\x01\x03")])
END
octavo diff x.safetensors y.safetensors
"$OCTAVO" diff x.safetensors y.safetensors --json 2>/dev/null | "$PYTHON" -c '
import json, sys
top = json.load(sys.stdin)
assert top.pop("seconds") > 0
for t in top.pop("tensors"):
    print(t)
print(top)'

say 'files'
cp -r checkpoint files
sed -i 's/"num_hidden_layers": 2/"num_hidden_layers": 3, "new": {"key": [1]}/' files/config.json
echo 'Much ado.' >files/LICENSE
echo '{ "model_max_length": 1e30}' >files/tokenizer_config.json
echo '{}' >files/tokenizer.json
octavo diff a.octavo files
quietly convert files -o files.octavo --keep '*o_proj*' --no-embed tokenizer_config.json
octavo diff a.octavo files.octavo
octavo diff files.octavo checkpoint --tensor '*' -q

say 'damage: not seen where digests say that chunks are alike, but where they are read'
cp a.octavo bad.octavo
flip bad.octavo "$("$OCTAVO" inspect --json a.octavo | "$PYTHON" -c '
import json, sys
print(*(t["off"] for t in json.load(sys.stdin)["tensors"] if t["name"].endswith("up_proj.weight")))')"
octavo diff a.octavo bad.octavo
octavo diff a.octavo bad.octavo --full
octavo diff bad.octavo checkpoint --json | sed 's/"seconds":[^,]*,//'
octavo diff bad.octavo checkpoint --tensor '*norm*'

say 'more than a hundred'
ln -s "$TESTDATA/ring-micro-linear" micro
octavo diff micro checkpoint | grep -v 'only in A$'

say 'command lines that are refused, and inputs'
octavo diff a.octavo
octavo diff
octavo diff a.octavo b.octavo checkpoint
octavo diff a.octavo b.octavo --tensor '[a'
octavo diff a.octavo b.octavo --tensor 'nothing*'
octavo diff a.octavo missing
octavo diff a.octavo x.safetensors --memory 4K
octavo diff a.octavo checkpoint --memory 4K
echo nonsense >broken.octavo
octavo diff a.octavo broken.octavo
echo nonsense >broken.safetensors
octavo diff broken.safetensors a.octavo
