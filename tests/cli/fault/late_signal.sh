#!/bin/bash
# A signal when a run is nearly done, at the last renaming, closing and writing: exit status, the object of --json and what is on the disk agree.
. "$ROOT/tests/cli/lib.sh"
strace -o /dev/null true 2>/dev/null || skip 'strace is missing or may not trace'
is_sanitized && skip 'the leak checker cannot work under strace'
tiny checkpoint
quietly convert checkpoint -o good.octavo
exec "$PYTHON" - <<'END'
import json
import os
import shutil
import subprocess

OCTAVO = os.environ["OCTAVO"]
CALLS = "rename,renameat,renameat2,fsync,close,write"
failed = 0


def traced(arguments, *options):
    for path in ("out", "out.octavo", ".out.part", ".out.octavo.part"):
        shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
    command = ["strace", "-f", "-qq", "-o", "trace", "-e", f"trace={CALLS}", *options, OCTAVO, *arguments, "--json"]
    return subprocess.run(command, capture_output=True, check=False)


def without_measurements(report):
    text = json.dumps({k: v for k, v in report.items() if k not in ("error", "notes", "seconds")})
    return [word for word in text.split(", ") if not any(m in word for m in ("seconds", "per_s", "peak"))]


def judge(done, usual, output):
    report = json.loads(done.stdout) if done.stdout else None
    error = report and report.get("error")
    status = 128 + 15 if done.returncode == -15 else done.returncode
    if status not in (0, 128 + 15):
        return f"status {status}: {done.stderr}"
    if report is None:  # the signal came before there was a handler, or ended the printing
        return None if status else "nothing was printed"
    if status != (error["status"] if error else 0) or (error and error["code"] != "cancelled"):
        return f"status {status}, but error {error}"
    if error and error["message"].encode() not in done.stderr:
        return f"another message: {done.stderr}"
    complete = without_measurements(report) == without_measurements(usual)
    if error and complete != ("the result is complete" in error["message"]):
        return f"complete: {complete}, but {error}"
    if output and os.path.exists(output) != complete:
        return f"complete: {complete}, but output: {os.path.exists(output)}"
    return None


for arguments, output in (
    ("convert checkpoint -o out.octavo --device cpu", "out.octavo"),
    ("unpack good.octavo -o out", "out"),
    ("export good.octavo -o out --for bf16", "out"),
    ("verify good.octavo", None),
    ("diff good.octavo good.octavo", None),
):
    arguments = arguments.split() + ["--threads", "1"]
    usual = json.loads(traced(arguments).stdout)
    with open("trace", encoding="utf-8") as f:
        lines = [line.split(None, 1) for line in f]
    own = [rest for pid, rest in lines if pid == lines[0][0] and "resumed>" not in rest]
    names = [call.split("(")[0] for call in own]  # strace counts the calls of each name
    renamed = [n for n, name in enumerate(names) if name.startswith("rename")]
    late = 0
    for n in range(renamed[-1] - 1 if renamed else len(own) - 4, len(own)):
        done = traced(arguments, "-e", f"inject={names[n]}:signal=TERM:when={names[: n + 1].count(names[n])}")
        problem = judge(done, usual, output)
        late += b"the result is complete" in done.stdout
        if problem:
            failed += 1
            print(f"{' '.join(arguments)}, SIGTERM at {own[n].strip()}: {problem}")
    if output and not late:
        failed += 1
        print(f"{' '.join(arguments)}: no signal came late")
raise SystemExit(1 if failed else 0)
END
