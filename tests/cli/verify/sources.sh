#!/bin/bash
# verify --against: which checkpoints a packed file agrees with, whatever its options and their form; what it says of
# the others. How it says it: verify_against.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o out.octavo
up=model.layers.0.mlp.up_proj.weight

say 'the same tensors in one file, in another directory, through a link, without configuration'
tiny single --single
octavo verify out.octavo --against single -q
octavo verify out.octavo --against single/model.safetensors -q
ln -s checkpoint link
octavo verify out.octavo --against link -q --threads 3 --memory 64M

say 'other scales, rules and digests: the file says itself'
for options in '--scales ue8m0' '--digest sha256 --source-sha256' '--keep *.0.* --quantize model.embed_tokens.weight' \
    '--keep * --allow-none' '--keep *.experts.1.*' '--no-embed *'; do
    # shellcheck disable=SC2086 # words
    (set -f && quietly convert checkpoint -o other.octavo -f $options)
    octavo verify other.octavo --against checkpoint -q
done

# changed PLANT...: out.octavo against a checkpoint with other elements.
changed() {
    rm -rf other
    tiny other "$@"
    octavo verify out.octavo --against other -q
}
say 'one element differs: in a tile, at its end, in an expert, in kept tensors'
changed --plant $up 0 0000
changed --plant $up 18199 0000
changed --plant model.layers.0.mlp.experts.2.down_proj.weight 599 0000
changed --plant model.layers.1.calls 1 00000000000000ff --plant model.norm.weight 23 0000
octavo verify out.octavo --against other -q --tensor '*.layers.0.*'

say 'a float32 differs by too little to change its code: every code is right, but the source is another one'
rm -r other
cp -r checkpoint other
shard=other/model-00002-of-00002.safetensors
flip $shard $((8 + $(od -An -tu8 -N 8 $shard) + 48 + 4 * 1234))
octavo verify out.octavo --against other

say 'an infinity where there was none'
changed --plant $up 3 807f

say 'other weights altogether'
tiny stranger --seed 8
octavo verify out.octavo --against stranger -q

say 'tensors that only one side has, other shapes'
octavo verify out.octavo --against checkpoint/model-00001-of-00002.safetensors -q
mkdir half
cp checkpoint/model-00001-of-00002.safetensors half/half.safetensors
cp checkpoint/config.json half
quietly convert half/half.safetensors -o half.octavo --embed config.json
octavo verify half.octavo --against checkpoint -q
octavo verify half.octavo --against checkpoint -q --tensor '*.layers.0.*'
ln -s "$TESTDATA/ring-micro-linear" micro
octavo verify out.octavo --against micro -q --tensor '*.layers.1.input_layernorm*'

say 'no configuration on one side; a broken one'
rm -r other
cp -r checkpoint other
rm other/config.json
octavo verify out.octavo --against other
quietly convert checkpoint -o bare.octavo --no-embed '*'
octavo verify bare.octavo --against checkpoint -q
echo '{' >other/config.json
octavo verify out.octavo --against other -q

say 'no checkpoint, a broken one'
octavo verify out.octavo --against /dev/null -q
rm other/config.json
: >other/model-00001-of-00002.safetensors
octavo verify out.octavo --against other -q

say 'the built-in example'
octavo convert micro -o micro.octavo
octavo verify micro.octavo --against micro
