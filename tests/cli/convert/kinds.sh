#!/bin/bash
# The same name in different kinds of modules; towers, prediction layers, and stacks of experts under any name.
. "$ROOT/tests/cli/lib.sh"
plan() {
    say "$1"
    zeros "$@"
    "$OCTAVO" convert "$1" -n -v -q --json |
        "$PYTHON" -c 'import json, sys
for r in json.load(sys.stdin)["plan"]["records"]:
    print(" ", r["name"], r["decision"], r["reason"])' | sort
}
L=model.layers.0
plan ring-linear $L.attention.{query_key_value,g_proj,dense}.weight:256x256 $L.mlp.gate.weight:8x256
plan step $L.self_attn.{q,k,v,o}_proj.weight:256x256 $L.self_attn.g_proj.weight:8x256 $L.moe.gate.weight:8x256 \
    $L.moe.{gate,up}_proj.weight:8x128x256 $L.moe.down_proj.weight:8x256x128
plan ling $L.attention.{q,k,v,f,g}_proj.weight:256x256 $L.attention.dense.weight:256x256 $L.attention.A_log:2 \
    $L.attention.b_proj.weight:2x256 $L.attention.q_conv1d.weight:256x1x4 \
    model.layers.1.attention.{q_proj,kv_b_proj}.weight:256x256 model.layers.1.attention.g_proj.weight:2x256
plan kimi $L.self_attn.{q,k,v,o}_proj.weight:256x256 $L.self_attn.{f,g}_{a,b}_proj.weight:128x128 $L.self_attn.A_log:1x1x2x1
plan gated-delta-net $L.linear_attn.in_proj_{qkvz,ba}.weight:256x256 $L.linear_attn.out_proj.weight:256x256 \
    $L.linear_attn.{A_log,dt_bias}:2 $L.linear_attn.conv1d.weight:512x1x4 mtp.fc.weight:256x512 \
    mtp.layers.0.self_attn.q_proj.weight:256x256
plan mamba backbone.layers.0.mixer.{in,out}_proj.weight:256x256 backbone.layers.0.mixer.{A_log,D}:2 \
    backbone.layers.1.mixer.{in_proj,out_proj,x_proj}.weight:256x256 backbone.layers.1.mixer.A_log:256x16
plan indexer $L.self_attn.indexer.{wq_b,wk,weights_proj}.weight:128x128
plan granite $L.block_sparse_moe.{input,output}_linear.weight:4x256x256 $L.block_sparse_moe.router.layer.weight:4x256
plan tower model.visual.blocks.0.mlp.{gate,down}_proj.weight:256x256 model.visual.merger.mlp.0.weight:256x256 \
    vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight:256x256 $L.self_attn.q_proj.weight:256x256 \
    multi_modal_projector.linear_1.weight:256x256 audio_tower.layers.0.fc1.weight:256x256
plan heads model.layers.9.shared_head.head.weight:64x256 model.layers.9.eh_proj.weight:256x512 \
    model.layers.9.embed_tokens.weight:64x256 language_model.lm_head.weight:64x256 $L.mlp.up_proj.weight:256x256
