#!/bin/bash
# A checkpoint in an archive is the one in the directory: the packed file has the same bytes.
. "$ROOT/tests/cli/lib.sh"
export TMPDIR
make_archive() {
    "$PYTHON" "$ROOT/tests/make_archive.py" "$@"
}

# zst NAME: of NAME.tar; without the program a copy has to do, and the unit tests know how it is.
zst() {
    zstd -q "$1.tar" -o "$1.tar.zst" 2>"$TMPDIR/none" || cp "$1.tar" "$1.tar.zst"
}

mkdir names
cp -rL "$TESTDATA/ring-micro-linear" micro
tiny tiny
for model in micro tiny; do
    say "$model, as a directory and as archives, whatever they are called"
    quietly convert $model -o $model.octavo --embed '*' --source-sha256
    for kind in tar tar.gz tar.xz zip stored; do
        make_archive $kind $model $model.$kind
        cp $model.$kind names/archive
        quietly convert names/archive -o new.octavo -f --embed '*' --source-sha256
        echo "$kind: $(same $model.octavo new.octavo)"
    done
    zst $model
    quietly convert $model.tar.zst -o new.octavo -f --embed '*' --source-sha256
    echo "tar.zst: $(same $model.octavo new.octavo)"
done

say 'made by tar itself: of what is in the directory, of the directory; links, hard and soft'
tar -C tiny -cf dot.tar .
octavo convert dot.tar -o new.octavo -f
mkdir -p soft/blobs soft/tiny hard/blobs hard/tiny
number=0
for file in tiny/*; do
    number=$((number + 1))
    cp "$file" soft/blobs/$number
    cp "$file" hard/blobs/$number
    ln -s ../blobs/$number "soft/$file"
    ln hard/blobs/$number "hard/$file"
done
tar -C soft -czf soft.tar.gz tiny blobs
octavo convert soft.tar.gz -o new.octavo -f
tar -C hard -cf hard.tar blobs tiny
octavo convert hard.tar -o new.octavo -f
quietly convert tiny -o directory.octavo
same new.octavo directory.octavo

say 'every command that takes a checkpoint'
octavo inspect tiny.tar.gz
octavo inspect tiny.zip --recipe
octavo verify tiny.octavo --against tiny.tar
octavo verify tiny.octavo --against tiny.zip --only weights -q
octavo diff tiny tiny.tar.gz
octavo diff tiny.zip tiny.octavo
octavo convert tiny.stored -o new.octavo -n -q
octavo convert micro.tar.gz -n --for vllm -q # reads the config.json inside
echo 'x y' >text
same <("$OCTAVO" tokenize micro --text text) <("$OCTAVO" tokenize micro.tar.gz --text text) | sed 's/\/dev[^ ]*/ids/g'
octavo verify micro.zip --forward --text text --length 2 -q
"$OCTAVO" inspect tiny.tar.gz --json | grep -o '"path":"[^"]*","dir":"[^"]*"'

say 'names that are not ASCII'
"$PYTHON" - <<'END'
import os
import zipfile
for name, folder in (("folder.zip", "mod\u00e8le/"), ("beside.zip", "tiny/")):
    with zipfile.ZipFile(name, "w") as z:
        for file in sorted(os.listdir("tiny")):
            z.write(f"tiny/{file}", folder + file)
        z.writestr(folder + "\u65e5\u672c\u8a9e.txt", "x")
END
for name in folder beside; do
    octavo convert $name.zip -o new.octavo -fq
    same directory.octavo new.octavo
done

say 'the archive is an input'
remember tiny.tar
octavo convert tiny.tar -o tiny.tar -f
unchanged tiny.tar
cp tiny.tar.gz own.tar.gz
octavo convert own.tar.gz -o own.tar.gz -f
same tiny.tar.gz own.tar.gz

say 'no room for what is unpacked; nothing stays'
TMPDIR=$PWD/none "$OCTAVO" convert tiny.tar.gz -o none.octavo --device cpu 2>&1 | sed "s|$PWD/||"
files "$TMPDIR" | sed -E 's/(stdout|stderr|none|remembered\.[^ ]*) //g'
files names
