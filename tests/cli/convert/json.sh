#!/bin/bash
# --json: exactly one object on standard output, on failure as well, and the exit status inside.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
tiny broken --plant model.layers.0.mlp.up_proj.weight 5 c07f
tiny bad
truncate -s 1000 bad/model-00001-of-00002.safetensors
quietly convert checkpoint -o good.octavo
quietly convert checkpoint -o damaged.octavo
flip damaged.octavo 66000
cp good.octavo $'odd\xff\n.octavo'
echo '{"octavo_recipe":1,"rulez":[]}' >recipe.json

exec "$PYTHON" - <<'END'
import json
import os
import subprocess

COMMANDS = """
convert checkpoint -o new.octavo --json
convert checkpoint -o new.octavo --json -q
convert checkpoint -o new.octavo --json -v -f
convert checkpoint -o new.octavo --json -n
convert checkpoint -o new.octavo --json
convert checkpoint -o missing/new.octavo --json
convert checkpoint -o checkpoint/config.json --json -f
convert checkpoint -o x.octavo --json --keep nothing
convert checkpoint -o x.octavo --json --keep *
convert checkpoint -o x.octavo --json --recipe recipe.json
convert checkpoint -o x.octavo --json --memory 1K
convert broken -o x.octavo --json
convert bad -o x.octavo --json
convert missing -o x.octavo --json
verify good.octavo --json
verify good.octavo --json --quick
verify good.octavo --json --tensor *q_proj*
verify good.octavo --json --tensor nothing
verify good.octavo --json --against checkpoint
verify good.octavo --json --against broken
verify good.octavo --json --quick --against checkpoint
verify damaged.octavo --json
verify damaged.octavo --json --quick
verify bad/config.json --json
verify missing --json
verify ODD --json
inspect good.octavo --json
inspect damaged.octavo --json
inspect checkpoint --json
inspect bad --json
"""


def unique(pairs):
    keys = [k for k, _ in pairs]
    assert len(set(keys)) == len(keys), keys
    return dict(pairs)


def refuse_constant(name):
    raise ValueError(name)


for command in COMMANDS.strip().splitlines():
    words = [b"odd\xff\n.octavo" if w == "ODD" else w for w in command.split(" ")]
    words += ["--device", "cpu"] if words[0] == "convert" else []  # with -v no note that there is no GPU
    done = subprocess.run([os.environ["OCTAVO"], *words], capture_output=True, check=False)
    print("$ octavo", command)
    text = done.stdout.decode("utf-8")
    try:
        r = json.loads(text, object_pairs_hook=unique, parse_constant=refuse_constant)
        assert text.endswith("}\n") and text.count("\n") == 1
    except (AssertionError, ValueError) as e:
        print("  NOT ONE OBJECT:", repr(e), text[:300])
        continue
    if all("sandbox" in note for note in r.get("notes", ["none"])):  # with -v, where the kernel or the build has none
        del r["notes"]
    error = r.get("error")
    print(f"  schema {r['schema']}, {sorted(r)}")
    if error:
        print(f"  {error}")
        lines = done.stderr.decode("utf-8").splitlines()
        first = [line for line in lines if line.startswith("octavo") and not "note:" in line]
        assert len(first) == 1 and first[0].endswith(error["message"]), lines
    assert done.returncode == (error["status"] if error else 0), done.returncode
    print(f"  exit status {done.returncode}")
END
