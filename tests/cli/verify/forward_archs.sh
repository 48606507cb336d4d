#!/bin/bash
# Other architectures, on small random checkpoints: source and packed model, each against itself, and a dump as reference.
. "$ROOT/tests/cli/lib.sh"
models=${OCTAVO_MODELS:-$ROOT/../shared/models}
for name in llama llama-tied qwen3; do
    [[ -e $models/zoo/$name ]] || skip "no $models/zoo/$name"
done
echo "[$(seq -s, 1 3 190), 5]" >ids.json
for name in llama llama-tied qwen3; do
    ln -s "$models/zoo/$name" "$name"
    quietly convert "$name" -o "$name.octavo"

    say "$name against itself: nothing differs"
    octavo verify "$name.octavo" --against "$name.octavo" --only forward --tokens ids.json --length 32 --mode both

    say "$name against its source, whose random weights err more than trained ones"
    "$OCTAVO" verify "$name.octavo" --against "$name" --only forward --tokens ids.json --length 32 --json 2>/dev/null |
        "$PYTHON" -c 'import json, sys
for layer in json.load(sys.stdin)["forward"]["variants"][0]["layers"]:
    print(layer["kind"], 0.01 < layer["local_error"] < 0.15)'

    say "$name against its own dump"
    quietly verify "$name" --forward --tokens ids.json --length 32 --dump dump.safetensors --force
    octavo verify "$name" --forward --reference dump.safetensors
done
