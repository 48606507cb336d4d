#!/usr/bin/python3
"""Run a command and print its time and peak memory: `measure.py LABEL COMMAND...`

One line on stderr: label, seconds, peak resident memory in MiB. The exit status is that of the command. With
MEASURE_FILE set, the peak in KiB is also appended to that file, for scripts that compare.
"""

import os
import sys
import time


def main():
    label, command = sys.argv[1], sys.argv[2:]
    start = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    seconds = time.monotonic() - start
    print(f"{label}: {seconds:.1f} s, peak {usage.ru_maxrss / 1024:.1f} MiB", file=sys.stderr)
    if "MEASURE_FILE" in os.environ:
        with open(os.environ["MEASURE_FILE"], "a", encoding="utf-8") as file:
            print(usage.ru_maxrss, file=file)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
