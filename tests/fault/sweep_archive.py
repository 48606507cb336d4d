#!/usr/bin/python3
"""The same as sweep.py for checkpoints in archives, and for a packed file written to standard output.

    sweep_archive.py        in an empty directory, OCTAVO in the environment

After each run the output is absent or complete, and nothing is left where archives are unpacked.
"""

import os
import sys

import sweep as faults
from sweep import IO, OK

sys.path.insert(0, os.path.join(faults.HERE, ".."))
import make_archive  # noqa: E402

ROOM = os.path.join(faults.DIRECTORY, "room")
KINDS = ("tar", "tar.gz", "tar.xz", "zip", "stored")
UNPACKED = ("tar.gz", "tar.xz", "zip")


class FromArchive(faults.Conversion):
    def left_problems(self, complete):
        others = os.listdir(ROOM)
        return super().left_problems(complete) + ([f"left behind: {others}"] if others else [])


def archive(kind):
    path = os.path.join(faults.DIRECTORY, f"archive.{kind}")
    faults.write(path, make_archive.make(kind, faults.CHECKPOINT))
    return path


def system_calls(sweep):
    for kind in KINDS:
        path = archive(kind)
        c = FromArchive(sweep, False, checkpoint=path)
        c.fault("pread64", "EIO", [path], (IO,))
        c.fault("pread64", "retval=0", [path], (IO,))
        c.fault("pread64", "EINTR", [path], (OK,))
        c.fault("openat", "EMFILE", [path], (IO,))
        if kind in UNPACKED:
            anything = [path, "out.octavo", "temporary file"]
            c.fault("openat", "EACCES", [ROOM], (IO,))
            c.fault("openat", "EOPNOTSUPP", [ROOM], (OK,))
            c.fault("pwrite64", "ENOSPC", [], (IO,), anything)
            c.fault("pwrite64", "EINTR", [], (OK,))


def main():
    os.chdir(faults.DIRECTORY)
    os.mkdir(ROOM)
    os.environ["TMPDIR"] = ROOM
    sweep = faults.Sweep()
    system_calls(sweep)
    print(f"fault archive: {sweep.runs} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
