#!/bin/bash
# Every command that reads files of others enters the sandbox, and works in it with links as the Hub's cache has them.
. "$ROOT/tests/cli/lib.sh"
is_sanitized && skip 'a sanitizer starts processes and writes files: no sandbox'
strace -e trace=none true 2>/dev/null || skip 'strace does not work here'

# sandboxed ARGUMENTS: whether the kernel was asked for both halves of the sandbox, and said yes.
sandboxed() {
    local asked status=0
    strace -f -qq -o "$TMPDIR/calls" -e trace=landlock_restrict_self,seccomp "$OCTAVO" "$@" \
        >"$TMPDIR/stdout" 2>&1 || status=$?
    asked=$(grep -oE '(landlock_restrict_self|seccomp)\(.* = -?[0-9]+' "$TMPDIR/calls" | sed -E 's/\(.* = / = /' | tr '\n' ' ')
    echo "$1: exit $status, ${asked:-no sandbox}"
}

tiny checkpoint
quietly convert checkpoint -o packed
sandboxed --version
grep -q 'landlock_restrict_self = 0' <<<"$(sandboxed inspect packed)" || skip 'this kernel has no Landlock'
say 'each command'
sandboxed convert checkpoint -o other --device cpu
sandboxed convert checkpoint -n
sandboxed verify packed
sandboxed inspect packed
sandboxed unpack packed -o unpacked
sandboxed diff packed other
sandboxed export packed -n --for hf
sandboxed tokenize checkpoint
sandboxed devices

say 'a snapshot of links, and an archive of it'
mkdir -p cache/blobs snapshot/additional_chat_templates
for file in checkpoint/*; do
    cp "$file" "cache/blobs/of-${file##*/}"
    ln -s "../cache/blobs/of-${file##*/}" "snapshot/${file##*/}"
done
echo '{{ tools }}' >cache/blobs/tools
ln -s ../../cache/blobs/tools snapshot/additional_chat_templates/tool_use.jinja
octavo verify packed --against snapshot -q
octavo convert snapshot -o of-links -q
octavo unpack of-links additional_chat_templates/tool_use.jinja -o -
tar czhf snapshot.tar.gz snapshot
octavo convert snapshot.tar.gz -o of-archive -q
same of-links of-archive
octavo inspect --recipe packed
(cd snapshot && "$OCTAVO" verify ../of-links --against . -q && echo 'from within: OK')
octavo verify - -q <packed

say 'texts in directories, and what links there lead to'
mkdir -p texts/a/b others
echo '{"text": "a"}' >others/lines
echo 'a' >others/text
ln -s ../others/lines texts/lines.jsonl
ln -s ../../../others/text texts/a/b/linked.txt
echo 'a' >texts/a/b/own.txt
cp "$TESTDATA/ring-micro-linear/tokenizer.json" .
octavo tokenize tokenizer.json --text texts --text others/text

say 'what it does not reach, and how to do without'
mkdir -p far/off/away
mv snapshot/model-00001-of-00002.safetensors far/off/away/
mkdir -p deep/a/b/c
cp -L snapshot/config.json snapshot/*-00002-* deep/
cp checkpoint/*-00001-* far/weights
ln -s "$PWD/far/weights" deep/a/b/c/one.safetensors
sed 's|model-00001-of-00002.safetensors|a/b/c/one.safetensors|' checkpoint/model.safetensors.index.json >deep/model.safetensors.index.json
octavo inspect deep
OCTAVO_SANDBOX=off quietly inspect deep
OCTAVO_SANDBOX=off octavo verify packed -v
say 'something else does not let it read: the hint speaks of the sandbox only if there is one'
# withheld FROM: packed cannot be opened, from that attempt on; the first three make rules.
withheld() {
    under strace -f -qq -o /dev/null -P packed -e trace=openat -e "inject=openat:error=EACCES:when=$1+" "$OCTAVO" inspect packed |
        grep -v resolved
}
withheld 4
OCTAVO_SANDBOX=off withheld 1
files
