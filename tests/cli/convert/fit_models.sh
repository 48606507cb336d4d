#!/bin/bash
# Would vLLM and transformers load the small models of other architectures? Skipped where they are not.
. "$ROOT/tests/cli/lib.sh"
models=${OCTAVO_MODELS:-$ROOT/../shared/models}/zoo
[[ -d $models ]] || skip "no $models"
cd "$models" || exit 1
for model in deepseek_v3 glm4_moe llama llama-tied minimax mistral mixtral qwen2 qwen3 qwen3_moe; do
    octavo convert "$model" -n --for vllm --tp 1,5 | sed -n -e '1p' -e '/^  For /,$p' | grep -v golden
    octavo convert "$model" -n --for hf | sed -n -e '1p' -e '/^  For /,$p' | grep -v golden
done
