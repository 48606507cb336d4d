#!/bin/bash
# Checkpoints that are FP8 already: carried over, what cannot be, and the way back.
. "$ROOT/tests/cli/lib.sh"
ln -s "$TESTDATA/ring-micro-linear" micro
quietly convert micro -o first.octavo --device cpu
quietly export first.octavo -o fp8 --for vllm --allow-unloadable

# again DIR: the shards of an export that was made from an export.
again() {
    quietly export "$1.octavo" -o "$1.again" --for vllm --allow-unloadable
    same "$1.again/model-00001-of-00001.safetensors" "$1/model-00001-of-00001.safetensors"
    same "$1.again/config.json" "$1/config.json"
}

say 'carried over'
octavo convert fp8 -o fp8.octavo -n | grep -E 'layers [04]|carry|tensors '
octavo convert fp8 -o fp8.octavo --device cpu
octavo verify fp8.octavo --against fp8
octavo verify fp8.octavo --against fp8 --only forward --forward --text "$TESTDATA/ring-micro-linear/tokenizer.json" \
    --length 256 | grep -E 'KL|status'
octavo inspect fp8.octavo --tensor '*.layers.1.attention.*' | grep -v '^  root '
octavo diff fp8.octavo first.octavo
octavo diff fp8.octavo fp8
again fp8
octavo export fp8.octavo -o plain --for bf16
grep -c quantization_config plain/config.json

say 'a config that says otherwise'
sed -i 's/"ue8m0"/"x"/; s/128,$/64,/' fp8/config.json
octavo convert fp8 -o other.octavo
sed -i 's/ 64,$/ 128,/' fp8/config.json

say 'rounded once more'
octavo convert fp8 -o other.octavo --scales ue8m0
octavo convert fp8 -o other.octavo --scales ue8m0 --requantize --device cpu
octavo verify other.octavo --against fp8 | sed '/largest errors/,/exit/{/exit/!d}'
octavo verify other.octavo --against micro -q | sed -n '1,2p;$p'
octavo convert fp8 -o other.octavo -f -q --keep '*' --allow-none
octavo verify other.octavo --against fp8 -q

say 'apart from its scales'
octavo convert fp8 -o other.octavo -f -q --keep '*.layers.1.attention.dense.weight'
octavo diff fp8 other.octavo
octavo export other.octavo -o kept --for vllm
octavo export other.octavo -o kept --for bf16
files .
