#!/usr/bin/python3
"""Somebody changes a source during the run: neither success nor a verdict, but status 3 - unless only
permissions or links changed.

    sources.py        in an empty directory, OCTAVO in the environment

strace stops octavo at its N-th read of a source; then the source is changed, and octavo goes on. N is every
read from the first to the last one of a file. What happens to the file is one of `CHANGES`; for those that
leave size and modification time alone, only ctime and content tell. A run that ends with status 3 must leave
nothing under the name of its output. Prints what went wrong and a summary.
"""

import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import make_archive  # noqa: E402
import tiny_checkpoint  # noqa: E402

os.environ["OCTAVO_SANDBOX"] = "off"  # its reads would count (sweep_sandbox.py)
OCTAVO = os.environ["OCTAVO"]
THIN = int(os.environ.get("THIN", 1))
ALONE = ("--threads", "1", "--memory", "7M")
CHANGED = b": changed "
MICRO = os.path.join(HERE, "..", "data", "ring-micro-linear")
MICRO_SHARD = "model-00001-of-00002.safetensors"


def times(path):
    s = os.stat(path)
    return s.st_atime_ns, s.st_mtime_ns


def flip(path, where):
    """Other bytes at the beginning, in the middle or everywhere; the modification time stays."""
    before = times(path)
    with open(path, "r+b") as f:
        data = bytearray(f.read())
        places = {"head": range(0, 1), "all": range(len(data))}[where]
        for i in places:
            data[i] ^= 4
        f.seek(0)
        f.write(data)
    os.utime(path, ns=before)


def append(path):
    before = times(path)
    with open(path, "ab") as f:
        f.write(b" " * 4096)
    os.utime(path, ns=before)


def shrink(path):
    before = times(path)
    os.truncate(path, os.stat(path).st_size // 2)
    os.utime(path, ns=before)


def replace(path):
    before = times(path)
    shutil.copyfile(path, path + ".new")
    os.replace(path + ".new", path)
    os.utime(path, ns=before)


# name: (what is done, statuses). A packed file and a text are read through one descriptor: replacing its name is no change.
CHANGES = {
    "other bytes": (lambda p: flip(p, "all"), (3,)),
    "another first byte": (lambda p: flip(p, "head"), (3,)),
    "longer": (append, (3,)),
    "shorter": (shrink, (3,)),
    "touched": (lambda p: os.utime(p), (3,)),
    "replaced by a copy": (replace, (0, 3)),
    "other permissions": (lambda p: os.chmod(p, 0o600), (0,)),
    "another link": (lambda p: os.link(p, p + ".link"), (0,)),
}


def wait_stopped(tracer):
    """Until octavo has stopped: its process id, as strace writes it; None if it has ended."""
    while tracer.poll() is None:
        with open("trace", encoding="utf-8", errors="replace") as f:
            for line in f:
                if line.endswith("--- stopped by SIGSTOP ---\n"):
                    return int(line.split()[0])
        time.sleep(0.001)
    return None


def run_changed(arguments, path, n, change):
    """Stop at the n-th read of `path`, change it, go on. (status, stderr), or None: there is no such read."""
    calls = "pread64,preadv2,read"
    command = ["strace", "-f", "-qq", "-o", "trace", "-P", path, "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:signal=STOP:when={n}", OCTAVO, *arguments]
    with open("trace", "wb"):
        pass
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as tracer:
        pid = wait_stopped(tracer)
        if pid is not None:
            change(path)
            os.kill(pid, signal.SIGCONT)
        message = tracer.stderr.read()
        tracer.wait()
    return None if pid is None else (tracer.returncode, message)


class Sources:
    def __init__(self):
        self.points = self.failed = 0
        tiny_checkpoint.write("good", 7, False, [])
        with open("tokenizer.json", "w", encoding="utf-8") as f:
            f.write('{"model": {"vocab": {"a": 0, "b": 1}, "merges": []}}')
        with open("text", "w", encoding="utf-8") as f:
            f.write("ab")
        with open("text.jsonl", "w", encoding="utf-8") as f:
            f.write(('{"text":"ab","x":"' + "x" * 1000000 + '"}\n') * 2)
        with open("packed.jsonl.gz", "wb") as f:
            f.write(gzip.compress(random.Random(1).randbytes(300000).hex().encode().join((b'{"text":"ab","x":"', b'"}'))))
        subprocess.run([OCTAVO, "convert", "good", "-o", "good.octavo", "-q", "--device", "cpu"], check=True)
        subprocess.run([OCTAVO, "convert", MICRO, "-o", "micro.octavo", "-q", "--device", "cpu"], check=True)
        forward = ("--only", "forward", "--tokens", "tokens", "--length", "8", "--dump", "reference.safetensors")
        with open("tokens", "w", encoding="utf-8") as f:
            f.write("[3, 1, 4, 1, 5, 9, 2, 6]")
        subprocess.run([OCTAVO, "verify", "micro.octavo", *forward, "-q"], check=True)
        for kind in ("tar", "stored"):
            with open(f"good.{kind}", "wb") as f:
                f.write(make_archive.make(kind, "good"))

    def prepare(self, arguments):
        shutil.rmtree("work", ignore_errors=True)
        os.mkdir("work")
        shutil.copytree("good", "work/checkpoint")
        for name in ("good.octavo", "good.tar", "good.stored", "tokenizer.json", "text", "text.jsonl", "packed.jsonl.gz", "tokens", "micro.octavo", "reference.safetensors"):
            if any(a.endswith("/" + name) for a in arguments):
                shutil.copy2(name, os.path.join("work", name))
        if any(a.endswith("/micro") for a in arguments):
            shutil.copytree(MICRO, "work/micro")

    def sweep(self, arguments, source, names):
        arguments = [a.replace("@", os.path.join(os.getcwd(), "work")) for a in arguments]
        path = os.path.join(os.getcwd(), "work", source)
        for name in names:
            change, statuses = CHANGES[name]
            if name == "another first byte" and source in ("good.tar", "good.stored"):
                statuses = (0, 3)  # the name of a member: it was read, and is not needed any more
            if name == "replaced by a copy" and not source.endswith((".octavo", "text", ".jsonl", ".jsonl.gz")):
                statuses = (3,)
            for n in range(1, 1000, THIN):
                self.prepare(arguments)
                found = run_changed(arguments, path, n, change)
                if found is None:
                    break
                self.points += 1
                # A change before the file was opened for good is none.
                early = found[0] in (0, 4, 5) and self.is_early(source, n)
                if found[0] not in statuses and not early:
                    self.complain(arguments, source, name, n, f"status {found[0]}", found[1])
                elif found[0] == 3 and CHANGED not in found[1] and b"ends at offset" not in found[1]:
                    self.complain(arguments, source, name, n, "another message", found[1])
                elif found[0] == 3 and any(left.startswith("out") for left in os.listdir("work")):
                    self.complain(arguments, source, name, n, "there is an output all the same", found[1])
            if n == 1:
                self.complain(arguments, source, name, n, "it was never read", b"")

    def is_early(self, source, n):
        """What a command reads before it opens the file for good: whether it is packed, an archive or a pointer."""
        return n <= PROBES.get(os.path.splitext(source)[1], 0)

    def complain(self, arguments, source, name, n, what, message):
        self.failed += 1
        text = message.decode("utf-8", "replace").replace(os.getcwd(), "")
        print(f"FAILED: {' '.join(map(os.path.basename, arguments))}: {source}, {name} at read {n}: {what}: {text.strip()}")


FORWARD = ("--only", "forward", "-q", *ALONE, "--dump", "@/out.safetensors")
PROBES = {".octavo": 2, ".tar": 2, ".stored": 2, ".json": 2, ".jsonl": 1, ".gz": 1}
EVERYTHING = tuple(CHANGES)
CONTENT = ("other bytes", "longer", "shorter", "touched")
# arguments, the source that changes, how
ROWS = (
    (("convert", "@/checkpoint", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "checkpoint/" + tiny_checkpoint.SHARDS[0], EVERYTHING),
    (("convert", "@/checkpoint", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "checkpoint/" + tiny_checkpoint.SHARDS[1], EVERYTHING),
    (("convert", "@/checkpoint", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "checkpoint/config.json", EVERYTHING),
    (("convert", "@/checkpoint", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "checkpoint/LICENSE", EVERYTHING),
    (("convert", "@/checkpoint", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "checkpoint/" + tiny_checkpoint.INDEX, EVERYTHING),
    (("convert", "@/good.tar", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "good.tar", EVERYTHING),
    (("convert", "@/good.stored", "-o", "@/out.octavo", "-q", "--device", "cpu", *ALONE), "good.stored", EVERYTHING),
    (("verify", "@/good.octavo", "-q", *ALONE), "good.octavo", EVERYTHING),
    (("verify", "@/good.octavo", "--against", "@/checkpoint", "-q", *ALONE), "good.octavo", EVERYTHING),
    (("verify", "@/good.octavo", "--against", "@/checkpoint", "-q", *ALONE), "checkpoint/" + tiny_checkpoint.SHARDS[0], EVERYTHING),
    (("verify", "@/micro.octavo", *FORWARD, "--length", "8", "--tokens", "@/tokens"), "micro.octavo", ("touched",)),
    (("verify", "@/micro.octavo", *FORWARD, "--length", "8", "--tokens", "@/tokens", "--against", "@/micro"), "micro/" + MICRO_SHARD, ("touched", "other bytes")),
    (("verify", "@/micro.octavo", *FORWARD, "--reference", "@/reference.safetensors"), "reference.safetensors", CONTENT),
    (("export", "@/good.octavo", "-o", "@/out", "--for", "bf16", "-q", "--threads", "1"), "good.octavo", EVERYTHING),
    (("unpack", "@/good.octavo", "-o", "@/out", "-q", "--threads", "1"), "good.octavo", EVERYTHING),
    (("diff", "@/good.octavo", "@/checkpoint", "--threads", "1"), "good.octavo", EVERYTHING),
    (("diff", "@/checkpoint", "@/../good", "--threads", "1"), "checkpoint/" + tiny_checkpoint.SHARDS[0], EVERYTHING),
    (("tokenize", "@/tokenizer.json", "--text", "@/text"), "tokenizer.json", ("longer", "shorter", "touched")),
    (("tokenize", "@/tokenizer.json", "--text", "@/text"), "text", EVERYTHING),
    (("tokenize", "@/tokenizer.json", "--text", "@/text.jsonl"), "text.jsonl", EVERYTHING),
    (("tokenize", "@/tokenizer.json", "--text", "@/packed.jsonl.gz"), "packed.jsonl.gz", EVERYTHING),
)  # fmt: skip


def main():
    s = Sources()
    for arguments, source, names in ROWS:
        s.sweep(arguments, source, names)
    print(f"fault sources: {s.points} points, {s.failed} failed")
    return 1 if s.failed else 0


if __name__ == "__main__":
    sys.exit(main())
