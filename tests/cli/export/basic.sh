#!/bin/bash
# Exports of the built-in example: plans for every runtime, what is written, what the lists say, JSON.
. "$ROOT/tests/cli/lib.sh"
quietly convert "$TESTDATA/ring-micro-linear" -o f32.octavo --device cpu
quietly convert "$TESTDATA/ring-micro-linear" -o wide.octavo --device cpu --scales ue8m0 \
    --keep '*.shared_experts.*' --keep '*.g_proj.*' --keep '*.layers.0.*' --keep '*.layers.4.attention.*'

say 'plans'
octavo export f32.octavo -o out --for vllm -n
octavo export f32.octavo -o out --for areal -n --dequantize
octavo export f32.octavo -o out --for bf16 -n --shard-size 1M
octavo export wide.octavo -o out --for hf -n --dequantize
octavo export wide.octavo -o out --for sglang -n
octavo export wide.octavo -o out --for ant-sglang -n
octavo export wide.octavo -o out --for compressed-tensors -n
files .

say 'a directory'
octavo export f32.octavo -o vllm --for vllm --allow-unloadable
files vllm
stat -c 'mode %a' vllm vllm/config.json
tail -n 11 vllm/config.json
sed -E 's/[0-9a-f]{64}/ROOT/' vllm/octavo-export.json && echo
grep total_size vllm/model.safetensors.index.json
octavo inspect vllm --tensor 'model.layers.2.*dense*'

say 'options do not change the bytes'
octavo export f32.octavo -o again/ --for vllm --allow-unloadable -q --threads 1 --memory 8M
diff -r vllm again && echo 'the same'
octavo export wide.octavo -o compressed --for compressed-tensors --allow-unloadable --shard-size 1M
sed -n '/quantization_config/,/"ignore"/p' compressed/config.json
octavo export f32.octavo -o bf16 --for bf16
same bf16/config.json "$TESTDATA/ring-micro-linear/config.json" | sed 's/ and .*:/:/'

say 'JSON'
json() {
    "$OCTAVO" "$@" --json | "$PYTHON" -c '
import json, sys
r = json.load(sys.stdin)
r["root"] = len(r["root"])
if "result" in r:
    r["result"] = sorted(r["result"])
r["dequantized"] = r["dequantized"][:1]
print(json.dumps(r, indent=1))'
}
json export wide.octavo -o json --for ant-sglang -n
json export f32.octavo -o json --for areal --dequantize --shard-size 2M --allow-unloadable
files .
