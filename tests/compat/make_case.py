#!/usr/bin/python3
"""Write one of the small checkpoints of this folder.

make_case.py --list         the names, and what a user should see
make_case.py NAME DIR       the same NAME always gives the same bytes
"""

import sys

import cases_all
from cases import CASES


def main():
    assert cases_all
    if sys.argv[1:] == ["--list"]:
        for name, c in CASES.items():
            print(f"{name:28} {' '.join(c.build.__doc__.split())}")
        return 0
    if len(sys.argv) != 3 or sys.argv[1] not in CASES:
        print(__doc__, file=sys.stderr)
        return 2
    CASES[sys.argv[1]].make(sys.argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
