#!/bin/bash
# A file or directory of the wrong kind: the message says what it is, and what to do with it.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o a.octavo
printf 'GGUF\3\0\0\0and more of it' >model.gguf
printf 'version https://git-lfs.github.com/spec/v1\n' >pointer.safetensors

say 'a checkpoint is required'
octavo convert a.octavo -o b.octavo
octavo convert a.octavo -n --json
octavo verify a.octavo --against a.octavo
octavo convert model.gguf -o b.octavo
octavo convert pointer.safetensors -o b.octavo
octavo convert checkpoint/model.safetensors.index.json -o b.octavo
octavo convert checkpoint/config.json -o b.octavo
cp -r checkpoint wrong
echo '{"error": "no such file"}' >wrong/model-00001-of-00002.safetensors
octavo convert wrong -o b.octavo

say 'a packed file is required'
truncate -s 9000 model.gguf
first=checkpoint/model-00001-of-00002.safetensors
for path in checkpoint $first model.gguf; do
    octavo verify "$path"
    octavo export "$path" -o out --for vllm
    octavo unpack "$path" -o out
done
tar -cf model.tar checkpoint
octavo verify model.tar
octavo verify missing
octavo verify missing.safetensors
files
