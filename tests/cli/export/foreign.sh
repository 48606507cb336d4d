#!/bin/bash
# No export describes what somebody else quantized, whatever the runtime; of block FP8, however it was
# spelled and described, an export has one description, and no scales that nothing reads.
. "$ROOT/tests/cli/lib.sh"
presets="hf vllm sglang ant-sglang areal compressed-tensors bf16"

# make KIND OPTION...: a checkpoint and its packed file.
make() {
    local kind=$1
    shift
    "$PYTHON" "$ROOT/tests/quantized_checkpoint.py" "$kind" "$kind"
    quietly convert "$kind" -o "$kind.octavo" --device cpu "$@"
}

# statuses COMMAND...: the exit status for each preset, in one line.
statuses() {
    local preset all=''
    for preset in $presets; do
        "$OCTAVO" "$@" --for "$preset" >/dev/null 2>&1
        all="$all $preset $?"
    done
    echo "octavo $*:$all"
}

for kind in nvfp4 mixed gptq undescribed bnb int4 w4afp8 mxfp4 mxfp8 fnuz e5m2 stale stray; do
    say "$kind"
    make "$kind"
    octavo export "$kind.octavo" -o out --for vllm
    statuses export "$kind.octavo" -o out
    statuses export "$kind.octavo" -n
    statuses convert "$kind" -n
done
files

say 'also where something was quantized here, or kept by a rule'
quietly convert gptq -o rule.octavo --device cpu --quantize '*self_attn*'
octavo export rule.octavo -o out --for bf16
for kind in per_tensor plaincast kv_scales; do
    "$PYTHON" "$ROOT/tests/quantized_checkpoint.py" "$kind" "$kind"
    quietly convert "$kind" -o kept.octavo -f --device cpu --keep '*' --allow-none
    octavo export kept.octavo -o out --for bf16 --allow-unloadable
done

# shape DIRECTORY: what an export consists of: descriptions, odd names, and the keys of the config.
shape() {
    files "$1"
    grep -c quant "$1/config.json"
    "$PYTHON" - "$1" <<'END'
import json, sys
names = json.load(open(sys.argv[1] + "/model.safetensors.index.json"))["weight_map"]
print(*sorted({n.rsplit(".", 1)[1] for n in names}))
END
}

say 'one description'
make nested
octavo export nested.octavo -o nested.vllm --for vllm
shape nested.vllm
octavo export nested.octavo -o nested.bf16 --for bf16
shape nested.bf16
cat nested.bf16/config.json
echo

# again KIND: FP8 that has to be rounded once more.
again() {
    "$PYTHON" "$ROOT/tests/quantized_checkpoint.py" "$1" "$1" 2>/dev/null
    quietly convert "$1" -o "$1.octavo" -f --device cpu --requantize
    octavo export "$1.octavo" -o "$1.vllm" --for vllm
    shape "$1.vllm"
    octavo verify "$1.octavo" --against "$1" -q
}

say 'tiles of the nested description'
"$PYTHON" "$ROOT/tests/quantized_checkpoint.py" nested64 nested64
octavo convert nested64 -o nested64.octavo
again nested64

say 'scales under other names'
for kind in dot_scale mistral; do
    make "$kind"
    octavo export "$kind.octavo" -o "$kind.vllm" --for vllm
    shape "$kind.vllm"
    octavo verify "$kind.octavo" --against "$kind" -q
    octavo diff "$kind.octavo" "$kind" -q
done
grep ue8m0 dot_scale.vllm/config.json
octavo convert per_tensor -n
for kind in per_tensor comfy; do
    again "$kind"
done

say 'scales of activations'
quietly convert kv_scales -o kv_scales.octavo --device cpu
for preset in hf vllm sglang ant-sglang areal bf16; do
    octavo export kv_scales.octavo -o "kv.$preset" --for "$preset"
    shape "kv.$preset" | tail -n 1
done
