#!/usr/bin/python3
"""The same as sweep.py for a conversion that finds the temporary file of a killed run.

    sweep_left.py        in an empty directory, OCTAVO in the environment
"""

import os
import sys

import sweep as faults
from sweep import IO, OK, PART

PROBE = os.path.join(os.path.dirname(PART), ".octavo.probe")


def main():
    sweep = faults.Sweep()
    for mode in (0o600, 0o644):  # killed while it wrote, and just before the rename
        c = faults.Conversion(sweep, False, left=mode)
        c.fault("openat,flock,ftruncate", "EIO", [PART], (IO,))
        c.fault("newfstatat", "EIO", [PART], (IO,))
        c.fault("flock", "EIO", [PART], (IO,))
        c.fault("openat", "EIO", [PROBE], (IO,))
        c.fault("newfstatat", "EIO", [PROBE], (OK, IO))
    faults.Conversion(sweep, False, left=0o600).fault("ftruncate", "EIO", [PART], (IO,))
    faults.Conversion(sweep, False, left=0o644).fault("unlinkat", "EIO", [PART], (IO,))
    print(f"fault left: {sweep.runs} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
