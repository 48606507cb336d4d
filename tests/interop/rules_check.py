#!/usr/bin/python3
"""Compare the decisions of octavo with those of rules_np.py: random models whose modules have all names
that spec/quant.md knows, in all kinds of places.

    OCTAVO=build/octavo rules_check.py SCRATCH [SEED]
"""

import itertools
import json
import os
import random
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import rules_np as rules  # noqa: E402
import st_write  # noqa: E402

PARENTS = ["self_attn", "q_norm", "mlp", "mlp.experts", "moe", "linear_attn", "mixer", "conv", "attention"]
STARTS = ["model.layers.%d.", "h.%d.", "model.language_model.layers.%d.", "blocks.%d.", "layers.%d."]
NOISE = ["fc", "proj", "q_projx", "linear_1", "head", "x_norm", "bias", "short_conv", "weight", "mtp.fc"]
SHAPES = [[4], [4, 4], [4, 4], [4, 4], [4, 4], [2, 4, 4], [2, 4, 4], [2, 2, 2, 2], [0, 4]]
DTYPES = ["BF16"] * 12 + ["F32", "F16", "F64", "C64"]


def words_of_program():
    """Every word in the tables of the program: what the page does not have must be tried as well."""
    folder = rules.PAGE.parent.parent / "quant" / "recipe"
    text = "".join((folder / f).read_text(encoding="utf-8") for f in ("module_kinds.c", "rules2.c"))
    quoted = re.findall(r'"([^"%\\]*)"', text)
    return {w for q in quoted for w in re.split(r"[ |]", q) if re.fullmatch(r"\w+", w)}


def vocabulary():
    page = rules.PAGE_READ
    words = set(page.linear1) | set(NOISE) | words_of_program()
    for kind in page.kinds:
        words |= kind.names | set(itertools.chain(*kind.siblings))
    for reason in ("recurrence", "embedding", "head"):
        words |= page.of(reason)
    return sorted(words - page.towers), sorted(page.towers), sorted({k.parent for k in page.kinds} - {""})


def random_names(rng, layers):
    """Some layers, each with one parent, so that few or many things lie beside each other."""
    words, towers, parents = vocabulary()
    for layer in range(layers):
        prefix = rng.choice(STARTS) % layer
        prefix = rng.choice(["", "", "", "", rng.choice(towers) + ".", "mtp."]) + prefix
        if rng.random() < 0.1:  # not inside a layer
            prefix = prefix.replace("layers", "rest").replace("h.", "g.").replace("blocks", "b")
        prefix += rng.choice(["", *PARENTS, *parents, *parents, "router"])
        for word in rng.sample(words, rng.choice([1, 3, 8, 60])):
            yield f"{prefix}.{word}" + rng.choice(["", ".weight", ".weight", ".weight", ".bias"])
    yield from (f"model.{t}.{w}" for t in towers for w in ("weight", "layers.0.q_proj.weight"))
    yield from (f"model.x{t}.layers.0.q_proj.weight" for t in towers)


def write_model(path, rng, layers):
    tensors, made = [], {}
    for name in random_names(rng, layers):
        made.setdefault(name, (rng.choice(DTYPES), rng.choice(SHAPES)))
    made["model.layers.0.last.q_proj.weight"] = ("BF16", [4, 4])
    for name, (dtype, shape) in made.items():
        data = bytes(st_write.tensor_bytes(dtype, shape))
        tensors.append((name, dtype, shape, data))
    os.makedirs(path)
    st_write.write_file(os.path.join(path, "model.safetensors"), tensors)
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
        f.write("{}")
    return made


def decisions(path, rule_set):
    recipe = path + ".json"
    with open(recipe, "w", encoding="utf-8") as f:
        json.dump({"octavo_recipe": 1, "built_in": rule_set}, f)
    command = [os.environ.get("OCTAVO", "build/octavo"), "convert", path, "-n", "--json"]
    done = subprocess.run(command + ["--recipe", recipe], capture_output=True, check=True)
    return {r["name"]: r["reason"] for r in json.loads(done.stdout)["plan"]["records"]}


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    rng = random.Random(seed)
    path = os.path.join(sys.argv[1], "random-model")
    made = write_model(path, rng, 600)
    failed, seen = 0, set()
    for rule_set in (1, 2):
        found = decisions(path, rule_set)
        for name, (dtype, shape) in made.items():
            expected = rules.builtin_reason(rule_set, name, dtype, shape, made)
            seen.add((rule_set, expected))
            if found[name] != expected:
                failed += 1
                if failed <= 20:
                    print(f"set {rule_set}: {name} {shape}: {found[name]}, expected {expected}")
    print(f"rules: {len(made)} tensors under 2 sets, {len(seen)} reasons, {failed} differ", end="")
    print(f" (SEED={seed})" if failed else "")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
