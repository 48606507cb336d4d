#!/bin/bash
# Would a runtime load it: answers of a plan for the built-in example, for shapes of released models, for models that
# lack something; as text, as JSON, as exit status. And what is no question.
. "$ROOT/tests/cli/lib.sh"
micro=$TESTDATA/ring-micro-linear
sparse() {
    "$PYTHON" "$ROOT/tests/sparse_checkpoint.py" "$@"
}
# The part of a plan that answers; from export a whole plan less its list.
fit() {
    octavo "$@" | sed -n -e '1p' -e '/^  For /,$p'
}

say 'the built-in example'
cd "$TESTDATA" || exit 1
fit convert ring-micro-linear -n --for vllm --tp 1,3 --ep 1,8
fit convert ring-micro-linear -n --for hf
fit convert ring-micro-linear -n --for hf --tp 1 --scales ue8m0
fit convert ring-micro-linear -n --for ant-sglang
fit convert ring-micro-linear -n --for ant-sglang --keep '*.shared_experts.*'
fit convert ring-micro-linear -n --for compressed-tensors
fit convert ring-micro-linear -n --for areal --tp 1 --ep 2 --keep '*.g_proj.*'
fit convert ring-micro-linear -n --for bf16 --tp 1,2,4
fit convert ring-micro-linear -n --for vllm --no-embed config.json
octavo convert ring-micro-linear -n -q --for vllm --tp 2
octavo convert ring-micro-linear -n -q --for hf
cd - >/dev/null || exit 1

say 'shapes of released models'
for model in ring-mini ring-flash; do
    sparse "$model" "$model"
    fit convert "$model" -n --for vllm --tp 1,2,4,8 --ep 1,8
done
fit convert ring-mini -n --for sglang --tp 4,8 --ep 2,4 --scales ue8m0

say 'what is missing, or too much'
sparse "$micro/config.json" missing --set num_nextn_predict_layers 1 --drop lm_head.weight \
    --drop 'model.layers.3.*' --drop 'model.layers.1.mlp.experts.7.*'
fit convert missing -n --for hf
sparse "$micro/config.json" more --set tie_word_embeddings true --set auto_map '{"AutoModel": "x.Y"}' \
    --add model.layers.5.mlp.down_proj.weight 192x320 --add model.layers.5.mlp.experts.up_proj 8x48x192 \
    --add model.layers.0.proj.weight 96x96
fit convert more -n --for hf --quantize '*.proj.weight'
fit convert more -n --for sglang

say 'a list that the runtime reads otherwise'
sparse "$micro/config.json" other --set auto_map '{"AutoModel": "x.Y"}' --add layers.0.mlp.down_proj.weight 192x320
fit convert other -n --for hf --keep 'layers.0.*' --keep '*.experts.*'
fit convert other -n --for sglang --keep 'layers.0.*'
fit convert other -n --for hf --keep '*.experts.*' --keep '*.0.mlp.*'

say 'no config.json'
printf '[]' >more/config.json
octavo convert more -n -q --for hf

say 'exports'
quietly convert "$micro" -o f32.octavo --device cpu
fit export f32.octavo -n --for hf --tp 1,2
octavo export f32.octavo -n -q --for sglang --tp 1
octavo export f32.octavo -n --for ant-sglang --tp 1
fit export f32.octavo -n --for ant-sglang --tp 1 --dequantize

say 'JSON'
"$OCTAVO" convert ring-mini -n --json --for vllm --tp 2,8 --ep 8 >"$TMPDIR/mini.json" || echo "exit status $?"
"$OCTAVO" export f32.octavo -n --json --for hf --tp 2 >"$TMPDIR/micro.json" || echo "exit status $?"
"$PYTHON" -c '
import json, sys
for path in sys.argv[1:]:
    r = json.load(open(path))
    r = {k: r[k] for k in ("kind", "output", "fit", "error")}
    r["fit"]["runs"][-1]["reasons"] = r["fit"]["runs"][-1]["reasons"][:4]
    print(json.dumps(r, indent=1))' "$TMPDIR/mini.json" "$TMPDIR/micro.json"

say 'what is no question'
octavo convert ring-mini -n --tp 2
octavo convert ring-mini -n --ep 2
octavo convert ring-mini -o out --for vllm
octavo convert ring-mini -o out --for vllm --tp 2
octavo export f32.octavo -o out --for vllm --tp 2
octavo export f32.octavo -o out --for vllm --ep 2
octavo convert ring-mini -n --for tgi
many=$(seq -s, 65)
for sizes in 0 3x '' ',' '1,' ',1' -1 1,,2 '1 2' 99999999999999999999 2147483649 "$many"; do
    octavo convert ring-mini -n -q --for vllm --tp "$sizes"
done
octavo convert ring-flash -n -q --for bf16 --tp 1,2,4 --ep "${many%,65}"
octavo convert ring-mini -n -q --for vllm --ep 2G
files .
