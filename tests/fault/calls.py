#!/usr/bin/python3
"""Let every system call that octavo makes fail in turn, with every plausible error.

    calls.py [COMMAND]...     default: all rows of COMMANDS; in an empty directory, OCTAVO in the environment

A run without faults lists the calls after start-up (the dynamic loader's are not octavo's). Then for each
call and each error of ERRORS the n-th one fails, n from the first one after start-up to the last one: until a
run in which no fault happens. A call that is in neither table is a failure: somebody has to say what it may
do. Judged after each run:

    0   everything as without the fault: output, standard output; never if ERRORS says that it MUST_FAIL
    3   one message, with a name and the words of the error
    8   the error was lack of memory
    nothing else: no failing call is a verdict; the output is absent, old or complete, and nothing is left.

Prints what went wrong and a summary; exit status 1 if anything did. THIN=N: every N-th point.
"""

import bz2
import errno
import gzip
import lzma
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import make_archive  # noqa: E402
import tiny_checkpoint  # noqa: E402

from sweep_files import read, tree  # noqa: E402

OCTAVO = os.environ["OCTAVO"]
THIN = int(os.environ.get("THIN", 1))
HOME = os.getcwd()
WORK = os.path.join(HOME, "work")
OK, IO, MEMORY = 0, 3, 8

# Rules: what a failure must lead to, beyond the judgement above.
ANY, SAME, MUST_FAIL = "any", "same", "must fail"
FILE = ("EIO", "EACCES", "ESTALE")
NAMES = {"EIO": ANY, "EACCES": ANY, "ENOSPC": ANY, "EROFS": ANY, "EINTR": ANY}
ERRORS = {
    "openat": {"EACCES": ANY, "EMFILE": ANY, "ENFILE": ANY, "EIO": ANY, "ENOSPC": ANY, "ENOMEM": ANY, "EINTR": SAME},
    "open": {"EACCES": ANY, "EMFILE": ANY, "EINTR": SAME},
    "read": {"EIO": ANY, "EINTR": SAME, "ESTALE": ANY},
    "pread64": {"EIO": ANY, "EINTR": SAME, "ESTALE": ANY, "retval=0": ANY},
    "preadv2": {"EIO": SAME, "EAGAIN": SAME, "EOPNOTSUPP": SAME, "EINTR": SAME},
    "write": {"EIO": MUST_FAIL, "ENOSPC": MUST_FAIL, "EINTR": SAME},
    "pwrite64": {"EIO": MUST_FAIL, "ENOSPC": MUST_FAIL, "EDQUOT": MUST_FAIL, "EINTR": SAME, "retval=0": MUST_FAIL},
    "writev": {"EIO": MUST_FAIL, "EINTR": SAME},
    "fstat": {"EIO": ANY, "ENOMEM": ANY},
    "newfstatat": {"EIO": ANY, "EACCES": ANY, "ENOMEM": ANY, "ESTALE": ANY},
    "statx": {"EIO": ANY, "ENOMEM": ANY},
    "lseek": {"EIO": ANY, "ESPIPE": ANY},
    "fsync": {"EIO": MUST_FAIL, "ENOSPC": MUST_FAIL, "EDQUOT": MUST_FAIL, "EINTR": SAME},
    "fdatasync": {"EIO": MUST_FAIL, "EINTR": SAME},
    "sync_file_range": {"EIO": ANY, "ENOSPC": ANY},
    "ftruncate": {"EIO": MUST_FAIL, "EINTR": SAME},
    "fallocate": {"ENOSPC": MUST_FAIL, "EIO": ANY, "EOPNOTSUPP": SAME, "ENOSYS": SAME, "EINTR": SAME},
    "fchmod": {"EPERM": ANY, "EIO": ANY, "EINTR": SAME},
    "rename": NAMES, "renameat": NAMES, "renameat2": {**NAMES, "EINVAL": ANY, "ENOSYS": ANY},
    "link": NAMES, "linkat": NAMES, "mkdir": NAMES, "mkdirat": NAMES,
    "unlink": NAMES, "unlinkat": NAMES, "rmdir": NAMES,
    "getdents64": {"EIO": ANY, "ESTALE": ANY, "EINTR": ANY},
    "readlink": {"EIO": ANY}, "readlinkat": {"EIO": ANY},
    "mmap": {"ENOMEM": ANY}, "mremap": {"ENOMEM": ANY}, "mprotect": {"ENOMEM": ANY},
    "brk": {"retval=0": ANY},  # the kernel returns a break, never an errno
    "munmap": {"ENOMEM": ANY}, "madvise": {"EINVAL": SAME, "ENOMEM": SAME}, "mlock": {"ENOMEM": SAME},
    "flock": {"EIO": ANY, "ENOLCK": SAME, "EINTR": SAME},
    "fcntl": {"EINVAL": ANY, "EMFILE": ANY},
    "clone3": {"EAGAIN": ANY, "ENOMEM": ANY, "ENOSYS": ANY}, "clone": {"EAGAIN": ANY},
    "fadvise64": {"EINVAL": SAME, "EIO": SAME},
    "statfs": {"EIO": ANY, "ENOSYS": ANY}, "fstatfs": {"EIO": ANY, "ENOSYS": ANY},
    "memfd_create": {"EMFILE": ANY, "ENOMEM": ANY, "ENOSYS": ANY},
    "copy_file_range": {"EIO": ANY, "EXDEV": SAME},
    "sched_getaffinity": {"EINVAL": ANY, "EPERM": ANY},
    "ioctl": {"ENOTTY": ANY}, "poll": {"EINTR": SAME}, "dup": {"EMFILE": ANY}, "dup2": {"EMFILE": ANY}, "pipe2": {"EMFILE": ANY},
    "close": {"EIO": ANY, "EINTR": ANY}, "getrandom": {"EAGAIN": ANY, "ENOSYS": ANY}, "sysinfo": {"EFAULT": SAME},
}  # fmt: skip
# Calls that cannot fail if they are made correctly, and those that are not the way to anything.
HARMLESS = frozenset("""exit exit_group rt_sigaction rt_sigprocmask rt_sigreturn futex set_robust_list rseq getpid
    gettid tgkill kill umask clock_gettime clock_nanosleep uname prlimit64 restart_syscall sched_yield set_tid_address
    getuid geteuid getgid getegid execve arch_prctl access getpgrp sigaltstack prctl""".split())

ALONE = ("--threads", "1", "--memory", "7M")
CONVERT = ("convert", "-q", "--device", "cpu", *ALONE)
FORWARD = ("--forward", "--text", os.path.join(HOME, "text"), "--length", "4")
# name: (arguments, the file or directory that is written, what lies there before, standard input)
COMMANDS = {
    "convert": ((*CONVERT, "good", "-o", "work/out"), "out", None, None),
    "convert-f": ((*CONVERT, "good", "-o", "work/out", "-f"), "out", "old.octavo", None),
    "convert-archive": ((*CONVERT, "good.tar.gz", "-o", "work/out"), "out", None, None),
    "convert-pipe": ((*CONVERT, "good", "-o", "-"), None, None, None),
    "convert-threads": (("convert", "-q", "--device", "cpu", "--threads", "2", "good", "-o", "work/out"), "out", None, None),
    "plan": (("convert", "good", "-n", "--json", "--for", "hf", *ALONE), None, None, None),
    "export": (("export", "new.octavo", "-q", "--for", "bf16", "--threads", "1", "-o", "work/out"), "out", None, None),
    "export-f": (("export", "new.octavo", "-q", "--for", "bf16", "--threads", "1", "-o", "work/out", "-f"), "out", "old", None),
    "unpack": (("unpack", "new.octavo", "-q", "--threads", "1", "-o", "work/out"), "out", None, None),
    "unpack-f": (("unpack", "new.octavo", "-q", "--threads", "1", "-o", "work/out", "-f"), "out", "unpacked", None),
    "verify": (("verify", "new.octavo", *ALONE), None, None, None),
    "verify-json": (("verify", "new.octavo", "--json", "--threads", "2"), None, None, None),
    "verify-stdin": (("verify", "-", *ALONE), None, None, "new.octavo"),
    "verify-pipe": (("verify", "-", *ALONE), None, None, "pipe"),
    "verify-against": (("verify", "new.octavo", "--against", "good", *ALONE), None, None, None),
    "verify-forward": (("verify", "model.octavo", "--against", "model", "--only", "forward", *FORWARD, *ALONE), None, None, None),
    "diff": (("diff", "new.octavo", "good", "--threads", "1"), None, None, None),
    "inspect": (("inspect", "new.octavo"), None, None, None),
    "inspect-checkpoint": (("inspect", "good", "--json"), None, None, None),
    "tokenize": (("tokenize", "tokenizer.json", "--text", "text"), None, None, None),
    "tokenize-texts": (("tokenize", "tokenizer.json", "--text", "texts", "--text", "text"), None, None, None),
}  # fmt: skip
STARTED = re.compile(r"fcntl\(0(<[^>]*>)?, F_GETFD\)")
CALL = re.compile(r"^(?:\d+ +)?(?:<\.\.\. )?([a-z_0-9]+)\(")
# glibc aborts if a thread's stack cannot be unmapped, which the kernel never refuses for a whole mapping.
STACK = re.compile(rf"munmap\(0x[0-9a-f]+, {resource.getrlimit(resource.RLIMIT_STACK)[0] + resource.getpagesize()}\)")
MASK = re.compile(rb"[0-9.]+ (ms|s)\b|[0-9.]+ GB/s|\"(seconds|[a-z_]*per_s[a-z]*|[a-z_]*peak[a-z_]*)\":[0-9.e+-]+")


class Command:
    def __init__(self, name):
        self.name = name
        self.arguments, self.written, self.before, self.stdin = COMMANDS[name]
        self.points = self.failed = 0
        self.usual = self.run([])
        self.status = self.usual.returncode
        assert self.status in (0, 1), self.usual
        self.complete = self.content()

    def content(self):
        if not self.written:
            return None
        path = os.path.join(WORK, self.written)
        return tree(path) if os.path.isdir(path) else read(path)

    def prepare(self):
        shutil.rmtree(WORK, ignore_errors=True)
        os.mkdir(WORK)
        if self.before and os.path.isdir(self.before):
            shutil.copytree(self.before, os.path.join(WORK, self.written))
        elif self.before:
            shutil.copyfile(self.before, os.path.join(WORK, self.written))
        self.old = self.content()

    def run(self, strace):
        self.prepare()
        feeder = subprocess.Popen(["cat", "new.octavo"], stdout=subprocess.PIPE) if self.stdin == "pipe" else None
        source = feeder.stdout if feeder else open(self.stdin or os.devnull, "rb")
        try:
            return subprocess.run([*strace, OCTAVO, *self.arguments], stdin=source, capture_output=True, check=False, timeout=60)
        finally:
            source.close()
            if feeder:
                feeder.wait()

    def list_calls(self):
        """{call: how often it is made before octavo starts}, for those that octavo makes."""
        self.run(["strace", "-f", "-qq", "-o", "trace"])
        before, after, started = {}, set(), False
        for line in open("trace", encoding="utf-8", errors="replace"):
            started = started or bool(STARTED.search(line))
            call = CALL.match(line)
            if call and started:
                after.add(call[1])
            elif call:
                before[call[1]] = before.get(call[1], 0) + 1
        assert started
        return {call: before.get(call, 0) for call in sorted(after)}

    def fail(self, what, problem, run, where):
        self.failed += 1
        message = run.stderr.decode("utf-8", "replace").strip().replace(HOME, "") if run else ""
        print(f"FAILED: {self.name}, {what}: {problem}\n    {where.strip()[:300]}\n    {message[:400]}", flush=True)

    def sweep(self):
        for call, skip in self.list_calls().items():
            if call not in ERRORS:
                if call not in HARMLESS:
                    self.fail(call, "no row says what may happen if it fails", None, "")
                continue
            for error, rule in ERRORS[call].items():
                self.sweep_call(call, error, rule, skip)

    def sweep_call(self, call, error, rule, skip):
        inject = error if "=" in error else f"error={error}"
        for n in range(skip + 1, skip + 100000, THIN):
            what = f"{call} {error} {n}"
            command = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", "trace", "-e", f"trace={call}"]
            try:
                run = self.run([*command, "-e", f"inject={call}:{inject}:when={n}"])
            except subprocess.TimeoutExpired:
                self.fail(what, "does not end", None, "")
                continue
            where = next((line for line in open("trace", errors="replace") if "(INJECTED)" in line), None)
            if where is None:
                return
            if "F_GETFD" in where:
                continue  # is this standard stream open? It can only say yes or EBADF
            self.points += 1
            problem = self.judge(run, error, rule, where)
            if problem:
                self.fail(what, problem, run, where)

    def judge(self, run, error, rule, where):
        status, message = run.returncode, run.stderr.decode("utf-8", "replace")
        to_stderr = re.search(r"write\(2[<,]", where) is not None
        probe = re.search(r'unlink\("([^"]*/\.octavo\.probe)"', where)
        if probe and os.path.exists(probe[1]):
            os.remove(probe[1])  # octavo said that it could not
        if status == self.status:
            hint = "fsync" in where and "EINVAL" in where
            if rule == MUST_FAIL and not to_stderr and not hint:
                return "success although it failed"
            if MASK.sub(b"", run.stdout) != MASK.sub(b"", self.usual.stdout):
                return "another standard output"
            if self.content() != self.complete:
                return "another result"
        elif status == IO or (status == MEMORY and (error in ("ENOMEM", "EAGAIN") or "brk(" in where)):
            if rule == SAME:
                return f"status {status}, but this is only a hint or can be done again"
            if problem := self.judge_message(message, error, to_stderr, status):
                return problem
            late = "fsync" in where or "unlink" in where or "rmdir" in where or "close" in where
            if self.content() not in ((self.old, self.complete) if late or self.before else (self.old,)) and not self.is_mixture():
                return "neither the old result nor the new one"
        elif status == -signal.SIGABRT and STACK.search(where) and self.content() in (self.old, self.complete):
            return None  # its temporary file may be left
        else:
            return f"status {status}"
        if self.name == "export-f" and status == IO and "fsync" in where and self.content() == self.complete:
            return None  # the old directory stays until the exchange is durable
        left = [name for name in os.listdir(WORK) if name != self.written and f"/{name}: cannot remove" not in message]
        return f"left behind: {left}" if left and "unlink" not in where and "rmdir" not in where else None

    def is_mixture(self):
        """Files that are moved one by one into a directory: each is absent or old, or complete and new."""
        if self.name != "unpack-f":
            return False
        found = self.content()
        return all(found[name] in (self.old.get(name), self.complete.get(name)) for name in found)

    def judge_message(self, message, error, to_stderr, status):
        usual = self.usual.stderr.decode("utf-8", "replace").splitlines()  # what a plan says that does not fit
        lines = [s for s in message.splitlines() if s.startswith("octavo") and not s.startswith("octavo: note: ")]
        lines = [s for s in lines if s not in usual]
        if len(lines) != 1:
            return None if to_stderr else f"{len(lines)} messages"
        words = "" if "=" in error or status == MEMORY else os.strerror(getattr(errno, error))
        if error == "ENOSYS" and os.strerror(errno.EINVAL) in lines[0]:
            return None  # what glibc's renameat2 makes of it
        if words and words not in lines[0]:
            return f"the message does not say: {words}"
        return None


def prepare():
    convert = ("convert", "-q", "--device", "cpu")
    tiny_checkpoint.write("good", 7, False, [])
    model = os.path.join(HERE, "..", "data", "ring-micro-linear")
    with open("good.tar.gz", "wb") as f:
        f.write(make_archive.make("tar.gz", "good"))
    with open("text", "w", encoding="utf-8") as f:
        f.write("a b a b\n" * 4)
    with open("tokenizer.json", "w", encoding="utf-8") as f:
        f.write('{"model": {"vocab": {"a": 0, "b": 1, " ": 2, "\\n": 3}, "merges": []}}')
    os.makedirs("texts/sub")
    os.symlink("../text", "texts/link.txt")
    for name, pack in (("a.jsonl", bytes), ("b.jsonl.gz", gzip.compress), ("c.jsonl.bz2", bz2.compress), ("d.txt.xz", lzma.compress)):
        with open(os.path.join("texts", name), "wb") as f:
            f.write(pack(b'{"text":"a b"}\n{"text":"b a"}\n' if "jsonl" in name else b"a b"))
    with open("texts/sub/e.txt", "w", encoding="utf-8") as f:
        f.write("b\n")
    os.symlink(model, "model")
    for arguments in (
        (*convert, "good", "-o", "new.octavo"),
        (*convert, "good", "-o", "old.octavo", "--scales", "ue8m0"),
        (*convert, "model", "-o", "model.octavo"),
        ("export", "old.octavo", "-q", "--for", "bf16", "-o", "old"),
        ("unpack", "new.octavo", "LICENSE", "-q", "-o", "unpacked"),
    ):
        subprocess.run([OCTAVO, *arguments], check=True)


def main():
    prepare()
    points = failed = 0
    for name in sys.argv[1:] or COMMANDS:
        c = Command(name)
        c.sweep()
        points += c.points
        failed += c.failed
        print(f"{name}: {c.points} points, {c.failed} failed", flush=True)
    print(f"fault calls: {points} points, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
