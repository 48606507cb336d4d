#!/usr/bin/python3
"""Write a checkpoint with headers but no data, which is all that a plan reads, at any size.

    sparse_checkpoint.py ring-mini|ring-flash|FILE.json DIR [--set KEY JSON]... [--drop GLOB]...
                         [--add NAME ROWSxCOLS]... [--no-config]

The only shard is a sparse file, so 208 GB take up a few MB. Names, shapes and dtypes are those of
the release (checkpoint_shapes.py). --set changes config.json; --drop omits tensors, --add adds
BF16 tensors.
"""

import argparse
import fnmatch
import json
import os

import checkpoint_shapes
import st_write

PRESETS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "presets")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("dir")
    parser.add_argument("--set", nargs=2, action="append", default=[])
    parser.add_argument("--drop", action="append", default=[])
    parser.add_argument("--add", nargs=2, action="append", default=[])
    parser.add_argument("--no-config", action="store_true")
    return parser.parse_args()


def main():
    a = arguments()
    path = a.config if a.config.endswith(".json") else os.path.join(PRESETS, a.config + ".json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    shapes = {
        s.name: ("F32" if s.kind == "f32-bias" else "BF16", s.shape)
        for s in checkpoint_shapes.tensors(config)
        if not any(fnmatch.fnmatchcase(s.name, glob) for glob in a.drop)
    }
    shapes.update((name, ("BF16", [int(n) for n in shape.split("x")])) for name, shape in a.add)
    config.update((key, json.loads(value)) for key, value in a.set)
    os.makedirs(a.dir)
    entries = st_write.file_order((name, *shape) for name, shape in shapes.items())
    text, size = st_write.header_text(entries, {"format": "pt"})
    with open(os.path.join(a.dir, "model.safetensors"), "wb") as f:
        f.truncate(f.write(st_write.frame(text)) + size)
    if not a.no_config:
        with open(os.path.join(a.dir, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f, indent=2)


if __name__ == "__main__":
    main()
