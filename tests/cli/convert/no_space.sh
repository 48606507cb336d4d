#!/bin/bash
# A full disk and a read-only one, for real: small file systems in a name space of their own.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o old.octavo
ln -s "$TESTDATA/ring-micro-linear" micro

in_namespace '
. "$ROOT/tests/cli/lib.sh"
mkdir disk

say "64 KiB for a file of 124: known before the first byte is written"
mount -t tmpfs -o size=64k none disk
octavo convert checkpoint -o disk/out.octavo
files disk
umount disk

say "one page short"
mount -t tmpfs -o size=$(stat -c %s old.octavo) none disk
head -c 4096 /dev/zero >disk/other
octavo convert checkpoint -o disk/out.octavo
files disk

say "just enough"
rm disk/other
octavo convert checkpoint -o disk/out.octavo
same disk/out.octavo old.octavo

say "not twice: the old file stays, to the bit"
octavo convert checkpoint -o disk/out.octavo -f --scales ue8m0
same disk/out.octavo old.octavo
files disk
umount disk

say "1 MiB for 3 MB"
mount -t tmpfs -o size=1m none disk
cp old.octavo disk/out.octavo
octavo convert micro -o disk/out.octavo -f
same disk/out.octavo old.octavo
files disk

say "read-only"
mount -o remount,bind,ro disk || exit 1
octavo convert checkpoint -o disk/out.octavo
octavo convert checkpoint -o disk/out.octavo -f
octavo convert checkpoint -o disk/new.octavo
same disk/out.octavo old.octavo
files disk
quietly verify disk/out.octavo
umount disk

say "a read-only checkpoint is as good as any"
mount -t tmpfs none disk
cp -r checkpoint disk
mount -o remount,bind,ro disk || exit 1
octavo convert disk/checkpoint -o new.octavo
same new.octavo old.octavo
umount disk

say "no room to unpack an archive"
# Where it is full is not the same in every build: a thread sanitizer keeps a file in TMPDIR too.
tar -chzf micro.tar.gz micro
mount -t tmpfs -o size=64k none disk
TMPDIR=disk "$OCTAVO" convert micro.tar.gz -o new.octavo -f --device cpu 2>message
echo "  exit status $?"
sed "s/offset [0-9]*/offset N/" message
files disk
umount disk

say "no more files"
mount -t tmpfs -o nr_inodes=2 none disk
: >disk/last
octavo convert checkpoint -o disk/out.octavo
files disk
umount disk
'
