#!/usr/bin/env python3
"""Whole conversions on every device, compared with each other and with the disk; called by run.sh.

    jobs.py memory OCTAVO CHECKPOINT DIR [--runs N] [--json FILE]
    jobs.py disk OCTAVO CHECKPOINT DIR [--runs N] [--seconds S] [--json FILE]
    jobs.py report DIR

`memory`: source and DIR are in memory. Runs each way to convert in turn, N rounds; then the outputs of
the devices are compared byte by byte.

`disk`: every run starts without page cache, and a probe takes turns with the conversions: threads
that read the source while they write as many bytes as the conversion writes, and sync; with page
cache and without (O_DIRECT). The better of the two in a round is the limit of that round. No new round
begins after S seconds.

`report` prints the results that run.sh left in DIR as one short table.

Figures are medians. Seconds and GB/s (of source) are the program's own, `wall` is the whole process;
the peak is the kernel's figure, over everything that the process had mapped.
"""

import argparse
import itertools
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PIECE = 4 << 20


# One conversion


def run(command):
    """Run a command; returns its output and its resource usage, or raises RuntimeError."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaints:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=out, stderr=complaints)
        # Not getrusage: its peak is that of the largest child of all so far.
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        complaints.seek(0)
        if child.returncode != 0:
            text = " ".join(complaints.read().decode(errors="replace").split())
            raise RuntimeError(f"exit status {child.returncode}: {text[:300]}")
        took = {
            "wall": wall,
            "max_rss": usage.ru_maxrss * 1024,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        }
        return out.read(), took


def convert(octavo, checkpoint, output, options):
    """The figures of one conversion, flat."""
    remove(output)  # both at the same time would need twice the space
    text, took = run([octavo, "convert", checkpoint, "-o", output, "--json", *options])
    report = json.loads(text)
    return {**report["result"], "source_bytes": report["plan"]["source_bytes"], **took}


def remove(path):
    if os.path.exists(path):
        os.remove(path)


def has_devices(octavo):
    return b"--device" in subprocess.run([octavo, "help", "convert"], capture_output=True).stdout


def devices(octavo):
    """[(name, options)]; a program without GPUs has one device and no option."""
    if has_devices(octavo):
        return [(name, ["--device", name]) for name in ("cuda", "cpu")]
    return [("cpu", [])]


# Collecting


class Series:
    """Figures of one way to convert, one entry for each run."""

    def __init__(self, name):
        self.name, self.runs, self.error = name, [], None

    def add(self, take):
        """A way that failed once is not tried again."""
        if self.error:
            return
        try:
            self.runs.append(take())
        except (RuntimeError, OSError, ValueError, KeyError) as e:
            self.error = f"{type(e).__name__}: {e}"
            print(f"{self.name}: {self.error}", file=sys.stderr, flush=True)
            return
        last = self.runs[-1]
        print(f"  {self.name}: {last['seconds']:.2f} s", file=sys.stderr, flush=True)

    def summary(self):
        if not self.runs:
            return {"name": self.name, "error": self.error}
        rates = [r["source_bytes"] / r["seconds"] / 1e9 for r in self.runs]
        result = {"name": self.name, "error": self.error, "gb_per_s": statistics.median(rates)}
        result.update(lowest=min(rates), highest=max(rates), runs=self.runs)
        walls = [r["source_bytes"] / r["wall"] / 1e9 for r in self.runs if "wall" in r]
        if walls:
            result["wall_gb_per_s"] = statistics.median(walls)
            for key in ("max_rss", "peak_memory_bytes", "gpu_memory_bytes", "cpu_seconds"):
                result[key] = max(r.get(key) or 0 for r in self.runs)
        return result


def in_turn(series, runs, seconds=float("inf")):
    """series: [(Series, callable)]. Every other round runs backwards, so that none is always first."""
    end = time.monotonic() + seconds
    for i in range(runs):
        if i > 0 and time.monotonic() > end:
            break
        for one, take in series if i % 2 == 0 else reversed(series):
            one.add(take)


def finish(args, result, series):
    result["cases"] = [one.summary() for one in series]
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
    else:
        for case in result["cases"]:
            print(case_line(case))
    return 1 if any(one.error for one in series) else 0


# In memory


def job(args, output, options):
    return lambda: convert(args.octavo, args.checkpoint, output, options)


def memory(args):
    outputs, pairs = [], []
    for name, options in devices(args.octavo):
        output = os.path.join(args.dir, f"{name}.octavo")
        outputs.append(output)
        # The one that reads back comes last: the output compared below has been through every step.
        quick = job(args, output, [*options, "--no-read-back"])
        pairs += [
            (Series(f"{name}, not read back"), quick),
            (Series(name), job(args, output, options)),
        ]
    in_turn(pairs, args.runs)
    series = [one for one, _ in pairs]
    roots = {r["root"] for one in series for r in one.runs}
    present = [p for p in outputs if os.path.exists(p)]
    same = None
    if len(present) == 2:
        same = subprocess.run(["cmp", *present]).returncode == 0 and len(roots) == 1
    code = finish(args, {"part": "memory", "same_bytes": same, "roots": sorted(roots)}, series)
    for path in present:
        os.remove(path)
    return 1 if same is False or len(roots) > 1 else code


# On the disk


def drop_cache(directory):
    os.sync()
    for entry in os.scandir(directory):
        if entry.is_file():
            fd = os.open(entry.path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
            f.write("3\n")
    except OSError:
        pass  # not root: only the advice above is possible


def source_pieces(checkpoint, flags):
    """[(fd, offset)] of all shards, and the fds."""
    names = sorted(n for n in os.listdir(checkpoint) if n.endswith(".safetensors"))
    fds = [os.open(os.path.join(checkpoint, n), os.O_RDONLY | flags) for n in names]
    pieces = [(fd, at) for fd in fds for at in range(0, os.fstat(fd).st_size, PIECE)]
    return fds, pieces


def probe(checkpoint, path, out_bytes, flags):
    """Read the source and write `out_bytes` at the same time, without computing."""
    fds, pieces = source_pieces(checkpoint, flags)
    source_bytes = sum(os.fstat(fd).st_size for fd in fds)
    out_pieces = -(-out_bytes // PIECE)
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600)
    turn, failures = itertools.count(), []

    def work():
        buffer = mmap.mmap(-1, PIECE)  # aligned, as O_DIRECT requires
        try:
            while (i := next(turn)) < len(pieces) and not failures:
                fd, at = pieces[i]
                os.preadv(fd, [buffer], at)
                first, last = (j * out_pieces // len(pieces) for j in (i, i + 1))
                for j in range(first, last):
                    os.pwritev(out, [buffer], j * PIECE)
        except OSError as e:
            failures.append(e)

    try:
        os.posix_fallocate(out, 0, out_pieces * PIECE)
        threads = [threading.Thread(target=work) for _ in range(os.cpu_count() or 1)]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.fsync(out)
        seconds = time.monotonic() - start
    finally:
        for fd in (*fds, out):
            os.close(fd)
        os.remove(path)
    if failures:
        raise failures[0]
    return {"source_bytes": source_bytes, "seconds": seconds}


def cold(args, take):
    def run_cold():
        drop_cache(args.checkpoint)
        return take()

    return run_cold


def limits(probes):
    """The better probe of each round, in seconds."""
    runs = [[r["seconds"] for r in one.runs] for one in probes if one.runs]
    return [min(times) for times in zip(*runs)]


def disk(args):
    text, _ = run([args.octavo, "convert", args.checkpoint, "-o", "none.octavo", "-n", "--json"])
    out_bytes = json.loads(text)["plan"]["output_bytes"]
    scratch = os.path.join(args.dir, "probe.bin")
    pairs = [
        (Series(f"probe, {name}"), lambda f=flags: probe(args.checkpoint, scratch, out_bytes, f))
        for name, flags in (("page cache", 0), ("direct", os.O_DIRECT))
    ]
    probes = [one for one, _ in pairs]
    # The probe reads nothing back, so the conversion must not either.
    jobs = [
        (Series(name), job(args, os.path.join(args.dir, "disk.octavo"), [*how, "--no-read-back"]))
        for name, how in devices(args.octavo)
    ]
    pairs += jobs
    in_turn([(one, cold(args, take)) for one, take in pairs], args.runs, args.seconds)
    remove(os.path.join(args.dir, "disk.octavo"))
    ratios = {}
    for one, _ in jobs:
        shares = [a / r["seconds"] for a, r in zip(limits(probes), one.runs)]
        ratios[one.name] = statistics.median(shares) if shares else None
    result = {"part": "disk", "output_bytes": out_bytes, "of_probe": ratios}
    return finish(args, result, [one for one, _ in pairs])


# The table


def case_line(case):
    if "gb_per_s" not in case:
        return f"{case['name']:44} failed: {case['error'][:100]}"
    line = f"{case['name']:44} {case['gb_per_s']:8.2f} GB/s"
    if case.get("error"):
        line += " FAILED LATER"
    if "lowest" in case:
        line += f" ({case['lowest']:.2f}-{case['highest']:.2f})"
    if "wall_gb_per_s" in case:
        line += f", wall {case['wall_gb_per_s']:.2f}, {case['cpu_seconds']:.0f} s of CPU"
        line += f", peak {case['max_rss'] / 2**20:.0f} MiB"
        if case["gpu_memory_bytes"]:
            line += f", GPU {case['gpu_memory_bytes'] / 2**20:.0f} MiB"
    if "of_copy" in case:
        line += f" {case['of_copy']:6.1%} of the copy"
    return line


def load(directory, name):
    try:
        with open(os.path.join(directory, f"{name}.json"), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def print_cases(title, part):
    print(f"-- {title}")
    for case in part["cases"]:
        print(case_line(case))


def print_baseline(baseline, converted):
    line = f"{'PyTorch script':44} {baseline['source_gb_per_s']:8.2f} GB/s"
    print(f"{line}, peak {baseline['peak_memory_bytes'] / 2**20:.0f} MiB")
    for case in converted["cases"] if converted else ():
        if "gb_per_s" in case:
            times = case["gb_per_s"] / baseline["source_gb_per_s"]
            print(f"{case['name'] + ': ratio to the script':44} {times:8.2f}")


def report(args):
    kernels, converted, baseline, on_disk = (
        load(args.dir, name) for name in ("kernels", "convert", "baseline", "disk")
    )
    if kernels:
        print_cases(f"kernels, {kernels['device']}", kernels)
    if converted:
        print_cases("convert, memory to memory", converted)
        same = {True: "yes", False: "NO", None: "not compared"}[converted["same_bytes"]]
        print(f"{'the same bytes from all devices':44} {same:>8}")
    if baseline:
        print_baseline(baseline, converted)
    if on_disk:
        print_cases("convert, disk to disk, nothing cached, not read back", on_disk)
        for name, ratio in on_disk["of_probe"].items():
            if ratio is not None:
                print(f"{name + ': ratio to the better probe':44} {ratio:8.2f}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="whole conversions on every device")
    parts = parser.add_subparsers(dest="part", required=True)
    for name, function in (("memory", memory), ("disk", disk)):
        part = parts.add_parser(name)
        part.set_defaults(function=function)
        for argument in ("octavo", "checkpoint", "dir"):
            part.add_argument(argument)
        part.add_argument("--runs", type=int, default=3)
        part.add_argument("--seconds", type=float, default=120)
        part.add_argument("--json", metavar="FILE")
    part = parts.add_parser("report")
    part.set_defaults(function=report)
    part.add_argument("dir")
    args = parser.parse_args()
    try:
        return args.function(args)
    except (RuntimeError, OSError, ValueError) as e:
        sys.exit(f"jobs.py: {e}")


if __name__ == "__main__":
    sys.exit(main())
