#!/bin/bash
# Faults with right digests: the forward pass names the layer that is wrong and no other one; a difference of recipes or
# configurations is a difference.
. "$ROOT/tests/cli/lib.sh"
golden=$TESTDATA/golden/ring-micro-linear/golden.safetensors
ln -s "$TESTDATA/ring-micro-linear" source
ln -s "$golden" golden.safetensors
quietly convert source -o good.octavo

plant() {
    "$PYTHON" "$ROOT/tests/plant_fault.py" "$@" || echo "FAILED: plant $*"
}
# judge: the limits that are about layers, and the exit status
judge() {
    octavo verify bad.octavo --against source --only forward --tokens golden.safetensors -q "$@" | grep -v 'kl_mean\|top1\|not kept'
}

say 'one scale doubled'
plant scale model.layers.2.attention.dense.weight good.octavo bad.octavo
judge
plant scale model.layers.4.mlp.shared_experts.down_proj.weight good.octavo bad.octavo
judge
judge --activations fp8

say 'two experts exchanged'
plant experts 2 good.octavo bad.octavo
judge

say 'two query heads exchanged'
plant head 3 good.octavo bad.octavo
judge

say 'the other form of slopes: every linear layer, and not the softmax layer'
cp good.octavo bad.octavo
judge --slope trained,hf

say 'a router quantized against the recipe'
quietly convert source -o quantized.octavo --quantize '*.mlp.gate.weight'
plant recipe good.octavo quantized.octavo bad.octavo
octavo verify bad.octavo --against source -q

say 'a configuration that was changed'
plant config 1e-06 2e-06 good.octavo bad.octavo
judge
octavo verify bad.octavo --against source -q
octavo verify bad.octavo --against source --forward --tokens golden.safetensors --tensor model.norm.weight -q |
    grep -v 'kl_mean\|top1\|not kept'
plant config '"rope_theta": 1000000' '"rope_theta": 1000001' good.octavo bad.octavo
judge
