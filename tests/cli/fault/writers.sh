#!/bin/bash
# Several runs and one output: one writes at a time, what a killed run left is replaced, nobody sees half a file.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
quietly convert checkpoint -o good.octavo
quietly convert checkpoint -o other.octavo --scales ue8m0

say 'another run holds the temporary file'
echo '$ flock .out.octavo.part octavo convert checkpoint -o out.octavo'
under flock .out.octavo.part "$OCTAVO" convert checkpoint -o out.octavo
cp good.octavo out.octavo
under flock .out.octavo.part "$OCTAVO" convert checkpoint -o out.octavo -f
same out.octavo good.octavo
files
rm out.octavo

say 'one that was left is replaced, however long it is'
octavo convert checkpoint -o out.octavo
same out.octavo good.octavo
head -c 5000000 /dev/zero | tr '\0' x >.out.octavo.part
octavo convert checkpoint -o out.octavo -f
same out.octavo good.octavo
stat -c 'mode %a, %h name' out.octavo

say 'but not when it is some other file as well'
tiny broken --plant model.layers.1.self_attn.q_proj.weight 5999 0000807f
for name in out.octavo checkpoint/config.json good.octavo; do
    remember "$name"
    ln -f "$name" .out.octavo.part
    octavo convert broken -o out.octavo -f
    unchanged "$name"
    ln -f "$name" .out.octavo.part
    octavo convert checkpoint -o out.octavo -f
    unchanged "$name"
done
files
rm -f out.octavo .out.octavo.part

say 'what else may stand there is left alone'
ln -s good.octavo .out.octavo.part
octavo convert checkpoint -o out.octavo
same good.octavo good.octavo
rm .out.octavo.part
mkfifo .out.octavo.part
octavo convert checkpoint -o out.octavo
rm .out.octavo.part
mkdir .out.octavo.part
octavo convert checkpoint -o out.octavo
rmdir .out.octavo.part

# storm OPTIONS: eight runs at once, five times; how they may end, and what may be there.
storm() {
    local round run pids scales status ended=
    for ((round = 0; round < 5; round++)); do
        rm -f out.octavo
        pids=()
        for run in 1 2 3 4 5 6 7 8; do
            scales=f32
            ((run % 2)) || scales=ue8m0
            "$OCTAVO" convert checkpoint -o out.octavo -q "$@" --scales $scales 2>>complaints &
            pids+=($!)
        done
        ended=
        for run in "${pids[@]}"; do
            status=0
            wait "$run" || status=$?
            ended+=" $status"
        done
        [[ $ended =~ ^(' '[03]){8}$ ]] || echo "exit status$ended"
        [[ $ended == *0* ]] || echo 'nobody succeeded'
        [[ $* == -f || $(tr -cd 0 <<<"$ended") == 0 ]] || echo "more than one made the file:$ended"
        cmp -s out.octavo good.octavo || cmp -s out.octavo other.octavo || echo 'the file is neither'
        [[ ! -e .out.octavo.part ]] || echo 'a temporary file was left'
    done
    grep -v '^hint:' complaints | sort -u | sed 's/^/  ! /'
    : >complaints
}
say 'eight at once, without and with -f'
storm >storm
sed '/: exists$/d; /another run is writing it/d; /cannot rename .*: File exists$/d' storm
storm -f >storm
sed '/another run is writing it/d' storm
