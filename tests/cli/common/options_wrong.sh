#!/bin/bash
# Command lines that are refused: one clear line, in most cases a hint, exit status 2, no file touched.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint

say 'commands'
octavo conver
octavo quantize checkpoint
octavo ''
octavo --json
octavo --verbose convert checkpoint

say 'options'
octavo convert checkpoint -o out --scale f32
octavo convert checkpoint -o out --thread=2
octavo convert checkpoint -o out --against checkpoint
octavo convert checkpoint -o out --frobnicate
octavo convert checkpoint -o out -x
octavo convert checkpoint -o out --force=yes
octavo inspect checkpoint --verbose
octavo help convert --json
octavo devices -q
octavo inspect -ov checkpoint

say 'values'
octavo convert checkpoint -o
octavo convert checkpoint -o out --scales
octavo convert checkpoint -o out --scales f16
octavo convert checkpoint -o out --digest md5
octavo convert checkpoint -o out --progress sometimes
octavo convert checkpoint -o out --keep '[a'
octavo convert checkpoint -o out --embed ''
for size in '' 0 5MB 1.5G -1 99999999999999999999 M; do
    octavo convert checkpoint -o out --memory "$size"
done
for threads in '' 0 -1 two 4097 99999999999; do
    octavo convert checkpoint -o out --threads "$threads"
done

say 'operands'
octavo convert
octavo convert checkpoint
octavo convert -o out
octavo convert checkpoint another -o out
octavo verify
octavo inspect
octavo inspect -- checkpoint --json
octavo devices 0

say '- where no stream is allowed'
octavo convert - -o out
octavo convert checkpoint -o out --recipe -
octavo verify file --against -
octavo verify file --forward --tokens checkpoint --dump -
octavo inspect -
octavo unpack - -o out
octavo diff - checkpoint
octavo diff checkpoint -
octavo export - -o out --for vllm
octavo export file -o - --for vllm
octavo tokenize -
octavo bench -
octavo inspect ./-

say 'options that contradict each other'
octavo verify file --quick --against checkpoint
octavo verify file --quick --only digests
octavo verify file --quick --tensor '*'
octavo verify file --only weights
octavo verify file --only digests --against checkpoint
octavo verify file --only structure,speed
octavo verify file --only structure --tensor '*'
octavo inspect file --recipe --tensor '*'
files .
