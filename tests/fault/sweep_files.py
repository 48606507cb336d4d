"""Files and directories, read and written whole. For the sweeps.

Whoever imports this runs octavo without its sandbox, whose calls are those of the class `sandbox`: these would
count among the others, and it would keep the shim from its files.
"""

import os

os.environ["OCTAVO_SANDBOX"] = "off"


def tree(path):
    """{name: bytes} of the files in a directory and below, None if there is none."""
    if not os.path.isdir(path):
        return None
    found = {}
    for at, directories, names in os.walk(path):
        found.update({os.path.relpath(os.path.join(at, n), path): read(os.path.join(at, n)) for n in names})
        found.update({os.path.relpath(os.path.join(at, n), path) + "/": None for n in directories})
    return found


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)
