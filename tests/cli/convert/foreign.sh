#!/bin/bash
# Checkpoints that somebody else has quantized: what convert says and does, and that every byte comes back.
. "$ROOT/tests/cli/lib.sh"

# Every kind: the note, what becomes of the tensors, and the way back.
for kind in nvfp4 mixed gptq undescribed bnb int4 w4afp8 mxfp4 mxfp8 fnuz e5m2; do
    say "$kind"
    "$PYTHON" "$ROOT/tests/quantized_checkpoint.py" "$kind" "$kind"
    octavo convert "$kind" -n | grep -E '^  !|down_proj.*carry|q_proj|^  tensors|exit'
    quietly convert "$kind" -o "$kind.octavo" --device cpu
    octavo verify "$kind.octavo" --against "$kind" -q
    quietly unpack "$kind.octavo" -o "$kind.tensors"
    octavo diff "$kind.octavo" "$kind" -q
done

say 'states'
octavo inspect nvfp4 --tensor '*down_proj*' | grep -E 'states|proj'
octavo inspect nvfp4.octavo | grep -E 'tensors|states'
octavo inspect mixed --json | "$PYTHON" -c 'import json, sys
text = "".join(l for l in sys.stdin if l.startswith("  ") and "exit status" not in l)
for t in json.loads(text)["tensors"]:
    if ".1." not in t["name"]:
        print(t["name"], t["state"], t.get("method", "-"))'

say 'rules'
octavo convert nvfp4 -n --quantize '*self_attn*' | grep -E '^  !|a rule|^  tensors|exit'
octavo convert int4 -n --quantize '*experts*'
octavo convert int4 -n --quantize '*weight_scale'
octavo convert gptq -o rule.octavo --quantize '*q_proj.weight' --keep '*.mlp.*' --device cpu -q
octavo verify rule.octavo --against gptq -q

say 'a description that nothing follows'
"$PYTHON" "$ROOT/tests/quantized_checkpoint.py" stale stale
octavo convert stale -n | grep -E '^  !|^  tensors|exit'
