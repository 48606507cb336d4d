#!/usr/bin/python3
"""Let every allocation of octavo and of its libraries fail, and check that octavo ends as it should.

    sweep_alloc.py once|forever [CASE]...     in an empty directory; OCTAVO and SHIM (shim.c) in the environment

`once`: one allocation fails; `forever`: all that follow fail as well. A first run lists who asks for memory: of the
allocations with the same callers the first and the last one fail in turn. Checked after each run: exit status 8 and a
message that speaks of memory, or the usual status and the same output; the files are the usual ones, or none; nothing
else is left behind. Also for a program with the address sanitizer of gcc, which reports leaks.

Prints what went wrong and a summary line; exit status 1 if anything did.
"""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import make_archive  # noqa: E402
import tiny_checkpoint  # noqa: E402

from sweep_files import read, tree, write  # noqa: E402

OCTAVO, SHIM = os.environ["OCTAVO"], os.environ["SHIM"]
THIN = int(os.environ.get("THIN", 1))
MODEL = os.path.abspath(os.path.join(HERE, "..", "data", "ring-micro-linear"))
ROOM = "room"  # everything that a run may write is in here
TMPFS = f"/dev/shm/octavo-sweep-{os.getpid()}"  # where ROOM leads to in cases whose output is in memory
MEMORY, TIMEOUT = 8, 100
ALONE = ("--threads", "1", "--device", "cpu")
FORWARD = ("--forward", "--text", "text.gz", "--length", "8")
# A bit of everything, but small.
TOKENIZER = b"""{"added_tokens": [{"id": 6, "content": "<a>", "single_word": true, "lstrip": true, "rstrip": true,
  "normalized": true, "special": true}], "normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Sequence",
  "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\\\s|b"}, "behavior": "Isolated", "invert": false},
  {"type": "ByteLevel", "add_prefix_space": true}]}, "model": {"ignore_merges": true,
  "vocab": {"a": 0, "b": 1, "\\u0120": 2, "\\u010a": 3, "\\u0120a": 4, "\\u0120b": 5},
  "merges": ["\\u0120 a", "\\u0120 b"]}}"""


def is_tmpfs(path):
    """/dev/shm is memory on most machines, but need not be."""
    found = subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=False)
    return found.stdout.strip() == "tmpfs" and os.access(path, os.W_OK)


class Case:
    """A command. `old`: what the output is before it, if there is any; `made`: the path that it writes in ROOM;
    `tmpfs`: which is in memory."""

    def __init__(self, name, *arguments, old=None, made=None, tmpfs=False):
        self.name, self.arguments, self.old, self.made, self.tmpfs = name, arguments, old, made, tmpfs


def cases():
    """By the name that chooses them. THIN thins the allocations of each."""
    out, directory = f"{ROOM}/out.octavo", f"{ROOM}/dir"
    convert = ("convert", "-o", out, *ALONE)
    export = ("export", "micro.octavo", "-o", directory, *ALONE[:2])
    unpack = ("unpack", "micro.octavo", "-o", directory, *ALONE[:2])
    return [
        Case("version", "--version"),
        Case("help", "help", "convert"),
        Case("verify", "verify", "micro.octavo", "-q", *ALONE[:2]),
        Case("verify-json", "verify", "micro.octavo", "--json", *ALONE[:2]),
        Case("verify-sha256", "verify", "sha256.octavo", *ALONE[:2]),
        Case("verify-stream", "verify", "-", "--json"),
        Case("against", "verify", "micro.octavo", "--json", *ALONE[:2], "--against", MODEL),
        Case("forward", "verify", "micro.octavo", "--json", *ALONE[:2], "--against", MODEL, *FORWARD),
        Case("inspect", "inspect", "micro.octavo"),
        Case("inspect-json", "inspect", "micro.octavo", "--json"),
        Case("inspect-foreign", "inspect", "gptq.octavo"),
        Case("inspect-checkpoint", "inspect", MODEL, "--json"),
        Case("tokenize", "tokenize", "tokenizer.json", "--text", "text.gz", "--json"),
        Case("tokenize-texts", "tokenize", "tokenizer.json", "--text", "texts", "--text", "text.gz"),
        Case("tokenize-micro", "tokenize", MODEL, "--text", "text.gz"),
        Case("diff", "diff", "micro.octavo", MODEL, *ALONE[:2]),
        Case("diff-json", "diff", "micro.octavo", "tiny.octavo", "--full", "--json", *ALONE[:2]),
        Case("plan", "convert", MODEL, "-n", "--for", "hf", *ALONE),
        Case("plan-json", "convert", MODEL, "-n", "--for", "hf", "--json", *ALONE),
        Case("convert", *convert, MODEL, "-q", made="out.octavo"),
        Case("convert-over", *convert, "checkpoint", "-f", "--json", "--source-sha256", old="micro.octavo", made="out.octavo"),
        Case("convert-tmpfs", *convert, "checkpoint", "-q", made="out.octavo", tmpfs=True),
        Case("convert-threads", "convert", "-o", out, "checkpoint", "--threads", "2", "--device", "cpu", made="out.octavo"),
        Case("convert-pipe", "convert", "checkpoint", "-o", "-", "-q", *ALONE),
        *(
            Case(f"convert-{kind}", *convert, f"archive.{kind}", made="out.octavo")
            for kind in ("tar", "tar.gz", "tar.xz", "zip", "stored")
        ),
        Case("export", *export, "--for", "vllm", "--allow-unloadable", made="dir"),
        Case("export-over", *export, "--for", "bf16", "-f", "--json", "--shard-size", "3M", old="exported", made="dir"),
        Case("export-plan", *export, "--for", "sglang", "--allow-unloadable", "-n", "--json"),
        Case("unpack", *unpack, made="dir"),
        Case("unpack-into", *unpack, "-f", "--json", "--dequantize", "bf16", old="mine", made="dir"),
        Case("unpack-file", "unpack", "micro.octavo", "config.json", "-o", "-"),
    ]


def octavo(*arguments):
    subprocess.run([OCTAVO, *arguments, "-q"], check=True)


def make_inputs():
    octavo("convert", MODEL, "-o", "micro.octavo", *ALONE)
    octavo("convert", MODEL, "-o", "sha256.octavo", "--digest", "sha256", *ALONE)
    tiny_checkpoint.write("checkpoint", 7, False, [])
    os.mkdir("checkpoint/additional_chat_templates")
    write("checkpoint/additional_chat_templates/a.jinja", b"{{ messages }}")
    octavo("convert", "checkpoint", "-o", "tiny.octavo", *ALONE)
    octavo("export", "micro.octavo", "-o", "exported", "--for", "bf16")
    subprocess.run([sys.executable, os.path.join(HERE, "../quantized_checkpoint.py"), "gptq", "gptq"], check=True)
    octavo("convert", "gptq", "-o", "gptq.octavo", *ALONE)
    for kind in ("tar", "tar.gz", "tar.xz", "zip", "stored"):
        write(f"archive.{kind}", make_archive.make(kind, "checkpoint"))
    os.mkdir("mine")
    write("mine/config.json", b"old")
    write("mine/mine", b"mine")
    write("tokenizer.json", TOKENIZER)
    write("text.gz", gzip.compress(b"ab <a>\n" * 40))
    os.makedirs("texts/sub")
    write("texts/a.jsonl.gz", gzip.compress(b'{"text":"ab"}\n' * 3))
    write("texts/b.txt.bz2", bz2.compress(b"ab"))
    write("texts/b.jsonl.xz", lzma.compress(b'{"text":"ab"}'))
    write("texts/sub/c.jsonl", b'{"text":"ab"}')
    write("texts/sub/d", b"left out")


def clear_room():
    if os.path.islink(ROOM):
        os.unlink(ROOM)
        shutil.rmtree(TMPFS)
    shutil.rmtree(ROOM, ignore_errors=True)


def prepare(case):
    clear_room()
    if case.tmpfs:
        os.mkdir(TMPFS)
        os.symlink(TMPFS, ROOM)
    else:
        os.mkdir(ROOM)
    if case.old:
        copy = shutil.copytree if os.path.isdir(case.old) else shutil.copyfile
        copy(case.old, os.path.join(ROOM, case.made))


def run(case, **settings):
    """(status, standard output and error); a status of None: it never ended."""
    names = {f"SHIM_{name.upper()}": str(value) for name, value in settings.items()}
    with open("micro.octavo", "rb") as packed:  # `verify -` reads it
        try:
            done = subprocess.run(
                [OCTAVO, *case.arguments],
                stdin=packed,
                capture_output=True,
                check=False,
                timeout=TIMEOUT,
                env={**os.environ, **names, "LD_PRELOAD": SHIM, "TMPDIR": ROOM},
            )
        except subprocess.TimeoutExpired:
            return None, b"", ""
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def plain(output):
    """What a command printed, without what differs from run to run: times, speeds and amounts of memory."""
    output = re.sub(rb'("[a-z_]*(seconds|peak_memory_bytes|gb_per_s)[a-z_]*":)[-+.e0-9]+', rb"\1", output)
    return re.sub(rb"(\d[.e0-9+-]* (m?s\b|min\b|h\b)|\([.0-9]+ [GMk]B/s\))", b"", output)


class Sweep:
    def __init__(self, forever):
        self.forever = forever
        self.points = self.failed = 0

    def complain(self, what, problems, stderr):
        self.failed += bool(problems)
        for problem in problems:
            print(f"FAILED: {what}: {problem}")
        if problems:
            print("".join(f"    {line}\n" for line in stderr.splitlines()[:30]), end="", flush=True)

    def sweep(self, case):
        prepare(case)
        before = tree(ROOM)
        usual = run(case)
        after = tree(ROOM)
        status, again, _ = run_fresh(case, list="list")
        assert status == usual[0] and plain(again) == plain(usual[1]), (case.name, usual, again)
        for n in chosen("list"):
            prepare(case)
            status, stdout, stderr = run(case, malloc=n, mark="mark", forever=int(self.forever))
            self.points += 1
            what = f"{case.name}, allocation {n}"
            problems = [] if os.path.exists("mark") or "--threads 2" in " ".join(case.arguments) else ["it was never asked for"]
            problems += judge(case, usual, status, stdout, stderr)
            if tree(ROOM) != (after if status == usual[0] else before) and not whole_anyway(case, stdout, stderr, after):
                problems.append(f"other files: {sorted(tree(ROOM))}")
            self.complain(what, problems, stderr)
            if os.path.exists("mark"):
                os.remove("mark")


def run_fresh(case, **settings):
    prepare(case)
    return run(case, **settings)


def chosen(path):
    """The allocations that shall fail: of those with the same callers the first one and the last one."""
    first, last = {}, {}
    for n, callers in enumerate(read(path).splitlines(), 1):
        first.setdefault(callers, n)
        last[callers] = n
    os.remove(path)
    return sorted({*first.values(), *last.values()})[THIN // 2 :: THIN]


def judge(case, usual, status, stdout, stderr):
    if status is None:
        return ["it never ended"]
    if status < 0 or "Sanitizer" in stderr:
        return [f"crashed, status {status}"]
    if status == usual[0]:
        return [] if plain(stdout) == plain(usual[1]) else ["not the usual output"]
    if status != MEMORY:
        return [f"status {status}, expected {usual[0]} or {MEMORY}"]
    problems = [] if re.search("memory|cannot start|thread", stderr) else ["the message does not speak of memory"]
    if "--json" in case.arguments:
        try:
            if json.loads(stdout)["error"]["status"] != MEMORY:
                problems.append("another status in the object")
        except (ValueError, KeyError):
            problems.append("no object with the error")
    return problems


def whole_anyway(case, stdout, stderr, after):
    """The report, made when the output already has its name, is all that failed."""
    return bool(case.made) and tree(ROOM) == after


def main():
    mode, *names = sys.argv[1:]
    os.environ.setdefault("ASAN_OPTIONS", "verify_asan_link_order=0")
    make_inputs()
    sweep = Sweep(mode == "forever")
    try:
        for case in cases():
            if (not names or case.name in names) and (not case.tmpfs or is_tmpfs("/dev/shm")):
                sweep.sweep(case)
    finally:
        clear_room()
    print(f"fault alloc-{mode}: {sweep.points} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
