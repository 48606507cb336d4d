#!/usr/bin/python3
"""Let every system call of octavo fail in turn, and check that octavo ends as it should.

    sweep.py GROUP        in an empty directory, OCTAVO in the environment

GROUP is one of the functions group_* below. strace makes the n-th call fail or sends a signal there; n
runs from 1 until no fault happens in a run. Checked after each run: the exit status; one message that names
the file; the output is absent, or the old one bit for bit, or complete; nothing else is left behind.

Prints what went wrong and a summary line; exit status 1 if anything did.
"""

import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import st_write  # noqa: E402
import tiny_checkpoint  # noqa: E402

from sweep_files import read, write  # noqa: E402

OCTAVO = os.environ["OCTAVO"]
DIRECTORY = os.getcwd()
CHECKPOINT = os.path.join(DIRECTORY, "checkpoint")
TEMPLATES = os.path.join(CHECKPOINT, "additional_chat_templates")
OUT = os.path.join(DIRECTORY, "out", "out.octavo")
PART = os.path.join(DIRECTORY, "out", ".out.octavo.part")
LARGE = os.path.join(DIRECTORY, "large")
LARGE_SHARD = os.path.join(LARGE, "model.safetensors")
SHARDS = [os.path.join(CHECKPOINT, name) for name in tiny_checkpoint.SHARDS]
# How the CUDA driver handles failing calls is not for us to test.
CONVERT = ("convert", "-o", OUT, "-q", "--device", "cpu")
# One slot: a single thread reads, computes and writes, so that the n-th call is always the same one.
ALONE = ("--threads", "1", "--memory", "7M")
OK, IO, MEMORY = 0, 3, 8
POINTS_MAX, THIN = 200, min(int(os.environ.get("THIN", 1)), 8)  # far more points than there are


class Sweep:
    def __init__(self):
        self.runs = self.failed = 0
        os.mkdir("out")
        tiny_checkpoint.write(CHECKPOINT, 7, False, [])
        os.mkdir(TEMPLATES)
        write(os.path.join(TEMPLATES, "a.jinja"), b"{{ messages }}")
        write(os.path.join(TEMPLATES, "b.jinja"), b"{{ tools }}")
        self.convert("--scales", "ue8m0")
        self.old = read(OUT)
        self.convert("-f")
        self.new = read(OUT)
        assert self.old and self.new and self.old != self.new
        os.remove(OUT)

    def convert(self, *options):
        subprocess.run([OCTAVO, *CONVERT, CHECKPOINT, *options], check=True)

    def complain(self, what, problems, run):
        self.failed += bool(problems)
        for problem in problems:
            print(f"FAILED: {what}: {problem}")
        if problems:
            print("    status %d" % run.returncode)
            print("".join(f"    {line}\n" for line in run.stderr.splitlines()[:5]), end="")

    def traced(self, arguments, calls, inject, paths):
        """Run octavo under strace; (the finished process, whether the fault happened)."""
        command = ["strace", "-f", "-qq", "-o", "trace", "-e", f"trace={calls}"]
        command += ["-e", f"inject={calls}:{inject}"]
        # With this option strace is twice as fast, but does not send signals.
        command += [] if "signal=" in inject else ["--seccomp-bpf"]
        for path in paths:
            command += ["-P", path]
            # Files in a temporary directory are opened and renamed from its descriptor, without a path.
            command += ["-P", os.path.basename(path)] if path.endswith(".part") else []
        self.runs += 1
        run = subprocess.run(
            [*command, OCTAVO, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        )
        trace = read("trace").decode("utf-8", "replace")
        return run, "(INJECTED)" in trace or "--- SIG" in trace or run.returncode == -signal.SIGKILL

    def points(self, what, arguments, calls, inject, paths, check, *, before=None, step=1):
        """One fault at every n-th call; THIN skips some, but none of the first ones. check(run) gives the problems."""
        hits = 0
        for n in [*range(1, 4, step), *range(4, POINTS_MAX, step * THIN)]:
            if before:
                before()
            # If octavo falls back from one call to another, all of them must fail.
            when = f"{n}+" if "," in calls and "error" in inject else n
            run, happened = self.traced(arguments, calls, f"{inject}:when={when}", paths)
            if not happened:
                untouched = [] if run.returncode == OK else ["failed without a fault"]
                self.complain(f"{what}, no fault {n}", untouched, run)
                break
            hits += 1
            self.complain(f"{what}, {n}", check(run), run)
        else:
            self.complain(what, [f"still faults at {POINTS_MAX}"], run)
        if hits == 0:
            self.complain(what, ["the fault never happened"], run)


def message_problems(run, names):
    lines = [line for line in run.stderr.splitlines() if line.startswith("octavo")]
    lines = [line for line in lines if not line.startswith("octavo: note: ")]
    if len(lines) != 1:
        return [f"{len(lines)} messages"]
    return [] if any(name in lines[0] for name in names) else [f"no path in: {lines[0]}"]


def clean_status(run):
    """Crashes and reports of sanitizers are wrong whatever was expected."""
    if run.returncode < 0 or run.returncode == 70 or "Sanitizer" in run.stderr:
        return ["crashed"]
    return []


class Conversion:
    """Conversions into an empty directory, or with -f over an old file."""

    def __init__(self, sweep, force, options=ALONE, checkpoint=CHECKPOINT, left=None):
        self.sweep, self.force = sweep, force
        self.left = left  # mode of the temporary file that a killed run left
        self.arguments = [*CONVERT, checkpoint, *options]
        self.arguments += ["-f"] if force else []
        self.label = "with -f" if force else "new file"

    def prepare(self):
        for name in os.listdir("out"):
            os.remove(os.path.join("out", name))
        if self.force:
            write(OUT, self.sweep.old)
        if self.left:
            write(PART, b"left")
            os.chmod(PART, self.left)

    def left_problems(self, complete):
        """What is wrong in the directory: it must hold the new file if `complete`, else what was there before."""
        expected = self.sweep.new if complete else self.sweep.old if self.force else None
        problems = [] if read(OUT) == expected else ["the output is not what it should be"]
        may_stay = ["out.octavo", *([os.path.basename(PART)] if self.left and not complete else [])]
        others = [name for name in os.listdir("out") if name not in may_stay]
        return problems + ([f"left behind: {others}"] if others else [])

    def must(self, statuses, names, complete_anyway=False):
        def check(run):
            problems = clean_status(run)
            if run.returncode not in statuses:
                problems.append(f"expected status {statuses}")
            if run.returncode != OK:
                problems += message_problems(run, names)
            return problems + self.left_problems(run.returncode == OK or complete_anyway)

        return check

    def fault(self, calls, error, paths, statuses, names=None, **more):
        complete_anyway = more.pop("complete_anyway", False)
        inject = error if "=" in error else f"error={error}"
        self.sweep.points(
            f"{calls} {inject} on {', '.join(map(os.path.basename, paths)) or 'anything'}, {self.label}",
            self.arguments,
            calls,
            inject,
            paths,
            self.must(statuses, names or paths, complete_anyway),
            before=self.prepare,
            **more,
        )


def group_output(sweep):
    """Faults of the temporary file, its name and its directory."""
    for force in (False, True):
        c = Conversion(sweep, force)
        for error in ("ENOSPC", "EIO"):
            c.fault("pwrite64", error, [PART], (IO,))
        c.fault("pwrite64", "EINTR", [PART], (OK,))
        c.fault("fsync", "EIO", [PART], (IO,))
        c.fault("openat", "EACCES", [PART], (IO,))
        c.fault("fallocate", "ENOSPC", [PART], (IO,))
        c.fault("fallocate", "EOPNOTSUPP", [PART], (OK,))
        c.fault("fchmod", "EPERM", [PART], (IO,))
        c.fault("newfstatat", "EIO", [PART], (IO,))
        c.fault("pread64", "EIO", [PART], (IO,))
        rename = "renameat" if force else "renameat2"
        c.fault(rename, "EACCES", [PART], (IO,))
        # The new file has its name, but the name may not survive a crash.
        c.fault("fsync", "EIO", [os.path.dirname(OUT)], (IO,), complete_anyway=True)
    c = Conversion(sweep, False)
    for calls, error, status in (
        ("pwrite64", "EDQUOT", IO),
        ("pwrite64", "retval=0", IO),
        ("fsync", "ENOSPC", IO),
        ("openat", "EMFILE", IO),
        ("openat", "ENOSPC", IO),
        ("flock", "EIO", IO),
        ("flock", "ENOLCK", OK),
        ("fallocate", "EIO", IO),
        ("fallocate", "ENOSYS", OK),
        ("fallocate", "EINTR", OK),
        ("pread64", "EINTR", OK),
        ("pread64", "retval=0", IO),
        ("renameat2", "EIO", IO),
        ("renameat2", "EXDEV", IO),
        ("renameat2", "ENOSYS", OK),
        ("renameat2", "EINVAL", OK),
        ("renameat2,linkat", "ENOSYS", OK),
        ("renameat2,linkat,renameat", "ENOSYS", IO),
        ("fstatfs", "EIO", OK),
        ("fadvise64", "EIO", OK),
    ):
        c.fault(calls, error, [PART], (status,))
    c.fault("close", "EIO", [PART, OUT], (OK,))
    directory = os.path.dirname(OUT)
    c.fault("fsync", "EINVAL", [directory], (OK,))
    c.fault("openat", "EMFILE", [directory + "/"], (IO,))
    c.fault("openat", "EACCES", [directory + "/"], (OK,))
    # Several threads at once find the disk full, without reserved space.
    c = Conversion(sweep, True, ("--threads", "2"))
    c.fault("pwrite64", "ENOSPC", [PART], (IO,))
    c.fault("pwrite64", "EINTR", [PART], (OK,))


def group_input(sweep):
    """Faults of the checkpoint's files."""
    c = Conversion(sweep, False)
    small = [os.path.join(CHECKPOINT, n) for n in ("config.json", "LICENSE", tiny_checkpoint.INDEX)]
    small.append(os.path.join(TEMPLATES, "a.jinja"))
    for path in SHARDS + small:
        c.fault("pread64", "EIO", [path], (IO,))
        c.fault("pread64", "retval=0", [path], (IO,))
        c.fault("openat", "EIO", [path], (IO,))
    for path in SHARDS:
        c.fault("pread64", "EINTR", [path], (OK,))
        c.fault("openat", "EMFILE", [path], (IO,))
        c.fault("newfstatat", "EIO", [path], (OK, IO))
        c.fault("close", "EIO", [path], (OK,))
    c.fault("getdents64", "EIO", [CHECKPOINT], (IO,))
    c.fault("openat", "EACCES", [CHECKPOINT], (IO,))
    c = Conversion(sweep, True, ("--threads", "3"))
    c.fault("pread64", "EIO", SHARDS, (IO,))
    c.fault("pread64", "retval=0", SHARDS, (IO,))
    c.fault("clone3", "EAGAIN", [], (OK, MEMORY), ["thread"])
    group_verify(sweep)


def write_large(sweep):
    """LARGE has a tensor whose read bypasses the page cache. Its packed file becomes the new one."""
    os.mkdir(LARGE)
    data = b"".join(bytes((i, 0x3C)) for i in range(250)) * 800
    st_write.write_file(LARGE_SHARD, [("layers.0.mlp.up_proj.weight", "BF16", [250, 800], data)])
    subprocess.run([OCTAVO, *CONVERT, LARGE, "-f"], check=True)
    sweep.new = read(OUT)


class ColdConversion(Conversion):
    """Conversions of LARGE, which is not in the page cache."""

    def prepare(self):
        super().prepare()
        with open(LARGE_SHARD, "rb") as f:
            os.fdatasync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def group_direct(sweep):
    """Faults of reads that bypass the page cache. Whatever can be read another way is; the header cannot."""
    write_large(sweep)
    c = ColdConversion(sweep, False, checkpoint=LARGE)
    for error in ("EAGAIN", "EINTR", "EIO", "EOPNOTSUPP", "ENOSYS", "retval=0"):
        c.fault("preadv2", error, [LARGE_SHARD], (OK,))
    for error in ("EINVAL", "EIO"):
        c.fault("openat", error, [LARGE_SHARD], (OK, IO))
        c.fault("pread64", error, [LARGE_SHARD], (OK, IO))
    c.fault("pread64", "retval=0", [LARGE_SHARD], (OK, IO))
    c.fault("pread64", "EINTR", [LARGE_SHARD], (OK,))
    # Every call from the n-th on: the other way fails as well.
    c.fault("pread64,read", "EIO", [LARGE_SHARD], (IO,))


def group_verify(sweep):
    """Faults while a packed file is read."""
    good = os.path.join(DIRECTORY, "good.octavo")
    write(good, sweep.new)

    def check(statuses, names):
        def judge(run):
            problems = clean_status(run)
            if run.returncode not in statuses:
                problems.append(f"expected status {statuses}")
            return problems + (message_problems(run, names) if run.returncode != OK else [])

        return judge

    alone = ("verify", good, "-q", "--threads", "1")
    for arguments, paths in (
        (alone, [good]),
        ((*alone, "--quick"), [good]),
        ((*alone, "--against", CHECKPOINT, "--only", "weights"), [good]),
        ((*alone, "--against", CHECKPOINT, "--only", "weights"), SHARDS),
    ):
        what = f"{' '.join(map(os.path.basename, arguments))}, {os.path.basename(paths[0])}"
        for calls, inject, statuses in (
            ("pread64", "error=EIO", (IO,)),
            ("pread64", "error=EINTR", (OK,)),
            ("pread64", "retval=0", (IO,)),
            ("openat", "error=EACCES", (IO,)),
        ):
            sweep.points(f"{what}, {calls} {inject}", arguments, calls, inject, paths, check(statuses, paths))


def shimmed(arguments, piped=b"", **settings):
    """Run octavo with SHIM (shim.c) preloaded; standard input and output are pipes."""
    names = {f"SHIM_{name.upper()}": str(value) for name, value in settings.items()}
    run = subprocess.run(
        [OCTAVO, *arguments],
        input=piped,
        capture_output=True,
        check=False,
        env={**os.environ, **names, "LD_PRELOAD": os.environ["SHIM"]},
    )
    run.stderr = run.stderr.decode("utf-8", "replace")
    return run


def group_short(sweep):
    """Every read and write moves few bytes and is interrupted now and then: the result is the same."""
    for most in (1, 7, 1000, 65537):
        for options in (ALONE, ("--threads", "3")):
            c = Conversion(sweep, False, options)
            c.prepare()
            run = shimmed(c.arguments, io=most)
            sweep.runs += 1
            sweep.complain(f"{most} bytes at a time", c.must((OK,), [])(run), run)
            run = shimmed(("verify", OUT, "-q", "--against", CHECKPOINT), io=most)
            sweep.runs += 1
            sweep.complain(f"verify, {most} bytes at a time", [] if run.returncode == OK else ["failed"], run)
        run = shimmed(("convert", CHECKPOINT, "-o", "-", "-q", "--device", "cpu"), io=most)
        sweep.runs += 1
        sweep.complain(f"into a pipe, {most} bytes at a time", [] if run.stdout == sweep.new else ["not the same bytes"], run)
        run = shimmed(("verify", "-", "-q"), piped=sweep.new, io=most)
        sweep.runs += 1
        sweep.complain(f"from a pipe, {most} bytes at a time", [] if run.returncode == OK else ["failed"], run)
    write_large(sweep)
    for kind in (Conversion, ColdConversion):
        c = kind(sweep, False, checkpoint=LARGE)
        c.prepare()
        run = shimmed(c.arguments, io=8192)
        sweep.runs += 1
        sweep.complain("a large tensor, 8192 bytes at a time", c.must((OK,), [])(run), run)


def group_kill(sweep):
    """Death at any moment: no partial file under the final name, and the next run works."""
    for force in (False, True):
        c = Conversion(sweep, force)

        def check(run):
            found = read(OUT)
            whole = found == sweep.new or found == (sweep.old if force else None)
            problems = [] if run.returncode == -signal.SIGKILL else ["not killed"]
            problems += [] if whole else ["a partial file under the final name"]
            others = set(os.listdir("out")) - {"out.octavo", ".out.octavo.part"}
            problems += [f"left behind: {others}"] if others else []
            again = subprocess.run([OCTAVO, *c.arguments, "-f"], check=False)
            if again.returncode != OK or c.left_problems(True):
                problems.append("the next run failed")
            return problems

        for calls in ("pwrite64", "fallocate", "fsync", "fchmod", "renameat,renameat2", "close"):
            what = f"SIGKILL at {calls}, {c.label}"
            paths = [PART, OUT, os.path.dirname(OUT)]
            sweep.points(what, c.arguments, calls, "signal=SIGKILL", paths, check, before=c.prepare)


def group_signal(sweep):
    """Signals that ask to stop: octavo cleans up and dies of that signal."""
    # A shell ignores SIGINT and SIGHUP in what it runs in the background, and octavo keeps to what it finds.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # Several threads may each get the signal at their n-th call: not SIGINT, whose second one ends the process at once.
    many = ("--threads", "2")
    for number, force, options, calls, step in (
        (signal.SIGINT, False, ALONE, "pwrite64", 1),
        (signal.SIGINT, True, ALONE, "pwrite64", 3),
        (signal.SIGINT, True, ALONE, "pread64", 3),
        (signal.SIGTERM, True, ALONE, "fsync,fallocate,ftruncate", 1),
        (signal.SIGTERM, True, ALONE, "pwrite64", 2),
        (signal.SIGTERM, True, many, "pwrite64", 1),
        (signal.SIGHUP, False, ALONE, "pwrite64", 3),
        (signal.SIGHUP, False, many, "pread64", 3),
    ):
        c = Conversion(sweep, force, options)

        def check(run):
            problems = [] if run.returncode == -number else [f"expected death by {number.name}"]
            # After the last sync comes only the rename: whoever asks to stop during that sync comes too late.
            return problems + c.left_problems("fsync" in calls and read(OUT) == sweep.new)

        sweep.points(
            f"{number.name} at {calls}, {c.label}",
            c.arguments,
            calls,
            f"signal={number.name}",
            [PART, *SHARDS],
            check,
            before=c.prepare,
            step=step,
        )


def main():
    os.chdir(DIRECTORY)
    groups = {name[6:]: value for name, value in globals().items() if name.startswith("group_")}
    sweep = Sweep()
    groups[sys.argv[1]](sweep)
    print(f"fault {sys.argv[1]}: {sweep.runs} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
