#!/usr/bin/python3
"""Remove each check of the reader in turn, and demand that some test fails.

    mutate.py [--list] [--listed] [--quick] [--verbose] [--jobs N] [FILE]...      default: the files of FILES

--list only prints the checks; --listed removes those of EQUIVALENT instead, all of which have to survive; --quick
leaves out the hostile files, which take half a minute each time; --verbose also prints the checks that are missed,
with the program that failed first.

A check is found by its form, in C without comments:

    if (A || B) { refusal }           A and B each become false
    return A && B;                    A and B each become true
    return A ? OK : refusal           A becomes true; the same in TRY(...)
    TRY(check_something(...));        is left out

where a refusal names ERR_INPUT, ERR_DAMAGED or ERR_USAGE, calls a function that does, adds to a list of damages, or
returns false. Only the changed object is compiled, in build/mutate; each test program is linked with it, the quickest
and nearest first, until one fails. Last come the hostile files of tests/hostile. Prints the checks that no test misses,

    SURVIVED format/pack/pack_file.c:40: s->version != t->version

those whose changed source or program could not be built, which says nothing about the tests (NOT BUILT), a table of the
files, and `fault mutate: N points, M failed`. THIN=N takes every N-th. A check that nothing can tell from its absence
has a line in EQUIVALENT, with the reason. Limits of time are ten times what they are elsewhere, so that a busy machine
fails no test.
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "mutate")

# The files whose checks are removed, and the unit tests concerned.
FILES = (
    ("format/pack/*.c", ("pack_*", "scan", "integrity*", "read_back")),
    ("verify/integrity/*.c", ("scan*", "section_rules", "integrity*", "read_back")),
    ("format/safetensors/safetensors*.c", ("safetensors*", "checkpoint", "shard_*")),
    ("format/json/json.c", ("json*", "safetensors*")),
)
# (file, text of the check): why no test can see that it is missing
EQUIVALENT = {
    ("format/pack/pack_layout.c", "!num_align_up(cursor, PACK_ALIGN, &expected)"):
        "the cursor is at most 2^62: the section before it was refused if it ended later",
    ("verify/integrity/section_rules.c", "again_bytes != bytes"):
        "a longer text differs from the canonical one in the NUL after it; only a sanitizer sees more being read",
    ("verify/integrity/section_rules.c", "canonical_bytes != bytes"):
        "as above",
    ("format/safetensors/safetensors_write.c", "!num_add(off[i], bytes, &off[i + 1])"):
        "an offset is below 2^63, or the tensor before it was refused, and the size of a tensor below 2^61",
    ("format/pack/pack_table.c", "!num_mul(r->block.rows, pack_record_cols(r), &tile_row)"):
        "tiles have less than 2^16 rows, and record_size has refused dimensions from 2^40 on",
    ("format/pack/pack_table.c", "!num_add(t->chunk_count, r->chunk_count, &t->chunk_count)"):
        "a chunk has a byte or more, so a record has less than 2^63, and those before it 2^32 at most",
    ("format/pack/pack_record.c", "name_expert_slot(name, &start, &length)"):
        "without a slot the length stays 0, and is not 1",
    ("format/pack/pack_record.c", "s->cls != CLASS_SCALES"):
        "codes have tiles, which scales must not have, and kept records another origin than any codes",
}

REFUSAL = re.compile(
    r"\bERR_(INPUT|DAMAGED|USAGE)\b|\bdamage_add\(|\breturn (false;|(unexpected|too_many|refuse\w*)\()"
)
NO_CHECK = re.compile(r"\bERR_(MEMORY|INTERNAL|IO|CANCELLED)\b|\berrno\b")
COMMENTS = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.S)
BLOCK_LINES = 8


def blank(source):
    """The same length, with comments and the contents of literals blanked out."""

    def gone(m):
        text = m[0]
        inner = re.sub(r"[^\n]", " ", text)
        return inner if text[0] == "/" else text[0] + inner[1:-1] + text[-1]

    return COMMENTS.sub(gone, source)


def closing(text, at):
    """The index of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i
    raise ValueError("unbalanced")


def split(text, begin, end, operator):
    """[(begin, end)] of the terms that `operator` joins at the top level."""
    parts, depth, start = [], 0, begin
    i = begin
    while i < end:
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0 and text.startswith(operator, i):
            parts.append((start, i))
            i += len(operator)
            start = i
        else:
            i += 1
    return parts + [(start, end)]


class Mutant:
    """Replaces source[begin:end]."""

    def __init__(self, file, source, begin, end, form):
        gap = len(source[begin:end]) - len(source[begin:end].lstrip())
        begin += gap
        end = begin + len(source[begin:end].rstrip())
        self.file = file
        self.text = " ".join(source[begin:end].split())
        self.line = source.count("\n", 0, begin) + 1
        self.changed = source[:begin] + form % source[begin:end] + source[end:]

    def __str__(self):
        return f"{self.file}:{self.line}: {self.text}"


FALSE, TRUE, SKIP = "((%s) && 0)", "((%s) || 1)", "if (0) { %s }"


def in_condition(file, source, text, begin, end):
    for b, e in split(text, begin, end, "||"):
        yield Mutant(file, source, b, e, FALSE)


def in_result(file, source, text, begin, end):
    """The terms of an expression that is returned or tried."""
    choice = split(text, begin, end, "?")
    if len(choice) == 2:
        yes, no = (source[b:e].strip() for b, e in split(text, *choice[1], ":")[:2])
        if yes == "OK" and not NO_CHECK.search(no):
            yield Mutant(file, source, *choice[0], TRUE)
        elif no == "OK" and not NO_CHECK.search(yes):
            yield Mutant(file, source, *choice[0], FALSE)
        return
    for operator, form in (("||", FALSE), ("&&", TRUE)):
        terms = split(text, begin, end, operator)
        if len(terms) > 1:
            yield from (Mutant(file, source, b, e, form) for b, e in terms)
            return


def mutants_of(file):
    with open(os.path.join(ROOT, file), encoding="utf-8") as f:
        source = f.read()
    text = blank(source)
    for m in re.finditer(r"\bif \(|\breturn |\bTRY(?:_OUT)?\(", text):
        if m[0] == "return ":
            yield from in_result(file, source, text, m.end(), text.index(";", m.end()))
            continue
        begin = m.end() - 1
        end = closing(text, begin)
        if m[0] == "if (":
            open_at = text.index("{", end)
            block = source[open_at : closing(text, open_at)]
            if text[end + 1 : open_at].strip() == "" and block.count("\n") <= BLOCK_LINES:
                if REFUSAL.search(block) and not NO_CHECK.search(block):
                    yield from in_condition(file, source, text, begin + 1, end)
        elif text[m.start() - 8 : m.start()].strip() != "define":
            inner = source[begin + 1 : end]
            if re.match(r"\w*(check|refuse)\w*\(", inner):
                yield Mutant(file, source, m.start(), text.index(";", end) + 1, SKIP)
            else:
                yield from in_result(file, source, text, begin + 1, end)


NOT_BUILT = object()
ARCHIVES = ("tests/libaid.a", "commands.a", "liboctavo.a")


# Tests


class Tests:
    """The tests of one group of files: the quickest first, and those that were of use lately before them."""

    def __init__(self, patterns):
        names = {}
        for room in os.listdir(os.path.join(ROOT, "tests/unit")):
            for file in os.listdir(os.path.join(ROOT, "tests/unit", room)):
                stem = file[len("test_") : -len(".c")]
                if any(fnmatch.fnmatchcase(stem, p) for p in patterns):
                    names[stem] = f"tests/unit/{room}/test_{stem}"
        self.programs = names
        self.seconds = {}
        self.lock = threading.Lock()
        self.useful = []

    def order(self, file):
        stem = os.path.basename(file)[: -len(".c")]
        near = sorted(n for n in self.programs if n.startswith(stem))
        with self.lock:
            rest = sorted(self.programs, key=lambda n: (n not in self.useful[-3:], self.seconds.get(n, 0)))
        return near + [n for n in rest if n not in near]

    def killed_by(self, name):
        with self.lock:
            self.useful.append(name)


def flags():
    """(command that compiles, command that links, libraries), from the stamp of the build."""
    with open(os.path.join(BUILD, "flags"), encoding="utf-8") as f:
        compile_, link = f.read().rstrip("\n").split(" | ")
    return [w for w in compile_.split() if w not in ("-MMD", "-MP")], link.split()


def run(command, work, limit=600, **more):
    """True if it ends with status 0 in time."""
    env = {**os.environ, "TMPDIR": work, "CK_FORK": "yes", "ROOT": ROOT, "BUILD": BUILD, "THIN": "7", **more}
    env["TESTDATA"] = os.path.join(ROOT, "tests/data")
    env["CK_TIMEOUT_MULTIPLIER"] = "10"
    try:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


class Bench:
    """Links test programs with one changed object and runs them."""

    def __init__(self, quick):
        self.compile, self.link = flags()
        self.quick = quick

    def program(self, objects, output):
        # What an object defines is not taken from an archive after it.
        at = [i for i, w in enumerate(self.link) if w.startswith("-l")]
        first = at[0] if at else len(self.link)
        check = subprocess.run(["pkg-config", "--libs", "check"], capture_output=True, text=True, check=True)
        archives = [os.path.join(BUILD, a) for a in ARCHIVES]
        command = [*self.link[:first], "-o", output, *objects, *archives, *check.stdout.split(), *self.link[first:]]
        return subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode == 0

    def unit(self, program, objects, work):
        linked = os.path.join(work, "unit")
        if not self.program([os.path.join(BUILD, program + ".o"), *objects], linked):
            return None
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            return run([linked], scratch)

    def hostile(self, objects, work):
        linked = os.path.join(work, "octavo")
        if not self.program([os.path.join(BUILD, "bin/main.o"), *objects], linked):
            return None
        return run(["tests/hostile/run.sh"], work, OCTAVO=linked, OCTAVO_SANDBOX="off")

    def judge(self, mutant, tests):
        """The test that fails, NOT_BUILT, or None."""
        with tempfile.TemporaryDirectory() as work:
            changed, obj = (os.path.join(work, "changed" + end) for end in (".c", ".o"))
            with open(changed, "w", encoding="utf-8") as f:
                f.write(mutant.changed)
            command = [*self.compile, "-w", "-c", "-o", obj, changed]
            if subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL, check=False).returncode:
                return NOT_BUILT
            for name in tests.order(mutant.file):
                passed = self.unit(tests.programs[name], [obj], work)
                if passed is None:
                    return NOT_BUILT
                if not passed:
                    tests.killed_by(name)
                    return name
            if self.quick:
                return None
            passed = self.hostile([obj], work)
            return NOT_BUILT if passed is None else None if passed else "hostile"


# All of them


def build(groups, jobs):
    """What the test programs of the groups are linked from."""
    objects = {"bin/main", *(p for tests in groups for p in tests.programs.values())}
    targets = [f"build/mutate/{t}" for t in (*ARCHIVES, *sorted(o + ".o" for o in objects))]
    make = ["make", "-s", f"-j{jobs}", "CONFIG=mutate", "CUDA=0", "CFLAGS=-O1", *targets]
    if subprocess.run(make, cwd=ROOT, check=False).returncode:
        sys.exit("mutate.py: the build fails")


def check_unchanged(bench, groups):
    """Without a change, every test has to pass; measures how long each takes."""
    with tempfile.TemporaryDirectory() as work:
        for tests in groups:
            for name, program in tests.programs.items():
                start = time.monotonic()
                if bench.unit(program, [], work) is not True:
                    sys.exit(f"mutate.py: {program} fails without any change")
                tests.seconds[name] = time.monotonic() - start
        if not bench.quick and bench.hostile([], work) is not True:
            sys.exit("mutate.py: tests/hostile fails without any change")


def matching(pattern):
    folder = os.path.dirname(pattern)
    names = sorted(os.listdir(os.path.join(ROOT, folder)))
    return [f"{folder}/{n}" for n in names if fnmatch.fnmatchcase(f"{folder}/{n}", pattern)]


def stale_equivalents(files, checks):
    """What EQUIVALENT lists in these files although it is no check there (any more)."""
    return [key for key in EQUIVALENT if key[0] in files and key not in checks]


def print_table(found, listed):
    """One line a file; returns how many points were not noticed."""
    print("| file | checks | noticed | listed as undetectable | survived | not built |\n|---|---:|---:|---:|---:|---:|")
    total = collections.Counter()
    rows = [(file, collections.Counter(counts, listed=listed[file])) for file, counts in found.items()]
    for _, counts in rows:
        total += counts
    for file, c in (*rows, ("all", total)):
        print(f"| {file} | {c.total()} | {c['noticed']} | {c['listed']} | {c['SURVIVED']} | {c['NOT BUILT']} |")
    return total["SURVIVED"] + total["NOT BUILT"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--listed", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("files", nargs="*", metavar="FILE")
    args = parser.parse_args()
    points = []
    groups = []
    for pattern, patterns in FILES:
        files = [f for f in matching(pattern) if not args.files or f in args.files]
        groups += [Tests(patterns)] if files else []
        points += [(m, groups[-1]) for f in files for m in mutants_of(f)]
    stale = stale_equivalents({m.file for m, _ in points}, {(m.file, m.text) for m, _ in points})
    if stale:
        sys.exit("\n".join(f"mutate.py: no such check: {file}: {text}" for file, text in stale))
    listed = collections.Counter(m.file for m, _ in points if (m.file, m.text) in EQUIVALENT)
    points = [(m, t) for m, t in points if ((m.file, m.text) in EQUIVALENT) == args.listed]
    points = points[:: int(os.environ.get("THIN", "1"))]
    if args.list:
        print("\n".join(str(m) for m, _ in points))
        return 0
    build(groups, args.jobs)
    bench = Bench(args.quick)
    check_unchanged(bench, groups)
    found = {m.file: collections.Counter() for m, _ in points}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for (mutant, _), killer in zip(points, pool.map(lambda p: bench.judge(*p), points)):
            verdict = "SURVIVED" if killer is None else "NOT BUILT" if killer is NOT_BUILT else "noticed"
            found[mutant.file][verdict] += 1
            if (verdict == "noticed") == args.listed or args.verbose:
                print(f"{verdict} {mutant}{f' ({killer})' if verdict == 'noticed' else ''}", flush=True)
    if args.listed:
        noticed = sum(c["noticed"] for c in found.values())
        print(f"fault mutate: {len(points)} points listed as undetectable, {noticed} of them noticed")
        return 1 if noticed else 0
    failed = print_table(found, listed)
    print(f"fault mutate: {len(points)} points, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
