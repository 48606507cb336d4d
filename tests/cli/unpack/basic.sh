#!/bin/bash
# unpack: all of a packed file and parts of it, as stored and as plain numbers; what is in the way; damage.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o in.octavo --keep '*o_proj*'

# tensors FILE: names, dtypes and shapes, in the order of the file.
tensors() {
    "$PYTHON" - "$1" <<'END'
import json, struct, sys
with open(sys.argv[1], "rb") as f:
    header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
for name, t in header.items():
    print(f"  {name} {t['dtype']} {t['shape']} {t['data_offsets'][1] - t['data_offsets'][0]}")
END
}

say 'everything'
octavo unpack in.octavo -o all
files all
tensors all/tensors.safetensors
for f in config.json LICENSE tokenizer_config.json; do
    same all/$f checkpoint/$f
done
octavo unpack in.octavo -o again --threads 1 --memory 1M -q
same all/tensors.safetensors again/tensors.safetensors

say 'by name: tensors bring their scales, a stack its members'
octavo unpack in.octavo 'model.layers.0.mlp.up_proj.weight' LICENSE -o some
files some
tensors some/tensors.safetensors
octavo unpack in.octavo 'model.layers.0.mlp.experts.*.down_proj.weight' -o stack
tensors stack/tensors.safetensors
octavo unpack in.octavo 'model.layers.0.mlp.experts.1.*' -o member
tensors member/tensors.safetensors
octavo unpack in.octavo '*.2.down_proj.weight_scale_inv' -o scales
tensors scales/tensors.safetensors
octavo unpack in.octavo '*.json' -o json
files json

say 'one file of tensors, one file to standard output'
octavo unpack in.octavo -o all.safetensors
same all.safetensors all/tensors.safetensors
octavo unpack in.octavo -o all.safetensors
octavo unpack in.octavo -o all.safetensors 'model.norm.*' -f
tensors all.safetensors
octavo unpack in.octavo config.json -o -
octavo unpack in.octavo '*.json' -o -
octavo unpack in.octavo 'model.norm.weight' -o -
octavo unpack in.octavo LICENSE -o some.safetensors

say 'plain numbers'
octavo unpack in.octavo -o f32 --dequantize f32
tensors f32/tensors.safetensors
octavo unpack in.octavo '*experts.2.*' -o bf16 --dequantize bf16
tensors bf16/tensors.safetensors
octavo unpack in.octavo '*_scale_inv' -o none --dequantize bf16

say 'JSON'
"$OCTAVO" unpack in.octavo 'model.norm.weight' '*experts.0.*' LICENSE -o j --json | "$PYTHON" -c '
import json, sys
top = json.load(sys.stdin)
assert top.pop("seconds") > 0
print(top)'
"$OCTAVO" unpack in.octavo -o j --json 2>/dev/null | sed "s/^/  /"

say 'what is in the way'
octavo unpack in.octavo -o all
octavo unpack in.octavo -o in.octavo
octavo unpack in.octavo -o missing/all
octavo unpack in.octavo -o ''
echo mine >some/mine
echo old >some/LICENSE
octavo unpack in.octavo LICENSE 'model.norm.weight' -o some -f
files some
same some/LICENSE checkpoint/LICENSE
tensors some/tensors.safetensors
mkdir empty held held/config.json
octavo unpack in.octavo LICENSE -o empty
files empty
octavo unpack in.octavo -o held -f
files held
mkdir trap
mv in.octavo trap/LICENSE
octavo unpack trap/LICENSE -o trap -f
octavo unpack trap/LICENSE config.json -o trap -f
files trap
mv trap/LICENSE .w.safetensors.part
octavo unpack .w.safetensors.part -o w.safetensors
mv .w.safetensors.part in.octavo
mkdir .trap2.part
mv in.octavo .trap2.part/LICENSE
octavo unpack .trap2.part/LICENSE -o trap2
mv .trap2.part trap/.octavo.part
octavo unpack trap/.octavo.part/LICENSE config.json -o trap -f
mv trap/.octavo.part/LICENSE in.octavo
rmdir trap/.octavo.part
mkdir here
(cd here && octavo unpack ../in.octavo LICENSE -o .)
files here

say 'what a killed run left is replaced, but nothing that is not known'
mkdir .left.part
echo half >.left.part/.tensors.safetensors.part
echo old >.left.part/config.json
octavo unpack in.octavo LICENSE -o left
files left
mkdir .left2.part
echo precious >.left2.part/notes.txt
echo old >.left2.part/LICENSE
octavo unpack in.octavo LICENSE -o left2
files .left2.part
mkdir left3 left3/.octavo.part
mv .left2.part/notes.txt left3/.octavo.part
octavo unpack in.octavo LICENSE -o left3
octavo unpack in.octavo LICENSE -o left3 -f
files left3/.octavo.part
rm -r left* .left2.part

say 'no descriptors: nothing is left'
mkdir few
for n in 4 5 6 7 8; do
    (ulimit -n $n && exec "$OCTAVO" unpack in.octavo -o few.new) >/dev/null 2>&1 && echo "$n are enough"
    (ulimit -n $n && exec "$OCTAVO" unpack in.octavo -o few) >/dev/null 2>&1 && echo "$n are enough"
    ls -Ad few.new .few.new.part few/.octavo.part 2>/dev/null
done
rmdir few

say 'an embedded file with a name that is needed on the way'
cp -r checkpoint odd
echo odd >odd/.LICENSE.part
quietly convert odd -o odd.octavo --embed '.LICENSE.part'
octavo unpack odd.octavo -o odd.out
octavo unpack odd.octavo .LICENSE.part -o -
octavo unpack odd.octavo LICENSE -o odd.out
files odd.out

say 'a damaged chunk, of a tensor and of its scales; what is not read does not matter'
cp in.octavo bad.octavo
off=$("$OCTAVO" inspect --json in.octavo | "$PYTHON" -c '
import json, sys
print(*(t["off"] for t in json.load(sys.stdin)["tensors"] if "up_proj" in t["name"]))')
read -r codes scales <<<"$off"
flip bad.octavo "$codes"
octavo unpack bad.octavo -o bad
octavo unpack bad.octavo LICENSE '*norm*' -o whole
flip bad.octavo "$codes"
flip bad.octavo "$scales"
octavo unpack bad.octavo '*up_proj.weight' -o bad.safetensors --dequantize f32
octavo unpack bad.octavo -o bad --json | sed 's/"message":"[^"]*"/MESSAGE/'
truncate -s -5000 bad.octavo
octavo unpack bad.octavo -o bad
files .

say 'command lines that are refused'
octavo unpack
octavo unpack in.octavo
octavo unpack -o out
octavo unpack in.octavo -o out '[a'
octavo unpack in.octavo -o out nothing 'model.*'
octavo unpack in.octavo -o out --dequantize f16
octavo unpack in.octavo -o - --dequantize f32
octavo unpack in.octavo LICENSE -o - --json
octavo unpack in.octavo -o out --memory 10K
octavo unpack checkpoint -o out
octavo unpack missing -o out
[[ -e out ]] && echo "out is there" || echo "nothing was written"
