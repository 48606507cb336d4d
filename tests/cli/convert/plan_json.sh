#!/bin/bash
# The plan as JSON says what the conversion does: sizes, decisions, files; and the report what came of it.
. "$ROOT/tests/cli/lib.sh"
tiny checkpoint
"$OCTAVO" convert checkpoint -o out.octavo --json -n --scales ue8m0 --keep '*q_proj*' --embed 'notes*' >plan.json
files .
"$OCTAVO" convert checkpoint -o out.octavo --json --scales ue8m0 --keep '*q_proj*' --embed 'notes*' >done.json
"$OCTAVO" inspect out.octavo --json >inspect.json
"$PYTHON" - <<'END'
import json, math, os
plan, done, made = (json.load(open(n)) for n in ("plan.json", "done.json", "inspect.json"))
assert plan["kind"] == "plan" and done["kind"] == "conversion"
assert plan["plan"]["output_bytes"] == os.path.getsize("out.octavo") == done["result"]["bytes"]
assert done["result"]["root"] == made["trailer"]["root"]
assert plan["recipe"] == done["recipe"] == made["recipe"]
assert [f["name"] for f in plan["plan"]["files"] if f["embedded"]] == [f["name"] for f in made["files"]]
totals = {k: sum(r[k] for r in plan["plan"]["records"]) for k in ("tensors", "tiles", "clipped_tiles")}
assert all(plan["plan"][k] == v for k, v in totals.items()), totals
assert plan["plan"]["quantized"] + plan["plan"]["kept"] == plan["plan"]["tensors"] == 12
by_name = {t["name"]: t for t in made["tensors"]}
for p, d in zip(plan["plan"]["records"], done["plan"]["records"]):
    t = by_name[p["name"]]
    assert (p["decision"] == "quantize") == (t["class"] == "codes")
    assert (p["shape"], p["dtype"], p["src_dtype"], p["bytes"]) == (t["shape"], t["dtype"], t["src_dtype"], t["len"])
    assert p["scale_bytes"] == (by_name[t["scale"]]["len"] if t["scale"] else 0)
    assert p == {k: v for k, v in d.items() if k not in ("sqnr", "worst_sqnr")}
    if "stats" in t:
        s, e = (sum(row[k] for row in t["stats"]) for k in ("sum_sq_source", "sum_sq_error"))
        assert math.isclose(d["sqnr"], 10 * math.log10(s / e), rel_tol=1e-12) and d["worst_sqnr"] <= d["sqnr"] + 1e-9
    print(p["name"], p["decision"], p["reason"], p["tiles"], p["clipped_tiles"])
print([(f["name"], f["embedded"]) for f in plan["plan"]["files"]])
END
