#!/bin/bash
# Dialects: what the file says, bits that stay for ever, where the recipe comes from, what is refused, and the way to a
# runtime.
. "$ROOT/tests/cli/lib.sh"
ln -s "$TESTDATA/ring-micro-linear" micro
tiny checkpoint

shown() {
    "$OCTAVO" inspect "$1" --json | "$PYTHON" -c '
import json, sys
o = json.load(sys.stdin)
print("recipe", json.dumps(o["recipe"]))
print("dialects", sorted({(t["class"], t["dialect"], t["pow2"]) for t in o["tensors"]}))'
}

say 'every dialect and kind of scales'
for dialect in ieee deepgemm transformers transformer-engine compressed-tensors linghe; do
    for scales in f32 ue8m0; do
        octavo convert micro -o $dialect-$scales.octavo --dialect $dialect --scales $scales --device cpu
        [[ -e $dialect-$scales.octavo ]] || continue
        shown $dialect-$scales.octavo
        quietly verify $dialect-$scales.octavo --against micro
        # what the table of reciprocals makes is compared by the interop tests
        [[ $dialect-$scales == linghe-f32 ]] ||
            echo "$(sha256sum <$dialect-$scales.octavo | cut -d ' ' -f 1) $dialect $scales"
    done
done

say 'the default is ieee, and files are what they were'
quietly convert micro -o plain.octavo
same plain.octavo ieee-f32.octavo

say 'from a recipe; the option is above it'
echo '{"octavo_recipe": 1, "dialect": "linghe", "scales": "ue8m0"}' >recipe.json
quietly convert micro -o recipe.octavo --recipe recipe.json
same recipe.octavo linghe-ue8m0.octavo
quietly convert micro -o option.octavo --recipe recipe.json --dialect deepgemm
same option.octavo deepgemm-ue8m0.octavo
"$OCTAVO" inspect deepgemm-f32.octavo --recipe >again.json
quietly convert micro -o again.octavo --recipe again.json
same again.octavo deepgemm-f32.octavo
echo '{"octavo_recipe": 1, "dialect": "compressed-tensors", "scales": "ue8m0"}' >recipe.json
octavo convert micro -o refused.octavo --recipe recipe.json
quietly convert micro -o possible.octavo --recipe recipe.json --scales f32
same possible.octavo compressed-tensors-f32.octavo

say 'what is refused'
octavo convert micro -o refused.octavo --dialect vllm
octavo convert micro -o refused.octavo --dialect
octavo convert checkpoint -o refused.octavo --dialect linghe
quietly convert checkpoint -o keep.octavo --dialect linghe --scales ue8m0
echo '{"octavo_recipe": 1, "dialect": "none"}' >recipe.json
octavo convert micro -o refused.octavo --recipe recipe.json

say 'differences between dialects'
octavo diff ieee-f32.octavo deepgemm-f32.octavo -q
octavo diff micro deepgemm-f32.octavo

say 'a file whose records say otherwise than its recipe: the arithmetic of one, the name of the other'
"$PYTHON" - "$ROOT" <<'END'
import sys
sys.path[:0] = [sys.argv[1] + "/tests/hostile", sys.argv[1] + "/tests/interop"]
from packed_image import Image
with open("transformer-engine-f32.octavo", "rb") as f:
    image = Image(f.read())
name = "model.layers.0.mlp.down_proj.weight"
for r in image.records:
    if r["name"].startswith(name):
        image.put_record(r["index"], "dialect", 2)
with open("pretends.octavo", "wb") as f:
    f.write(image.seal().raw)
END
octavo verify pretends.octavo -q
octavo verify pretends.octavo -q --against micro
octavo diff micro pretends.octavo

say 'to compressed-tensors, which takes its own scales'
keep=(--keep '*.dense.*' --keep '*.g_proj.*')
quietly convert micro -o own.octavo --dialect compressed-tensors "${keep[@]}"
octavo export own.octavo -o own --for compressed-tensors --allow-unloadable
"$PYTHON" -c '
import json, struct
with open("own/model-00001-of-00001.safetensors", "rb") as f:
    header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
print(sorted({h["dtype"] for n, h in header.items() if n.endswith("_scale")}))'
octavo export deepgemm-f32.octavo -o refused --for compressed-tensors
files .
