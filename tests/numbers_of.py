#!/usr/bin/python3
"""Print what `octavo verify --forward --json` measured: the same text for the same numbers, to the last bit.

    octavo verify FILE --against SOURCE --only forward ... --json | tests/numbers_of.py [--digest]

Left out: paths, times, notes, and how many bytes were read, which depends on --memory. Reals are printed in hexadecimal.
--digest: only the start of the text's SHA-256, followed by how many numbers it has.
"""
import hashlib
import json
import sys

LEFT_OUT = {"path", "against", "reference", "seconds", "notes", "source_bytes_read", "packed_bytes_read"}


def lines(value, name=""):
    """Yields a line for every number, string and empty list in a JSON value."""
    if isinstance(value, dict) and value:
        for key, member in value.items():
            path = key == "versus" and isinstance(member, str)  # elsewhere its numbers
            if key not in LEFT_OUT and not path:
                yield from lines(member, f"{name}.{key}")
    elif isinstance(value, list) and value:
        for i, member in enumerate(value):
            yield from lines(member, f"{name}[{i}]")
    else:
        yield f"{name} {value.hex() if isinstance(value, float) else json.dumps(value)}"


def main():
    report = json.load(sys.stdin)
    if "forward" not in report:
        sys.exit(f"numbers_of.py: no forward pass: {report.get('error')}")
    found = list(lines(report))
    text = "\n".join(found) + "\n"
    if "--digest" in sys.argv[1:]:
        text = f"{hashlib.sha256(text.encode()).hexdigest()[:32]} of {len(found)} numbers\n"
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
