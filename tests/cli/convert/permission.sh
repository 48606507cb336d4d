#!/bin/bash
# What may not be read or written. Root may everything: as root this runs as the user 65534.
. "$ROOT/tests/cli/lib.sh"
tiny pristine
cp "$OCTAVO" octavo.copy
as_nobody ./octavo.copy -V >"$TMPDIR/version" 2>&1 || skip 'cannot run octavo as another user'
chmod 777 .

# try COMMAND_LINE...: octavo without root's rights.
try() {
    echo "\$ octavo $*"
    under as_nobody ./octavo.copy "$@"
}
# fresh: a checkpoint of that user
fresh() {
    chmod -R u+rwx checkpoint 2>/dev/null
    rm -rf checkpoint
    cp -r pristine checkpoint
    chmod -R go+r checkpoint
}

say 'a checkpoint that may not be read: the directory, a shard, the index, config.json, an embedded file'
fresh
chmod 000 checkpoint
try convert checkpoint -o out.octavo
for name in model-00002-of-00002.safetensors model.safetensors.index.json config.json LICENSE; do
    fresh
    chmod 000 checkpoint/$name
    try convert checkpoint -o out.octavo
done
say 'a directory that lets names through, but no list of them'
fresh
cp checkpoint/model-00001-of-00002.safetensors checkpoint/half.safetensors
chmod 111 checkpoint
try convert checkpoint -o out.octavo
try convert checkpoint/half.safetensors -o out.octavo
files

say 'an output directory that may not be written, a file that may not be replaced there'
fresh
mkdir locked
quietly convert checkpoint -o locked/old.octavo
remember locked/old.octavo
chmod 555 locked
try convert checkpoint -o locked/out.octavo
try convert checkpoint -o locked/old.octavo -f
unchanged locked/old.octavo
chmod 000 locked
try convert checkpoint -o locked/out.octavo
try verify locked/old.octavo
chmod 755 locked
files locked

say 'a packed file that may not be read'
chmod 000 locked/old.octavo
try verify locked/old.octavo
try inspect locked/old.octavo

say 'a read-only file in a directory of ours is replaced, and stays read-only'
try convert checkpoint -o out.octavo
chmod 444 out.octavo
try convert checkpoint -o out.octavo -f
stat -c 'mode %a' out.octavo
files
