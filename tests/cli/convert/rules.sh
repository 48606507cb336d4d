#!/bin/bash
# Which tensors are quantized: globs, recipes, and what cannot be.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
q=model.layers.1.self_attn.q_proj.weight

# decided OPTIONS: which tensors a conversion with these options quantizes.
decided() {
    quietly convert checkpoint -o out.octavo -f "$@"
    "$OCTAVO" inspect --json out.octavo | "$PYTHON" -c '
import json, sys
for t in json.load(sys.stdin)["tensors"]:
    if t["class"] == "codes":
        print("  quantized", t["name"], t["src_dtype"], "pow2" if t["pow2"] else "")'
}

say 'globs: the last one that matches decides'
octavo convert checkpoint -o out.octavo --keep '*.experts.*'
decided -f --keep '*.experts.*'
echo 'keep * but q_proj'
decided --keep '*' --quantize '*.q_proj.*'
echo 'one expert kept: no stack'
decided --keep '*.experts.1.*' --keep '*_proj.weight' --quantize '*.experts.[!1].*'
echo 'quantize what is not in a layer'
decided --quantize model.embed_tokens.weight

say 'globs that match nothing, cannot be, or are broken'
octavo convert checkpoint -o new.octavo --keep '*.k_proj.weight'
octavo convert checkpoint -o new.octavo --quantize q_proj
octavo convert checkpoint -o new.octavo --keep '*.experts.?.*' --keep '*.experts.??.*'
octavo convert checkpoint -o new.octavo --quantize '*norm.weight'
octavo convert checkpoint -o new.octavo --quantize '*.calls'
octavo convert checkpoint -o new.octavo --quantize '*.calls' --keep '*.calls'
octavo convert checkpoint -o new.octavo -f --keep '[a-'
octavo convert checkpoint -o new.octavo -f --keep ''
files

say 'nothing to quantize'
octavo convert checkpoint -o none.octavo --keep '*'
octavo convert checkpoint -o none.octavo --keep '*' --allow-none
octavo verify none.octavo
"$PYTHON" - <<'END'
import os, sys
sys.path.insert(0, os.path.join(os.environ["ROOT"], "tests"))
import st_write
norm = ("model.norm.weight", "BF16", [2], bytes(4))
st_write.write_file("none.safetensors", [norm])
st_write.write_file("one.safetensors", [norm, ("model.layers.0.self_attn.q_proj.weight", "BF16", [2, 2], bytes(8))])
END
octavo convert none.safetensors -n --keep '*norm*'
octavo convert one.safetensors -n --keep '*'
rm none.safetensors one.safetensors
files

say 'recipes'
cat >recipe.json <<'END'
{
  "octavo_recipe": 1,
  "scales": "ue8m0",
  "rules": [{"match": "*", "action": "keep"}, {"match": "*.mlp.*proj*", "action": "quantize"}]
}
END
decided --recipe recipe.json
echo 'options come on top, wherever they stand'
decided --quantize "$q" --scales f32 --recipe recipe.json
echo 'a rule without match is fine in a recipe'
echo '{"octavo_recipe":1,"rules":[{"match":"no.such.*","action":"keep"}]}' >other.json
decided --recipe other.json
echo 'the effective one comes out again'
quietly convert checkpoint -o out.octavo -f --recipe recipe.json --quantize "$q"
"$OCTAVO" inspect --recipe out.octavo | tee again.json
quietly convert checkpoint -o again.octavo --recipe again.json
same out.octavo again.octavo
rm again.octavo

say 'recipes that are none'
bad() {
    printf '%s' "$1" >bad.json
    echo "recipe: $1"
    octavo convert checkpoint -o new.octavo --recipe bad.json
}
bad ''
bad '{"octavo_recipe":1'
bad '[]'
bad '{}'
bad '{"octavo_recipe":2}'
bad '{"octavo_recipe":"1"}'
bad '{"octavo_recipe":1,"scale":"f32"}'
bad '{"octavo_recipe":1,"scales":"e8m0"}'
bad '{"octavo_recipe":1,"scales":"f32","scales":"f32"}'
bad '{"octavo_recipe":1,"rules":{}}'
bad '{"octavo_recipe":1,"rules":[1]}'
bad '{"octavo_recipe":1,"rules":[{"match":"*"}]}'
bad '{"octavo_recipe":1,"rules":[{"match":"*","action":"drop"}]}'
bad '{"octavo_recipe":1,"rules":[{"match":"*","action":"keep","why":"x"}]}'
bad '{"octavo_recipe":1,"rules":[{"match":"[a","action":"keep"}]}'
bad '{"octavo_recipe":1,"rules":[{"match":7,"action":"keep"}]}'
bad '{"octavo_recipe":1,"rules":[{"match":"*.calls","action":"quantize"}]}'
octavo convert checkpoint -o new.octavo --recipe missing.json
octavo convert checkpoint -o new.octavo --recipe checkpoint
files
