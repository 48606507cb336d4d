#!/usr/bin/env python3
"""Architectures that releases of runtimes know, read in their unpacked wheels.

    pip download --no-deps vllm==0.33.0 sglang==0.5.23 transformers==5.24.0      then unzip each into DIR
    python3 tests/interop/engines/known_architectures.py DIR            compare with convert/fit/known_names.c
    python3 tests/interop/engines/known_architectures.py --write DIR    write that file

Run by hand, not by `make test`, whenever a release in convert/export/preset.c changes. Nothing of the
wheels is run or imported: the tables in them are literals, which ast reads. DIR contains the folders vllm,
sglang and transformers; --versions says which releases they are. Exit status: 0 the same, 1 not.

  vllm          every architecture in the dictionaries that model_executor/models/registry.py joins
  sglang        the names of EntryClass in srt/models/*.py (its registry skips packages)
  transformers  every model_type that models/auto maps to a model
  backend       classes of transformers for text or several modalities that vLLM and SGLang can run as they
                are: attention goes through its interface (_supports_attention_backend), and no layer is
                recurrent or linear attention, for which neither has a place there
"""

import argparse
import ast
import pathlib
import re
import sys

TABLE = pathlib.Path(__file__).resolve().parents[3] / "convert/fit/known_names.c"
VERSIONS = ["0.33.0", "0.5.23", "5.24.0"]
MODELS = re.compile(r"(ForCausalLM|ForConditionalGeneration|LMHeadModel)$")
RECURRENT = re.compile(r"^class \w*(DeltaNet|DeltaAttention|Lightning|Mamba\w*(Mixer|Layer)|ShortConv|Rwkv|"
                       r"RecurrentBlock|LinearAttention|SSM|LSTM)\w*\(", re.M)


def assigned(tree, wanted):
    """The value that is assigned to `wanted` at the top level of a file; the last one."""
    found = None
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == wanted for t in targets):
                found = node.value
    return found


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def of_vllm(folder):
    tree = parse(folder / "model_executor/models/registry.py")
    names = set()
    for part in assigned(tree, "_VLLM_MODELS").values:
        keys = assigned(tree, part.id).keys
        names |= {k.value for k in keys if isinstance(k, ast.Constant)}
    return {n for n in names if not n.startswith("Transformers")}


def of_sglang(folder):
    names = set()
    for path in sorted((folder / "srt/models").glob("*.py")):
        entry = assigned(parse(path), "EntryClass")
        if entry is not None:
            names |= {e.id for e in (entry.elts if isinstance(entry, (ast.List, ast.Tuple)) else [entry])}
    return {n for n in names if not n.startswith("Transformers")}


def of_transformers(folder):
    tree = parse(folder / "models/auto/modeling_auto.py")
    names = set()
    for node in tree.body:
        name = node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else ""
        if re.fullmatch(r"MODEL(_\w+)?_MAPPING_NAMES", name) and isinstance(node.value, ast.Call):
            for pair in node.value.args[0].elts:
                if isinstance(pair, ast.Tuple):
                    names.add(pair.elts[0].value)
    return names


def of_backend(folder):
    names = set()
    for path in sorted(folder.glob("models/*/modeling_*.py")):
        text = path.read_text(encoding="utf-8")
        public = assigned(ast.parse(text), "__all__")
        if public is not None and "_supports_attention_backend = True" in text and not RECURRENT.search(text):
            names |= {n for n in ast.literal_eval(public) if MODELS.search(n)}
    return names


def rows_of(names):
    """The names as lines of a string literal of C, each at most 100 columns."""
    rows, row = [], ""
    for name in sorted(names):
        if len(row) + len(name) + 1 > 92:
            rows.append(row)
            row = ""
        row += name + " "
    rows.append(row.rstrip())
    return "\n".join(f'    "{r}"' for r in rows)


def write(tables, versions):
    head = ("/* Which names releases of runtimes know. Written and checked by\n"
            " * tests/interop/engines/known_architectures.py, which says where in a wheel they are. */\n"
            '#include "convert/fit/known_names.h"\n')
    packages = dict(zip(("vllm", "sglang", "transformers", "backend"),
                        [("vllm", versions[0]), ("sglang", versions[1]), ("transformers", versions[2]),
                         ("transformers", versions[2])], strict=True))
    parts = [head]
    for table, names in tables.items():
        parts.append(f"static const char {table}[] =\n{rows_of(names)};\n")
    for table, (package, version) in packages.items():
        parts.append(f'const known_names known_{table} = {{"{package}", "{version}", {table}}};\n')
    TABLE.write_text("\n".join(parts), encoding="utf-8")


def committed():
    text = TABLE.read_text(encoding="utf-8")
    tables = {}
    for name, rows in re.findall(r"^static const char (\w+)\[\] =\n(.*?);$", text, re.M | re.S):
        tables[name] = set("".join(re.findall(r'"([^"]*)"', rows)).split())
    versions = re.findall(r'^const known_names known_\w+ = \{"\w+", "([\d.]+)"', text, re.M)
    return tables, versions[:3]


def main():
    parser = argparse.ArgumentParser(description="compare known_names.c with wheels")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--versions", nargs=3, default=VERSIONS)
    parser.add_argument("wheels", type=pathlib.Path)
    args = parser.parse_args()
    d = args.wheels
    tables = {"vllm": of_vllm(d / "vllm"), "sglang": of_sglang(d / "sglang"),
              "transformers": of_transformers(d / "transformers"), "backend": of_backend(d / "transformers")}
    if args.write:
        write(tables, args.versions)
    old, versions = committed()
    same = versions == args.versions
    for name, names in tables.items():
        for word in sorted(names ^ old.get(name, set())):
            same = False
            print(f"{name}: {word}: only in the {'wheel' if word in names else 'table'}")
        print(f"{name}: {len(names)} names")
    return 0 if same else 1


sys.exit(main())
