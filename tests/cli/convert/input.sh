#!/bin/bash
# Checkpoints that are not as they should be: what is said, and that nothing is left behind. Malformed headers have
# tests of their own (tests/hostile).
. "$ROOT/tests/cli/lib.sh"
tiny pristine
first=model-00001-of-00002.safetensors second=model-00002-of-00002.safetensors
index=model.safetensors.index.json

# try: convert ./checkpoint, which was spoiled, and renew it.
try() {
    octavo convert checkpoint -o out.octavo "$@"
    chmod -R u+rwx checkpoint
    rm -rf checkpoint out.octavo
    cp -r pristine checkpoint
}
cp -r pristine checkpoint

say 'config.json'
rm checkpoint/config.json
try
echo '{"model_type": ' >checkpoint/config.json
try
echo '[1]' >checkpoint/config.json
try
: >checkpoint/config.json
try
printf '{"a":1,"a":2}' >checkpoint/config.json
try
rm checkpoint/config.json && mkdir checkpoint/config.json
try

say 'shards: truncated, empty, missing, too long, not readable as such'
truncate -s 20000 checkpoint/$second
try
truncate -s 5 checkpoint/$second
try
: >checkpoint/$first
try
rm checkpoint/$first checkpoint/$second
try
echo >>checkpoint/$second
try
rm checkpoint/$second && mkdir checkpoint/$second
try
rm checkpoint/$second && mkfifo checkpoint/$second
try
cp checkpoint/$first checkpoint/$second
try
rm checkpoint/$first && ln -s nowhere checkpoint/$first
try
cp checkpoint/$first checkpoint/stray.safetensors
try

say 'the index: a missing entry, a surplus one, a wrong shard, a path that leads out, no JSON'
sed -i '/up_proj/d' checkpoint/$index
try
sed -i '/q_proj/d; /expert_bias/d; s/"model.norm.weight": "[^"]*"/"model.norm.bias": "'$first'"/' checkpoint/$index
try
sed -i "s/\(input_layernorm.weight\": \"\)$second/\1$first/" checkpoint/$index
try
sed -i "s/$second/..\/pristine\/$second/" checkpoint/$index
try
truncate -s -2 checkpoint/$index
try
echo '{"weight_map":{}}' >checkpoint/$index
try
rm checkpoint/$index
try

say 'no checkpoint at all'
octavo convert missing -o out.octavo
mkdir empty
octavo convert empty -o out.octavo
octavo convert pristine/config.json -o out.octavo
octavo convert /dev/null -o out.octavo
octavo convert - -o out.octavo
mkfifo fifo
octavo convert fifo -o out.octavo
echo '$ octavo convert /dev/stdin -o out.octavo <pristine/'$first
under "$OCTAVO" convert /dev/stdin -o out.octavo <pristine/$first
rm -f out.octavo
echo "\$ cat pristine/$first | octavo convert /dev/stdin -o out.octavo"
cat pristine/$first | under "$OCTAVO" convert /dev/stdin -o out.octavo
octavo convert '' -o out.octavo
octavo convert pristine -o ''
octavo bench ''
quietly convert pristine -o packed.octavo
octavo convert packed.octavo -o out.octavo
files
