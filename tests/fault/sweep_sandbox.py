#!/usr/bin/python3
"""Let each step into the sandbox fail: octavo does the usual without one, or says that there is no memory.

    sweep_sandbox.py [COMMAND]...     default: all of COMMANDS; in an empty directory, OCTAVO and SHIM in the environment

A run without faults shows which system calls octavo makes from the first one for Landlock to the one that installs
the filter, and which allocations it makes only with the sandbox. Each of them fails in turn. Status 3 is wrong: it
would be a rule that is missing, turned into a file that cannot be opened. With -v a note must say what is missing.

Prints what went wrong and a summary; exit status 1 if anything did. THIN=N: every N-th point.
"""

import difflib
import os
import shutil
import sys

import calls
from calls import CALL, MEMORY, SAME, THIN, Command

from sweep_files import read

del os.environ["OCTAVO_SANDBOX"]  # which the other sweeps turn off

# No EACCES or ELOOP: what may not be opened without the sandbox either needs no rule.
OPENING = ("EMFILE", "ENFILE", "EIO", "EINTR", "ENOMEM")
ERRORS = {
    "openat": OPENING,
    "fstat": ("EIO", "ENOMEM"),
    "newfstatat": ("EIO", "ENOMEM"),
    "getdents64": ("EIO", "ENOMEM"),
    "fcntl": ("EINVAL",),
    "pread64": ("EIO", "EINTR"),
    "read": ("EIO", "EINTR"),
    "lseek": ("EIO",),
    "mmap": ("ENOMEM",),
    "brk": ("retval=0",),
    "landlock_create_ruleset": ("ENOSYS", "EOPNOTSUPP", "EMFILE", "ENOMEM"),
    "landlock_add_rule": ("EINVAL", "EPERM", "ENOMEM"),
    "landlock_restrict_self": ("EPERM", "E2BIG", "ENOMEM"),
    "prctl": ("EINVAL", "EPERM"),
    "seccomp": ("ENOSYS", "EINVAL", "EACCES", "ENOMEM"),
}
HARMLESS = calls.HARMLESS | {"close", "munmap", "fadvise64"}
NOTED = ("landlock_create_ruleset", "landlock_restrict_self", "seccomp")
COMMANDS = {
    "verify-v": (("verify", "new.octavo", "-v", *calls.ALONE), None, None, None),
    "inspect-links": (("inspect", "snapshot"), None, None, None),
    "dump": (
        ("verify", "model.octavo", "--against", "model", "--only", "forward", *calls.FORWARD, "--dump", "work/out", *calls.ALONE),
        "out",
        None,
        None,
    ),
}
calls.COMMANDS.update(COMMANDS)
CHOSEN = ("verify-v", "inspect-links", "dump", "convert-f", "convert-archive", "export-f", "unpack", "diff", "tokenize", "verify-stdin")


class Entry(Command):
    """What a command does to enter its sandbox."""

    def list_own(self):
        """{call: (how often it is made before, and in the sandbox's own code)}"""
        self.run(["strace", "-f", "-qq", "-o", "trace"])
        before, own, inside = {}, {}, False
        for line in open("trace", encoding="utf-8", errors="replace"):
            call = CALL.match(line)
            if not call:
                continue
            inside = inside or call[1] == "landlock_create_ruleset"
            counts = own if inside else before
            counts[call[1]] = counts.get(call[1], 0) + 1
            if call[1] == "seccomp" and "SECCOMP_SET_MODE_FILTER" in line:
                return {name: (before.get(name, 0), n) for name, n in sorted(own.items())}
        sys.exit(f"sweep_sandbox.py: {self.name} does not enter a sandbox here")

    def sweep(self):
        for call, (skip, own) in self.list_own().items():
            if call not in ERRORS and call not in HARMLESS:
                self.fail(call, "no row says how it may fail", None, "")
            for error in ERRORS.get(call, ()):
                for n in range(skip + 1, skip + own + 1, 1 if own <= 3 else THIN):
                    self.fail_call(call, error, n)
        self.sweep_memory()

    def fail_call(self, call, error, n):
        inject = error if "=" in error else f"error={error}"
        trace = ("strace", "-f", "-qq", "-y", "--seccomp-bpf", "-o", "trace", "-e", f"trace={call}")
        run = self.run([*trace, "-e", f"inject={call}:{inject}:when={n}"])
        where = next((line for line in open("trace", errors="replace") if "(INJECTED)" in line), None)
        self.points += 1
        if where is None:
            problem = "the fault never happened"
        else:
            problem = self.judge(run, error, SAME, where)
            if not problem and call in NOTED and "-v" in self.arguments and run.returncode != MEMORY:
                problem = None if b"note: no sandbox" in run.stderr else "no note says so"
        if problem:
            self.fail(f"{call} {error} {n}", problem, run, where or "")

    def run_shimmed(self, **settings):
        names = {f"SHIM_{name.upper()}": str(value) for name, value in settings.items()}
        return self.run(["env", f"LD_PRELOAD={os.environ['SHIM']}", *(f"{k}={v}" for k, v in names.items())])

    def list_allocations(self, *more):
        self.run(["env", f"LD_PRELOAD={os.environ['SHIM']}", "SHIM_LIST=list", *more])
        allocations = read("list").splitlines()
        os.remove("list")
        return allocations

    def sweep_memory(self):
        """Those allocations that a run without the sandbox does not make."""
        without, with_it = self.list_allocations("OCTAVO_SANDBOX=off"), self.list_allocations()
        changes = difflib.SequenceMatcher(None, without, with_it, autojunk=False).get_opcodes()
        own = [n + 1 for kind, _, _, first, end in changes if kind in ("insert", "replace") for n in range(first, end)]
        for n in own[:: 1 if len(own) <= 3 else THIN]:
            run = self.run_shimmed(malloc=n)
            self.points += 1
            if problem := self.judge(run, "ENOMEM", SAME if run.returncode != MEMORY else calls.ANY, ""):
                self.fail(f"allocation {n}", problem, run, "")

    def judge(self, run, error, rule, where):
        """Lack of memory may end every run; nothing else may end it."""
        return super().judge(run, error, calls.ANY if run.returncode == MEMORY else rule, where)


def prepare():
    calls.prepare()
    os.mkdir("blobs")
    os.mkdir("snapshot")
    for name in os.listdir("good"):
        shutil.copyfile(os.path.join("good", name), os.path.join("blobs", "of-" + name))
        os.symlink(f"../blobs/of-{name}", os.path.join("snapshot", name))


def main():
    prepare()
    points = failed = 0
    for name in sys.argv[1:] or CHOSEN:
        c = Entry(name)
        c.sweep()
        points += c.points
        failed += c.failed
    print(f"fault sandbox: {points} points, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
