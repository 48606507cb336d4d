#!/usr/bin/python3
"""One byte of the output of convert changes on its way to the disk: the read-back finds it, wherever it is.

    sweep_flip.py        in an empty directory, OCTAVO and SHIM (shim.c) in the environment

The first and last bytes of every structure, section and gap, and bytes all over the file. After each run the old
file is there, and nothing next to it; without the read-back, verify finds the byte later.
"""

import struct
import sys

import sweep as faults
from sweep import IO, OK, OUT, THIN

BLOCK, DIRECTORY, ENTRY, DAMAGED = 4096, 512, 64, 4
ALL_OVER = 400  # places


def places(packed):
    """Offsets in a packed file, from the directory in its trailer (spec/format.md section 10)."""
    trailer = packed[-BLOCK:]
    (sections,) = struct.unpack_from("<I", trailer, 12)
    found = {0, BLOCK - 1, len(packed) - BLOCK, len(packed) - 1}
    for i in range(sections):
        off, length = struct.unpack_from("<8xQQ", trailer, DIRECTORY + i * ENTRY)
        found |= {off, off + length - 1, off + length}
    found |= set(range(0, len(packed), max(1, len(packed) // ALL_OVER)))
    return sorted(found)


def main():
    sweep = faults.Sweep()
    c = faults.Conversion(sweep, True)
    for number, at in enumerate(places(sweep.new)):
        if number % THIN == 0:
            c.prepare()
            run = faults.shimmed(c.arguments, flip=at + 1)
            if run.returncode == OK and not c.left_problems(True):
                continue  # a byte of padding that is not written
            sweep.runs += 1
            problems = [] if run.returncode == IO and "read back differ" in run.stderr else ["the byte was not found"]
            sweep.complain(f"byte {at}", problems + c.left_problems(False), run)
    c.prepare()
    run = faults.shimmed((*c.arguments, "--no-read-back"), flip=len(sweep.new) // 2)
    later = faults.shimmed(("verify", OUT, "-q"))
    sweep.complain("few places", [] if sweep.runs >= 40 else [f"only {sweep.runs} were written"], run)
    sweep.complain("no read-back", [] if (run.returncode, later.returncode) == (OK, DAMAGED) else ["no change"], later)
    print(f"fault flip: {sweep.runs} points, {sweep.failed} failed")
    return 1 if sweep.failed else 0


if __name__ == "__main__":
    sys.exit(main())
