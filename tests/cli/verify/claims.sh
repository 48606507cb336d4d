#!/bin/bash
# What a packed file claims of each part, where that is not the same for all of them, and what nothing is claimed of.
. "$ROOT/tests/cli/lib.sh"
micro=$TESTDATA/ring-micro-linear
head -c 3000 "$ROOT/LICENSE" >text
ln -s "$micro" source
quietly convert source -o micro.octavo

# variant OUT NAME=wide|VALUE...: a copy of the example with this BF16 tensor as F32, or this value in an F32 tensor
cat >variant.py <<'END'
import json, os, struct, sys
sys.path.insert(0, os.path.join(os.environ["ROOT"], "tests"))
import st_write

micro, out, *edits = sys.argv[1:]
edits = dict(e.split("=") for e in edits)
tensors = []
for shard in sorted(n for n in os.listdir(micro) if n.endswith(".safetensors")):
    with open(os.path.join(micro, shard), "rb") as f:
        raw = f.read()
    start = 8 + int.from_bytes(raw[:8], "little")
    for name, t in json.loads(raw[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        dtype, data = t["dtype"], bytearray(raw[start + begin : start + end])
        if edits.get(name) == "wide":
            dtype, data = "F32", b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
        elif name in edits:
            struct.pack_into("<f", data, 0, float(edits[name]))
        tensors.append((name, dtype, t["shape"], bytes(data)))
os.makedirs(out)
st_write.write_file(os.path.join(out, "model.safetensors"), tensors)
for extra in os.listdir(micro):
    if not extra.endswith(".safetensors") and extra != "model.safetensors.index.json":
        os.symlink(os.path.join(micro, extra), os.path.join(out, extra))
END
variant() {
    ROOT=$ROOT "$PYTHON" variant.py "$micro" "$@" || echo "FAILED: variant $*"
}
verify() {
    octavo verify "$1" --against "$2" --only forward --text text --length 48 --sequences 4 "${@:3}" |
        grep '^\$\|gate:\|exit status\|octavo:'
}

say 'a head that the source has in another dtype'
variant wide lm_head.weight=wide
verify micro.octavo wide -v
say 'nothing is said of the embedding by that, in whatever batch'
token=$("$OCTAVO" tokenize source --text text | tr -dc '0-9,' | cut -d, -f1)
"$PYTHON" "$ROOT/tests/plant_fault.py" element model.word_embeddings.weight $((token * 192)) micro.octavo bad.octavo
verify bad.octavo wide -q
verify bad.octavo wide -q --memory 1M

say 'a router with an expert that is masked'
variant masked model.layers.1.mlp.gate.expert_bias=-inf
quietly convert masked -o masked.octavo
verify masked.octavo masked -v
"$PYTHON" "$ROOT/tests/plant_fault.py" element model.layers.1.mlp.gate.expert_bias 2 masked.octavo bad.octavo
verify bad.octavo masked -q

say 'powers of two, and scales of 16 bits, are not free scales'
for how in --scales=ue8m0 --dialect=compressed-tensors; do
    quietly convert source -o other.octavo "$how" -f
    rm -rf other
    quietly export other.octavo -o other --for vllm --allow-unloadable
    verify other source -v
done

say 'nothing is claimed of numbers without a recipe'
quietly export micro.octavo -o plain --for bf16
verify plain source -v

say 'other configurations are other models'
cp -rL source eps
sed -i 's/1e-06/1e-05/' eps/config.json
octavo verify micro.octavo --against eps --forward --text text --length 48 -q
