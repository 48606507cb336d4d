#!/bin/bash
# What is not exported: each with a reason, a hint where there is one, its exit status, and nothing left behind.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert "$TESTDATA/ring-micro-linear" -o model.octavo --device cpu
quietly convert checkpoint -o tiny.octavo --device cpu --no-embed config.json

say 'command lines'
octavo export model.octavo -o out
octavo export model.octavo --for vllm
octavo export -o out --for vllm
octavo export model.octavo -o out --for tgi
octavo export model.octavo -o out --for vllm --shard-size 5GB
octavo export model.octavo -o out --for vllm --device cpu
octavo export model.octavo -o out --for tgi --json

say 'inputs'
octavo export missing -o out --for vllm
octavo export checkpoint/config.json -o out --for vllm
octavo export checkpoint -o out --for vllm
octavo export tiny.octavo -o out --for vllm
head -c 200000 model.octavo >short.octavo
octavo export short.octavo -o out --for vllm
mkdir empty
printf '\002\0\0\0\0\0\0\0{}' >empty/model.safetensors
echo '{}' >empty/config.json
quietly convert empty -o empty.octavo --device cpu --allow-none
octavo export empty.octavo -o out --for vllm

say 'FP8 that the runtime does not read'
octavo export model.octavo -o out --for ant-sglang
octavo export model.octavo -o out --for areal -n
octavo export model.octavo -o out --for hf -n
octavo export model.octavo -o out --for compressed-tensors
quietly convert "$TESTDATA/ring-micro-linear" -o head.octavo --device cpu --quantize lm_head.weight \
    --keep '*.layers.2.mlp.experts.3.up_proj.*'
octavo export head.octavo -o out --for vllm
octavo export head.octavo -o out --for ant-sglang --dequantize
octavo export head.octavo -o out --for hf --dequantize -n

say 'what the runtime would not load'
octavo export model.octavo -o out --for vllm
octavo export model.octavo -o out --for vllm -q
octavo export model.octavo -n --for vllm --allow-unloadable -q
"$OCTAVO" export model.octavo -o out --for vllm --json >"$TMPDIR/no.json" || echo "exit status $?"
"$PYTHON" -c '
import json, sys
r = json.load(open(sys.argv[1]))
print(sorted(r), r["fit"]["fits"], r["fit"]["release"], r["error"])' "$TMPDIR/no.json"
files .

say 'a config.json that tells of a quantization already'
cp -r "$TESTDATA/ring-micro-linear" quantized
sed -i 's/^{/{"quantization_config": {"quant_method": "fp8"},/' quantized/config.json
quietly convert quantized -o quantized.octavo --device cpu
octavo export quantized.octavo -o out --for vllm

say 'damage, seen while reading'
offset() {
    "$OCTAVO" inspect model.octavo --json | "$PYTHON" -c '
import json, sys
print(next(t["off"] for t in json.load(sys.stdin)["tensors"] if t["name"] == sys.argv[1]))' "$1"
}
for name in model.norm.weight 'model.layers.3.mlp.experts.*.up_proj.weight' \
    'model.layers.3.mlp.experts.*.up_proj.weight_scale_inv'; do
    cp model.octavo damaged.octavo
    flip damaged.octavo $(($(offset "$name") + 20))
    octavo export damaged.octavo -o out --for vllm --allow-unloadable -q
    octavo export damaged.octavo -o out --for bf16
done

say 'memory'
octavo export model.octavo -o out --for bf16 --memory 1000
files .
