#!/bin/bash
# Archives that are cut off, damaged, encrypted, or made to lead elsewhere: one message, and nothing is left behind.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint

# try KIND...: convert an archive of each kind (tests/make_archive.py).
try() {
    local kind
    for kind; do
        "$PYTHON" "$ROOT/tests/make_archive.py" "$kind" checkpoint "$kind"
        octavo convert "$kind" -o out.octavo
        rm -f "$kind" out.octavo
    done
}

say 'names that lead elsewhere'
try tar-absolute tar.gz-dotdot zip-absolute stored-dotdot

say 'the same name twice, several checkpoints'
try tar-twice zip-twice tar.gz-several stored-several

say 'links that lead out, holes'
try tar-linkout tar.xz-linkout zip-linkout tar-sparse tar.gz-sparse

say 'cut off'
try tar-cut tar.gz-cut tar.xz-cut zip-cut stored-cut tar-endless zip-endless

say 'damaged'
try tar-header tar.gz-flip tar.gz-crc tar.xz-flip zip-crc

say 'encrypted'
try zip-encrypted stored-encrypted

say 'more than anybody needs'
# A member of 3 GiB that no checkpoint needs, as 3 MB of gzip; names of 4096 bytes, a hundred thousand of them.
"$PYTHON" - <<'END'
import gzip, tarfile
zeros = gzip.compress(bytes(1 << 20))
unneeded = tarfile.TarInfo("cache.bin")
unneeded.size = 3 << 30
with open("bomb.tar.gz", "wb") as f:
    f.write(gzip.compress(unneeded.tobuf()) + zeros * 3072 + gzip.compress(bytes(1024)))
with open("large.tar.gz", "wb") as f:
    unneeded.size = 257 << 20
    f.write(gzip.compress(unneeded.tobuf()) + zeros * 257 + gzip.compress(bytes(1024)))
with open("names.tar.gz", "wb") as f:
    for number in range(9000):
        member = tarfile.TarInfo(f"{number:06}" + "/abcdefg" * 500)
        f.write(gzip.compress(member.tobuf(tarfile.GNU_FORMAT), 1))
    f.write(gzip.compress(bytes(1024)))
END
octavo inspect bomb.tar.gz
octavo inspect bomb.tar.gz --max-expand 300M
octavo inspect large.tar.gz
octavo inspect large.tar.gz --max-expand 258M
mkdir lists
cp checkpoint/*.safetensors checkpoint/*.index.json lists
"$PYTHON" -c 'print("[", "[]," * 400000, "0]")' >lists/config.json
octavo inspect lists
octavo inspect lists --max-expand 128M
octavo inspect lists --max-expand 128MB
octavo inspect names.tar.gz

say 'no checkpoint in it, no archive in it'
mkdir empty
tar -cf empty.tar empty
octavo convert empty.tar -o out.octavo
gzip -c checkpoint/config.json >config.gz
octavo convert config.gz -o out.octavo
printf 'PK\3\4 and no more' >short.zip
octavo inspect short.zip
: >nothing
octavo convert nothing -o out.octavo
rm bomb.tar.gz names.tar.gz
files
