#!/bin/bash
# Faults with right digests: the forward pass names the part that is wrong and no other one, however small the fault; a
# difference of recipes or configurations is a difference. `make gate` tries every kind of fault on more models.
. "$ROOT/tests/cli/lib.sh"
golden=$TESTDATA/golden/ring-micro-linear/golden.safetensors
ln -s "$TESTDATA/ring-micro-linear" source
ln -s "$golden" golden.safetensors
quietly convert source -o good.octavo

plant() {
    "$PYTHON" "$ROOT/tests/plant_fault.py" "$@" || echo "FAILED: plant $*"
}
judge() {
    octavo verify bad.octavo --against source --only forward --tokens golden.safetensors -q "$@"
}

say 'no fault'
cp good.octavo bad.octavo
judge

say 'one scale doubled'
plant scale model.layers.2.attention.dense.weight good.octavo bad.octavo
judge
plant scale model.layers.4.mlp.shared_experts.down_proj.weight good.octavo bad.octavo
judge
judge --activations fp8

say 'one code, to its neighbour'
plant code model.layers.1.mlp.experts.5.up_proj.weight 7 good.octavo bad.octavo
judge --activations both

say 'two experts exchanged'
plant experts 2 good.octavo bad.octavo
judge

say 'two query heads exchanged'
plant head 3 good.octavo bad.octavo
judge

say 'the router: a weight, two rows, its bias'
plant element model.layers.3.mlp.gate.weight 5 good.octavo bad.octavo
judge
plant exchange model.layers.3.mlp.gate.weight good.octavo bad.octavo
judge
plant element model.layers.3.mlp.gate.expert_bias 5 good.octavo bad.octavo
judge

say 'norms: before attention, before the experts (which also moves the router), and the last one'
plant element model.layers.1.input_layernorm.weight good.octavo bad.octavo
judge
plant element model.layers.1.post_attention_layernorm.weight good.octavo bad.octavo
judge
plant element model.norm.weight good.octavo bad.octavo
judge

say 'a row of the embedding, of a token that occurs'
plant rotate model.word_embeddings.weight 6 good.octavo bad.octavo
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
octavo verify bad.octavo --against source --forward --tokens golden.safetensors --tensor model.norm.weight -q
plant config '"rope_theta": 1000000' '"rope_theta": 1000001' good.octavo bad.octavo
judge
