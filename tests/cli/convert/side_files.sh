#!/bin/bash
# The files next to the weights: what travels, what is named, what is refused.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
cd checkpoint || exit 1
# Names of released checkpoints, each with contents of its own.
travels='added_tokens.json audio_config.json chat_template.jinja chat_template.json chat_template.py
    config_sentence_transformers.json configuration_deepseek.py generation_config.json image_processor_config.json
    kimi_k25_vision_processing.py LICENSE-MODEL LICENSE.txt MODEL_LICENSE media_utils.py merges.json merges.txt
    model_args.json modeling_deepseek.py modules.json nano_v3_reasoning_parser.py NOTICE Notice.txt params.json
    preprocessor_config.json processor_config.json qwen.tiktoken README.md sentencepiece.bpe.model
    special_tokens_map.json spiece.model tekken.json thinker_config.json THIRD_PARTY_NOTICES.md tiktoken.model
    tokenization_kimi.py tokenizer.model tokenizer.model.v3 tool_declaration_ts.py USE_POLICY.md
    video_preprocessor_config.json vllm_plugin.py vocab.json vocab.txt vocabulary.json'
for name in $travels; do
    echo "{\"file\": \"$name\"}" >"$name"
done
mkdir -p additional_chat_templates 1_Pooling encoding assets .git
for name in additional_chat_templates/rag.jinja additional_chat_templates/tool_use.jinja 1_Pooling/config.json; do
    echo "{\"file\": \"$name\"}" >"$name"
    travels+=" $name"
done
echo 'print(1)' | tee encoding/encoding.py encoding/more.py >.git/config.json
echo idle >assets/logo.png
echo idle | tee .gitattributes logo.png pytorch_model.bin train.log >recipe.yaml
echo '{"bits": 4}' | tee quantize_config.json >hf_quant_config.json
cd ..

say 'all that a loader reads is embedded and exported, byte for byte; what else might matter is named'
octavo convert checkpoint -o out.octavo
quietly export out.octavo -o exported --for areal --allow-unloadable
for name in $travels quantize_config.json hf_quant_config.json; do
    cmp -s "checkpoint/$name" "exported/$name" || echo "not exported: $name"
done
quietly unpack out.octavo '*quant*_config.json' -o unpacked
same checkpoint/quantize_config.json unpacked/quantize_config.json
same checkpoint/hf_quant_config.json unpacked/hf_quant_config.json

say 'a directory in an archive, in the packed file, in an exported directory'
(cd checkpoint && tar -cf ../top.tar ./*)
tar -czf below.tar.gz checkpoint
for archive in top.tar below.tar.gz; do
    quietly convert $archive -o archive.octavo -f
    same out.octavo archive.octavo
done
files exported
files exported/additional_chat_templates
tr ',' '\n' <exported/octavo-export.json | grep /
octavo diff checkpoint out.octavo
octavo diff exported below.tar.gz -q
quietly unpack out.octavo 'add*' 1_Pooling/config.json -o unpacked -f
files unpacked
files unpacked/additional_chat_templates
octavo unpack out.octavo 1_Pooling/config.json -o -
octavo export out.octavo -o exported --for bf16 -f -q
files exported/1_Pooling
touch exported/1_Pooling/mine
octavo export out.octavo -o exported --for bf16 -f -q
rm exported/1_Pooling/mine
quietly convert checkpoint -o flat.octavo --no-embed '*/*'
octavo export flat.octavo -o exported --for bf16 -f -q
[[ -e exported/1_Pooling ]] || echo 'no directory is left'

say '--embed: * does not match a /'
octavo convert checkpoint -o out.octavo -f --embed 'encoding/*'
octavo convert checkpoint -o out.octavo -f --no-embed '*/more.py' --embed '*'
octavo convert checkpoint -o out.octavo -f --embed '*more.py'

say 'a glob that names it ends the note'
octavo convert checkpoint -o out.octavo -f --no-embed recipe.yaml --no-embed 'enc*/*'
octavo convert checkpoint -o out.octavo -f --embed recipe.yaml
octavo convert checkpoint -n --embed recipe.yaml -q

say 'no note without config.json: nothing says that the files belong together'
mv checkpoint/config.json .
octavo convert checkpoint -o out.octavo -f
mv config.json checkpoint

say 'a Git LFS pointer is not the file'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 7\n' 0 >checkpoint/tokenizer.json
octavo convert checkpoint -n
octavo convert checkpoint -o out.octavo -f
octavo diff checkpoint checkpoint
octavo convert checkpoint -o out.octavo -f --no-embed tokenizer.json
