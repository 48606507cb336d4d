#!/usr/bin/python3
"""Somebody exchanges a source for another good one during the run, as `convert -f` onto its name does: the result
must be that of the one or of the other, as a whole, or status 3.

    exchange.py       in an empty directory, OCTAVO in the environment

strace stops octavo after it has opened a file for the N-th time; then both files change names, and octavo goes on. N
is every open of that name (THIN > 1: half of the points). With "back", they change names again after the next open.
Results are compared as a whole: exit status, standard output without measurements, and what was written. Prints what
differs and a summary.
"""

import collections
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import sources  # noqa: E402
import tiny_checkpoint  # noqa: E402

OCTAVO = os.environ["OCTAVO"]
THIN = int(os.environ.get("THIN", 1))
NOTES = re.compile(rb'"notes":\[[^]]*\],?')
MEASURED = re.compile(rb'"(\w*seconds\w*|gb_per_s|\w*peak\w*)":[-+0-9.e]+')
MICRO = os.path.join(HERE, "../data/ring-micro-linear")


def exchange(one, other):
    os.rename(one, "between")
    os.rename(other, one)
    os.rename("between", other)


def contents(path):
    """What was written there: {name: bytes}."""
    if os.path.isfile(path):
        with open(path, "rb") as f:
            return {"": f.read()}
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                found[os.path.relpath(os.path.join(folder, name), path)] = f.read()
    return found


def stopped_after(path, n, back):
    """The command that runs octavo and stops it after its n-th open of `path`, and after the next one if `back`."""
    when = f"{n}..{n + 1}" if back else f"{n}"
    with open("trace", "wb"):
        pass
    command = ["strace", "-f", "-qq", "-o", "trace", "-P", path, "-e", "trace=openat"]
    return [*command, "-e", f"inject=openat:signal=STOP:when={when}", OCTAVO]


def wait_for(tracer, stops):
    """Until octavo has stopped for the `stops`-th time: the number of a thread of it; None if it has ended. A stop
    is reported once for each thread."""
    while tracer.poll() is None:
        with open("trace", encoding="utf-8", errors="replace") as f:
            threads = [line.split()[0] for line in f if line.endswith("--- stopped by SIGSTOP ---\n")]
        for thread, count in collections.Counter(threads).items():
            if count >= stops:
                return int(thread)
        sources.time.sleep(0.001)
    return None


class Exchanges:
    def __init__(self):
        self.points = self.failed = 0
        shutil.copytree(MICRO, "source")
        with open("tokens", "w", encoding="utf-8") as f:
            f.write(str(list(range(1, 9))))
        for name, options in (("a", ()), ("b", ("--scales", "ue8m0"))):
            subprocess.run([OCTAVO, "convert", "source", "-o", f"{name}.octavo", "-q", "--device", "cpu", *options], check=True)
        tiny_checkpoint.write("left", 7, False, [])
        tiny_checkpoint.write("right", 8, False, [])
        for name, side in (("a.shard", "left"), ("b.shard", "right")):
            shutil.copyfile(os.path.join(side, tiny_checkpoint.SHARDS[0]), name)

    def place(self, target, kind, first):
        """`target` holds the file `first` of this kind, "beside" the other one."""
        for name in ("out", "beside"):
            shutil.rmtree(name, ignore_errors=True)
            if os.path.isfile(name):
                os.remove(name)
        shutil.copyfile(f"{first}.{kind}", target)
        shutil.copyfile(f"{'b' if first == 'a' else 'a'}.{kind}", "beside")

    def result(self, done, printed):
        # Every run has the same arguments, so that nothing but the file decides.
        return done, NOTES.sub(b"", MEASURED.sub(b"", printed)), contents("out")

    def undisturbed(self, arguments, target, kind, first):
        self.place(target, kind, first)
        done = subprocess.run([OCTAVO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return self.result(done.returncode, done.stdout)

    def disturbed(self, arguments, target, kind, first, n, back):
        """None: there is no n-th open."""
        self.place(target, kind, first)
        command = stopped_after(os.path.abspath(target), n, back)
        stops = 0
        with open("printed", "wb") as printed, subprocess.Popen([*command, *arguments], stdout=printed, stderr=subprocess.PIPE) as tracer:
            for stops in range(3):
                pid = wait_for(tracer, stops + 1)
                if pid is None:
                    break
                exchange(target, "beside")
                os.kill(pid, signal.SIGCONT)
            message = tracer.stderr.read()
            tracer.wait()
        if stops == 0:
            return None
        with open("printed", "rb") as f:
            return *self.result(tracer.returncode, f.read()), message

    def sweep(self, target, kind, arguments):
        arguments = [os.path.abspath(a[1:]) if a.startswith("@") else a for a in arguments]
        whole = {first: self.undisturbed(arguments, target, kind, first) for first in "ab"}
        assert whole["a"] != whole["b"], arguments
        for first, back in itertools.product("ab" if THIN == 1 else "a", (False, True)):
            for n in range(1, 100):
                found = self.disturbed(arguments, target, kind, first, n, back)
                if found is None:
                    break
                self.points += 1
                if found[0] != 3 and found[:3] not in whole.values():
                    self.failed += 1
                    text = found[3].decode("utf-8", "replace").replace(os.getcwd(), "").strip()
                    print(f"FAILED: {' '.join(arguments)}: {first}, exchanged at open {n}{', and back' if back else ''}: status {found[0]}: {text}")
            if n == 1:
                self.failed += 1
                print(f"FAILED: {' '.join(arguments)}: {target} was never opened")


ALONE = ("--threads", "1", "--memory", "7M")
FORWARD = ("--forward", "--tokens", "@tokens", "--length", "8", "--sequences", "1")
ROWS = (
    ("file", "octavo", ("verify", "@file", "--against", "@source", *FORWARD, "--json", *ALONE)),
    ("file", "octavo", ("verify", "@file", "--against", "@source", "--only", "weights", "--json", *ALONE)),
    ("file", "octavo", ("verify", "@file", "--json", *ALONE)),
    ("file", "octavo", ("inspect", "@file", "--json")),
    ("file", "octavo", ("diff", "@file", "@a.octavo", "--json", "--threads", "1")),
    ("file", "octavo", ("unpack", "@file", "-o", "@out", "--json", "--threads", "1")),
    ("file", "octavo", ("export", "@file", "-o", "@out", "--for", "bf16", "--json", "--threads", "1")),
    ("left/" + tiny_checkpoint.SHARDS[0], "shard", ("convert", "@left", "-o", "@out", "--source-sha256", "-q", "--device", "cpu", *ALONE)),
)  # fmt: skip


def main():
    e = Exchanges()
    for target, kind, arguments in ROWS:
        e.sweep(target, kind, arguments)
    print(f"fault exchange: {e.points} points, {e.failed} failed")
    return 1 if e.failed else 0


if __name__ == "__main__":
    sys.exit(main())
