#!/bin/bash
# What headers and small files have to say, verify says before it reads a byte of weights: no check has reported
# anything yet. Damage of the packed file is told by the check of its integrity all the same.
. "$ROOT/tests/cli/lib.sh"
ln -s "$TESTDATA/ring-micro-linear" source
ln -s "$TESTDATA/golden/ring-micro-linear/golden.safetensors" golden.safetensors
quietly convert source -o micro.octavo
quietly convert source -o bare.octavo --no-embed config.json
cp -rL source mixtral
sed -i 's/BailingMoeLinearV2ForCausalLM/MixtralForCausalLM/' mixtral/config.json
quietly convert mixtral -o mixtral.octavo
cp -rL source longer
sed -i 's/"num_hidden_layers": 5/"num_hidden_layers": 6/' longer/config.json
quietly convert longer -o longer.octavo
PYTHONPATH=$ROOT/tests "$PYTHON" -c '
import st_write
st_write.write_file("ids.safetensors", [("input_ids", "I32", (1, 4), bytes(16))])'
echo '{"kl_mean": -1}' >limits.json
echo text >text
echo '[1, 2, 3]' >tokens.json
octavo_forward() {
    octavo verify micro.octavo --forward "$@"
}

say 'the packed file, and its source'
octavo verify missing.octavo --against missing
octavo verify micro.octavo --against missing
octavo verify micro.octavo --against micro.octavo --forward --tokens golden.safetensors

say 'small files'
octavo_forward --text missing
octavo_forward --tokens missing
octavo_forward --tokens text
octavo_forward --tokens tokens.json
octavo_forward --reference missing
octavo_forward --reference text
octavo_forward --tokens golden.safetensors --limits missing
octavo_forward --tokens golden.safetensors --limits limits.json
octavo_forward --tokens golden.safetensors --against source --limits missing

say 'dumps'
: >dump
octavo_forward --tokens golden.safetensors --dump dump
octavo_forward --tokens golden.safetensors --dump missing/dump
octavo_forward --tokens golden.safetensors --dump .
files

say 'models that cannot be run'
octavo verify bare.octavo --forward --tokens golden.safetensors
octavo verify mixtral.octavo --forward --tokens golden.safetensors
octavo verify micro.octavo --forward --against mixtral --tokens golden.safetensors
octavo verify longer.octavo --forward --tokens golden.safetensors | sed 's/: model.*/: .../'
octavo verify micro.octavo --only digests,forward --against longer --tokens golden.safetensors | sed 's/: model.*/: .../'

say 'but missing tensors are a difference first, if weights are compared'
octavo verify micro.octavo --forward --against longer --tokens golden.safetensors -q | sed 's/: model.*/: .../'

say 'more than the model can do, nothing to compare with'
head -c 20000 "$ROOT/LICENSE" >long
octavo_forward --text long --length 4096
octavo_forward --text long --length 4096 --against source
octavo_forward --reference ids.safetensors

say 'damage is told place by place'
damaged() {
    cp micro.octavo bad.octavo
    flip bad.octavo "$1"
    octavo verify bad.octavo --forward --tokens "$2"
}
damaged 2 golden.safetensors
at=$("$OCTAVO" inspect micro.octavo --json | grep -o '"tag":"FILE","off":[0-9]*')
damaged "${at##*:}" golden.safetensors
truncate -s -5000 bad.octavo
octavo verify bad.octavo --forward --tokens golden.safetensors
: >bad.octavo
octavo verify bad.octavo --forward --tokens golden.safetensors
at=$("$OCTAVO" inspect micro.octavo --json | grep -o '"data_off":[0-9]*')
damaged "${at##*:}" golden.safetensors
say 'a file that is missing comes before it'
damaged "${at##*:}" missing
