#!/bin/bash
# The first Ctrl-C of a long forward pass: a report about the sequences that are done, and never a verdict.
. "$ROOT/tests/cli/lib.sh"
ln -s "$TESTDATA/ring-micro-linear" source
quietly convert source -o micro.octavo

# interrupt ARGUMENT...: press Ctrl-C when the forward pass begins; 32 tokens a sequence, a few sequences a batch
cat >interrupt.py <<'END'
import json, re, signal, subprocess, sys

octavo, text, *options = sys.argv[1:]
p = subprocess.Popen(
    [octavo, "verify", "micro.octavo", "--against", "source", "--only", "forward", "--text", text, "--length", "32",
     "--sequences", "all", "--memory", "2M", "--progress", "always", *options],
    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
)
seen = b""
while b"forward" not in seen:
    seen += p.stderr.read(1)
p.send_signal(signal.SIGINT)
out, err = p.communicate()
err = err.decode().replace("\r", "\n")
print("  ended by signal", -p.returncode)
done, asked = map(int, re.search(r"interrupted: the report is about (\d+) of (\d+) sequences", err).groups())
print("  some:", 0 < done < asked)
if "--json" in options:
    found = json.loads(out)
    print("  the same number:", found["forward"]["sequences"] == done, found["error"]["status"])
    print("  positions:", len(found["forward"]["variants"][0]["positions"]["kl"]) == 32 * done)
else:
    first = out.decode().splitlines()[0]
    print("  the same number:", first.startswith(f"forward: {done} sequences of 32 tokens, of {asked}: interrupted"))
    print("  a verdict:", "gate:" in out.decode())
END

say 'as text'
"$PYTHON" interrupt.py "$OCTAVO" "$ROOT/LICENSE"
say 'as JSON'
"$PYTHON" interrupt.py "$OCTAVO" "$ROOT/LICENSE" --json
