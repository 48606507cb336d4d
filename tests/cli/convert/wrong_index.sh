#!/bin/bash
# Which index counts, and indexes that disagree with their shards: how, and what would repair it.
. "$ROOT/tests/cli/lib.sh"
index=model.safetensors.index.json
one=model-00001-of-00002.safetensors
two=model-00002-of-00002.safetensors
tiny sharded
tiny single --single

# with PYTHON: x is the sharded checkpoint, after the statement has changed its weight_map m.
with() {
    rm -rf x
    cp -r sharded x
    "$PYTHON" -c 'import json, sys
path = "x/model.safetensors.index.json"
index = json.load(open(path))
m = index["weight_map"]
exec(sys.argv[1])
json.dump(index, open(path, "w"))' "$1"
}
try() {
    octavo convert x -n -q 2>&1 | sed -E '/note: x: tensor/d'
}
# notes DIRECTORY: what a conversion has to say that is no error.
notes() {
    "$OCTAVO" convert "$1" -n 2>"$TMPDIR/notes" >"$TMPDIR/stdout"
    cat "$TMPDIR/notes"
}

say 'scales of an FP8 version'
with 'm.update({n + "_scale_inv": m[n] for n in list(m) if "proj" in n})'
try
say 'scales of FP8 weights, which would be lost'
rm -rf fp8 && cp -r single fp8
"$PYTHON" - <<'END'
import json
with open("fp8/model.safetensors", "r+b") as f:
    n = int.from_bytes(f.read(8), "little")
    header = json.loads(f.read(n))
    tensor = header["model.embed_tokens.weight"]
    tensor.update(dtype="F8_E4M3", shape=[16, 48])
    text = json.dumps(header).encode()
    rest = f.read()
    f.seek(0)
    f.write(len(text).to_bytes(8, "little") + text + rest)
    f.truncate()
del header["__metadata__"]
m = {name: "model.safetensors" for name in [*header, "model.embed_tokens.weight_scale_inv"]}
json.dump({"weight_map": m}, open("fp8/model.safetensors.index.json", "w"))
END
octavo convert fp8 -n -q
say 'names of shards that there were once'
with 'm.update({n: f"model-{1 + k % 4:05}-of-00004.safetensors" for k, n in enumerate(m)})'
mv x/$one x/model-00001-of-00004.safetensors
mv x/$two x/model-00002-of-00004.safetensors
try
say 'a missing shard, one that a link does not lead to'
with pass
rm x/$two
try
ln -s ../blobs/0123 x/$two
try
say 'a head that is tied'
with "m['lm_head.weight'] = '$two'"
try
say 'a tensor that the index does not list, one that no shard has, both'
with 'del m["model.norm.weight"]'
try
with "m['model.norm.bias'] = '$two'"
try
with "del m['model.norm.weight']; m['model.norm.bias'] = '$two'"
try
say 'a shard of another save: tensors in both'
with pass
cp x/$one x/$two
try

say 'two models: transformers would load one, vLLM the other'
with pass
cp single/model.safetensors x
try
octavo convert x/model.safetensors -n -q
rm x/$index
octavo convert x -n -q

say 'consolidated: not taken if there is anything else, else by its own index'
with pass
cp single/model.safetensors x/consolidated.safetensors
notes x
rm -rf y && cp -r single y
cp single/model.safetensors y/consolidated-00001-of-00001.safetensors
sed "s/$one/consolidated-1.safetensors/; s/$two/consolidated-2.safetensors/" x/$index >y/consolidated.safetensors.index.json
notes y
rm -rf x && mkdir x && cp sharded/config.json x
cp sharded/$one x/consolidated-1.safetensors
cp sharded/$two x/consolidated-2.safetensors
sed "s/$one/consolidated-1.safetensors/g; s/$two/consolidated-2.safetensors/g" sharded/$index >x/consolidated.safetensors.index.json
quietly convert x -o x.octavo
octavo verify x.octavo --against x -q
octavo convert x -o x/consolidated.safetensors.index.json -f
tar -cf x.tar x
octavo diff x x.tar
cp x/consolidated.safetensors.index.json x/other.safetensors.index.json
octavo convert x -n -q

say 'weights in a directory are named'
cp -r single deep
mkdir deep/2_Dense deep/.cache
cp single/model.safetensors deep/2_Dense
cp single/model.safetensors deep/.cache
notes deep
