#!/bin/bash
# What becomes of the directory: replaced only on request and only if it is an export, never half done.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o model.octavo --device cpu --scales ue8m0
export="export model.octavo --for areal --allow-unloadable"

say 'an existing one stays'
octavo $export -o out
octavo $export -o out
octavo $export -o out -q -f --for bf16
files out
grep -c quantization_config out/config.json
octavo $export -o out -q -f --shard-size 20K
files out

say 'one that holds something else stays, whatever -f says'
echo mine >out/notes.txt
octavo $export -o out -f
files out
rm out/notes.txt
octavo $export -o checkpoint -f
mkdir directory
octavo $export -o directory
octavo $export -o directory -f
octavo $export -o model.octavo -f
ln -s out link
octavo $export -o link -f
rm -r link directory

say 'the packed file itself stays, by whatever name'
octavo $export -o trap -q
mv model.octavo trap/model-00001-of-00001.safetensors
mkdir sub
ln -s trap/model-00001-of-00001.safetensors link
for input in trap/model-00001-of-00001.safetensors link sub/../trap/model-00001-of-00001.safetensors; do
    octavo export "$input" --for areal --allow-unloadable -o trap -f
done
octavo export link --for areal --allow-unloadable -o sub/../trap/ -f
ln trap/model-00001-of-00001.safetensors model.octavo
octavo $export -o trap -f
mv trap .trap2.part
octavo $export -o trap2
files .trap2.part
rm -r .trap2.part sub link

say 'where no directory can be'
octavo $export -o missing/out
octavo $export -o .
octavo $export -o ''
octavo $export -o /

say 'what a killed run left is replaced, but nothing that is not known'
mkdir .new.part
cp out/octavo-export.json .new.part
: >.new.part/.model-00001-of-00003.safetensors.part
octavo $export -o new
mkdir .other.part
echo mine >.other.part/config.json
octavo $export -o other
files .other.part
rm -r .other.part

say 'no descriptors: nothing is left'
for n in 4 5 6 7 8; do
    (ulimit -n $n && exec "$OCTAVO" $export -o few) >/dev/null 2>&1 && echo "$n are enough"
    ls -Ad few .few.part 2>/dev/null
done

say 'no space'
in_small_disk() {
    in_namespace "
        mount -t tmpfs -o size=$1 disk small &&
        '$OCTAVO' export model.octavo --for bf16 -o small/out >'$TMPDIR/said' 2>&1
        echo \"exit status \$?\"
        sed -E 's/[0-9]+ bytes/N bytes/; s/at offset [0-9]+/at offset N/' '$TMPDIR/said'
        ls -A small"
}
mkdir small
in_small_disk 40k
rmdir small
files .
