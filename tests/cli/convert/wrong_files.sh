#!/bin/bash
# What is not a checkpoint, or only a part of one: what it is, and what to do.
. "$ROOT/tests/cli/lib.sh"
tiny single --single
tiny sharded

# try DIRECTORY: try the directory as a checkpoint that has a config.json.
try() {
    [[ -e $1/config.json ]] || cp single/config.json "$1"
    octavo convert "$1" -n -q
}
# holding NAME: a new directory x with a file of that name, whose content is standard input.
holding() {
    rm -rf x
    mkdir x
    cat >"x/$1"
    try x
}

say 'a file that is not what its name says'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 7\n' 0 | holding model.safetensors
printf 'PK\3\4\0\0\10\10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0archive/data.pkl' | holding model.safetensors
printf '\200\2\212\nl\374\234F' | holding model.safetensors
echo '<!DOCTYPE html><html><body>401 Unauthorized</body></html>' | holding model.safetensors
printf 'GGUF\3\0\0\0' | holding model.safetensors
head -c 4096 /dev/zero | holding model.safetensors
printf '\0\5\26\7\0\2\0\0Mac OS X        ' | holding model.safetensors
head -c 40000 single/model.safetensors | holding model.safetensors
holding model.safetensors </dev/null
printf '\3\0\0\0\0\0\0\0 {}' | holding model.safetensors
rm -rf x && mkdir x && ln -s ../../blobs/0123 x/model.safetensors && try x
cp single/model.safetensors x/w.safetensors && rm x/model.safetensors
printf '\0\5\26\7' >x/._w.safetensors && try x

say 'a text that is none'
echo '<html>403 Forbidden</html>' >x/config.json && try x
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0' >x/config.json && try x

say 'something else than safetensors'
for name in pytorch_model.bin consolidated.00.pth rng_state.pt model-Q4_K_M.gguf model.safetensors.incomplete \
    flax_model.msgpack tf_model.h5 model.onnx adapter_model.bin notes.txt; do
    echo content | holding $name
done
mkdir -p x/step-1 && cp single/model.safetensors x/step-1 && try x
cp single/model.safetensors model.gguf && octavo convert model.gguf -n -q
printf 'GGUF\3\0\0\0' >model.gguf && octavo convert model.gguf -n -q
"$PYTHON" -c 'import zipfile; zipfile.ZipFile("model.bin", "w").writestr("archive/data.pkl", "x")'
octavo convert model.bin -n -q

say 'a part of a model'
holding adapter_model.safetensors <single/model.safetensors
holding model-00001-of-00004.safetensors <single/model.safetensors
cp x/model-00001-of-00004.safetensors x/model-00003-of-00004.safetensors && try x
for number in 2 4; do
    cp x/model-00001-of-00004.safetensors x/model-0000$number-of-00004.safetensors
done
try x
cp x/model-00001-of-00004.safetensors x/other.safetensors && try x
octavo convert sharded/model-00001-of-00002.safetensors -n -q
octavo inspect sharded/model-00001-of-00002.safetensors --tensor '*norm*'
cp single/model.safetensors adapter_model.safetensors
octavo convert adapter_model.safetensors -n -q

say 'a shard of one is a model'
holding model-00001-of-00001.safetensors <single/model.safetensors
