#!/bin/bash
# What becomes of the output file: replaced only on request, an input never, nothing half done.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint

say 'a new file'
octavo convert checkpoint -o out.octavo
files
stat -c 'mode %a' out.octavo
remember out.octavo

say 'an existing file stays without -f, whatever it is'
octavo convert checkpoint -o out.octavo --scales ue8m0
unchanged out.octavo
: >empty
octavo convert checkpoint -o empty
stat -c '%s bytes' empty
ln -s nowhere dangling
octavo convert checkpoint -o dangling
rm dangling empty

say 'and is replaced with -f'
octavo convert checkpoint -o out.octavo --scales ue8m0 -f
unchanged out.octavo
octavo convert checkpoint -o out.octavo --force
unchanged out.octavo
files

say 'a symlink is replaced itself, not what it leads to'
ln -s out.octavo link.octavo
octavo convert checkpoint -o link.octavo -f --scales ue8m0
test -L link.octavo || echo 'link.octavo is a file now'
unchanged out.octavo
rm link.octavo

say 'an input is never replaced: a shard, config.json, the index, what is embedded, the recipe'
echo '{"octavo_recipe":1}' >recipe.json
cp -r checkpoint pristine
inputs=(model-00002-of-00002.safetensors config.json model.safetensors.index.json LICENSE)
for name in "${inputs[@]}"; do
    octavo convert checkpoint -o "checkpoint/$name" -f
    ln -s "checkpoint/$name" soft
    octavo convert checkpoint -o soft -f
    ln "checkpoint/$name" hard
    octavo convert checkpoint -o hard -f
    rm soft hard
done
octavo convert checkpoint -o checkpoint/config.json -f --no-embed config.json
octavo convert checkpoint -o checkpoint/LICENSE -f --no-embed LICENSE
octavo convert checkpoint -o recipe.json -f --recipe recipe.json
cp checkpoint/model-00001-of-00002.safetensors half.safetensors
octavo convert half.safetensors -o half.safetensors -f
same half.safetensors checkpoint/model-00001-of-00002.safetensors
rm half.safetensors
diff -r checkpoint pristine && echo 'checkpoint: unchanged'
say 'what else lies beside them is no input, unless --embed makes it one'
octavo convert checkpoint -o checkpoint/out.octavo
octavo convert checkpoint -o checkpoint/out.octavo
octavo convert checkpoint -o checkpoint/out.octavo -f
octavo convert checkpoint -o checkpoint/out.octavo -f --embed '*.octavo'
octavo verify checkpoint/out.octavo
rm checkpoint/out.octavo
diff -r checkpoint pristine && echo 'checkpoint: unchanged'
rm -r pristine

say 'where no file can be'
octavo convert checkpoint -o missing/out.octavo
mkdir directory
octavo convert checkpoint -o directory
octavo convert checkpoint -o directory -f
octavo convert checkpoint -o directory/
octavo convert checkpoint -o ''
octavo convert checkpoint -o ..
octavo convert checkpoint -o out.octavo/below
mkfifo fifo
octavo convert checkpoint -o fifo -f
ln -s /dev/null null
octavo convert checkpoint -o null -f
files
files directory

say 'nor what standard output goes to, reached through a link like /dev/stdout'
ln -s /proc/self/fd/1 stdout
octavo convert checkpoint -o stdout -f
octavo convert checkpoint -o stdout -f | cat
files

say 'names of any length that the file system takes'
name=$(printf '%0249d' 0)
"$OCTAVO" convert checkpoint -o "$name" -q && mv "$name" longest && files
"$OCTAVO" convert checkpoint -o "0$name" -q 2>&1 | sed 's/0\{9,\}/00.../'
mkdir 'with space'
octavo convert checkpoint -o 'with space/ü
x'
files 'with space' | tr '\n' '?'
