#!/usr/bin/python3
"""Malformed checkpoints, one directory each, and how `octavo convert` must refuse them.

    make_safetensors.py DIR

DIR/manifest.json lists {"name", "path", "statuses", "messages"}: convert DIR/path must exit with
one of `statuses` and print one line that starts with "octavo: " and matches each regular expression
of `messages` (case does not matter). A few are valid (0) although they look malformed.
About 100 MB, nearly all of it in one file.
"""

import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import st_write  # noqa: E402

INPUT, GOOD = (5,), (0,)
LINEAR = "model.layers.0.mlp.up_proj.weight"
NORM = "model.layers.0.norm.weight"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


class Case:
    """One directory under construction; the functions below fill it and set the
    expectation."""

    def __init__(self, root, name):
        self.name, self.statuses, self.messages = name, INPUT, []
        self.directory = self.path = os.path.join(root, name)
        os.makedirs(self.directory)
        self.write("config.json", b'{"model_type": "llama"}\n')

    def expect(self, *messages, statuses=INPUT):
        self.messages, self.statuses = list(messages), statuses
        return self

    def write(self, name, data):
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)

    def model(self, text, data=b"", name="model.safetensors"):
        """A file with this header text, its correct length, and this data after it."""
        text = text if isinstance(text, bytes) else text.encode("utf-8")
        self.write(name, struct.pack("<Q", len(text)) + text + data)

    def entries(self, entries, size=None, name="model.safetensors"):
        """A file with this header (a dict) and as much data as its largest offset says, or
        `size`."""
        ends = [
            e["data_offsets"][1]
            for e in entries.values()
            if isinstance(e, dict)
            and isinstance(e.get("data_offsets"), list)
            and len(e["data_offsets"]) > 1
        ]
        if size is None:
            size = max(e for e in ends if isinstance(e, int))
        self.model(json.dumps(entries), bytes(size), name)

    def tensors(self, tensors, name="model.safetensors"):
        st_write.write_file(os.path.join(self.directory, name), tensors, {"format": "pt"})

    def index(self, weight_map):
        self.write("model.safetensors.index.json", json.dumps({"weight_map": weight_map}).encode())


def tensor(name, shape=(4, 8), dtype="BF16"):
    return name, dtype, list(shape), bytes(st_write.tensor_bytes(dtype, shape))


def entry(start, end, dtype="BF16", shape=(4, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def good_entries():
    return {LINEAR: entry(0, 64), NORM: entry(64, 80, shape=(8,))}


def with_linear(**changes):
    """The good header with members of LINEAR replaced; None removes one."""
    entries = good_entries()
    entries[LINEAR].update(changes)
    entries[LINEAR] = {k: v for k, v in entries[LINEAR].items() if v is not None}
    return entries


# Each generator takes a function that opens the next case.


def lengths(case):
    case("empty-file").expect(r"model\.safetensors").write("model.safetensors", b"")
    case("seven-bytes").expect(r"model\.safetensors").write("model.safetensors", bytes(7))
    case("header-length-zero").expect("header").write("model.safetensors", bytes(8) + bytes(80))
    for what, length in (
        ("beyond-file", 1000),
        ("2-to-63", 1 << 63),
        ("2-to-64-less-1", (1 << 64) - 1),
    ):
        c = case(f"header-length-{what}").expect("header")
        c.write("model.safetensors", struct.pack("<Q", length) + b"{}" + bytes(80))
    c = case("header-over-100-mb").expect("header", "100000001|100,000,001")
    c.write("model.safetensors", struct.pack("<Q", 100_000_001))
    os.truncate(os.path.join(c.directory, "model.safetensors"), 100_000_009 + 80)  # sparse
    text = json.dumps(good_entries()).encode()
    whole = struct.pack("<Q", len(text)) + text + bytes(80)
    for cut in (4, 8, 9, 50, len(text) + 7, len(text) + 8, len(whole) - 1):
        case(f"truncated-to-{cut}").expect(r"model\.safetensors").write(
            "model.safetensors", whole[:cut]
        )
    case("one-byte-more").expect(r"model\.safetensors").write("model.safetensors", whole + b"\0")
    case("no-hidden-bytes").expect(r"model\.safetensors").write(
        "model.safetensors", whole + bytes(4096)
    )


def texts(case):
    good = json.dumps(good_entries())
    for what, text in (
        ("not-utf8", good.replace("norm", "n\udcffrm").encode("utf-8", "surrogateescape")),
        ("not-json", '{"a":'),
        ("array-at-top", "[]"),
        ("string-at-top", '"x"'),
        ("number-at-top", "1"),
        ("trailing-nul", good + "\0"),
        ("trailing-text", good + "x"),
        ("two-objects", good + good),
        ("only-spaces", " " * 80),
        ("comment", "/* */" + good),
        ("single-quotes", good.replace('"', "'")),
        ("byte-order-mark", "\ufeff" + good),
    ):
        case(what).expect(r"model\.safetensors").model(text, bytes(80))
    case("leading-space").expect("as its first byte").model(" \t\r\n" + good, bytes(80))
    case("trailing-space").expect(statuses=GOOD).model(good + " \n\t\r ", bytes(80))
    case("depth-bomb").expect(r"model\.safetensors").model('{"a":' + "[" * 1_000_000, b"")
    case("depth-bomb-of-objects").expect(r"model\.safetensors").model('{"a":' * 1_000_000, b"")
    bomb = '{"a":[' + "[]," * 33_000_000 + "[]]}"
    case("bracket-bomb").expect(r"model\.safetensors").model(bomb, b"")


def duplicates(case):
    one, two = json.dumps(entry(0, 64)), json.dumps(entry(64, 80, shape=(8,)))
    norm = f'"{NORM}":{two}'
    case("duplicate-tensor-same-range").expect("duplicate|twice").model(
        f'{{"{LINEAR}":{one},"{LINEAR}":{one},{norm}}}', bytes(80)
    )
    case("duplicate-tensor-next-range").expect("duplicate|twice").model(
        f'{{"{LINEAR}":{one},"{LINEAR}":{json.dumps(entry(64, 128))}}}', bytes(128)
    )
    case("duplicate-tensor-escaped").expect("duplicate|twice").model(
        f'{{"{LINEAR}":{one},"{LINEAR.replace("m", chr(92) + "u006d", 1)}":{one},{norm}}}',
        bytes(80),
    )
    case("duplicate-member").expect("duplicate|twice").model(
        f'{{"{LINEAR}":{{"dtype":"BF16",{one[1:]},{norm}}}', bytes(80)
    )
    case("duplicate-metadata").expect("duplicate|twice").model(
        f'{{"__metadata__":{{}},"__metadata__":{{}},"{LINEAR}":{one},{norm}}}', bytes(80)
    )


def names(case):
    for what, name, message in (
        ("nul", "a\0b", r"model\.safetensors"),
        ("control-byte", "a\1b", "name"),
        ("escape", "a\x1b[31mb", "name"),
        ("newline", "a\nb", "name"),
        ("del", "a\x7fb", "name"),
        ("star", "a.*.b", r"\*"),
        ("empty", "", "name"),
        ("256-bytes", "n" * 256, "name|255"),
        ("256-bytes-in-utf8", "ü" * 128, "name|255"),
    ):
        case(f"name-{what}").expect(message).entries(
            {**good_entries(), name: entry(80, 82, shape=(1,))}
        )
    case("name-255-bytes").expect(statuses=GOOD).entries(
        {**good_entries(), "n" * 255: entry(80, 82, shape=(1,))}
    )
    text = json.dumps({**good_entries(), "SURROGATE": entry(80, 82, shape=(1,))})
    case("name-lone-surrogate").expect(r"model\.safetensors").model(
        text.replace("SURROGATE", "\\ud800"), bytes(82)
    )
    case("scale-of-nothing").expect("_scale_inv").tensors(
        [tensor(LINEAR), tensor(LINEAR + "_scale_inv", (1, 1), "F32")]
    )


def members(case):
    for key in ("dtype", "shape", "data_offsets"):
        case(f"no-{key.replace('_', '-')}").expect(LINEAR, key).entries(
            with_linear(**{key: None}), 80
        )
    for what, value in (("unknown", "F12"), ("lower-case", "bf16"), ("number", 16), ("empty", "")):
        case(f"dtype-{what}").expect(LINEAR).entries(with_linear(dtype=value))
    for what, value in (
        ("float", [4.0, 8]),
        ("float-exponent", "EXPONENT"),
        ("negative", [-4, -8]),
        ("string", ["4", 8]),
        ("bool", [True, 32]),
        ("null", [None, 8]),
        ("no-array", 32),
        ("2-to-63", [1 << 63, 1]),
        ("2-to-64", [1 << 64, 1]),
        ("product-overflow", [1 << 32, 1 << 32]),
        ("product-overflow-to-32", [(1 << 63) + 16, 2]),
        ("bits-overflow", [1 << 60, 16]),
        ("seven-dimensions", [4, 8, 1, 1, 1, 1, 1]),
        ("too-small", [4, 7]),
        ("too-large", [4, 9]),
    ):
        text = json.dumps(with_linear(shape=value)).replace('"EXPONENT"', "[4e0, 8]")
        case(f"shape-{what}").expect(LINEAR).model(text, bytes(80))
    # Refused by the scan for limits, before tensors are known.
    for what, value in (
        ("object", {"0": 4}),
        ("nested", [[4], 8]),
        ("100000-items", [1] * 100_000),
    ):
        case(f"shape-{what}").expect(r"model\.safetensors").entries(with_linear(shape=value))
    case("shape-half-a-byte").expect(LINEAR).entries(with_linear(dtype="F4", shape=[127]))
    for what, value in (("not-object", 1), ("null", None), ("array", []), ("string", "x")):
        case(f"tensor-{what}").expect(r"model\.safetensors").entries({**good_entries(), "x": value})
    for what, value in (
        ("not-object", []),
        ("number", {"format": 1}),
        ("nested", {"format": {}}),
        ("null", {"format": None}),
    ):
        case(f"metadata-{what}").expect("metadata").entries(
            {"__metadata__": value, **good_entries()}
        )


def offsets(case):
    for what, value in (
        ("one", [0]),
        ("three", [0, 64, 80]),
        ("none", []),
        ("float", [0, 64.0]),
        ("negative", [-64, 0]),
        ("reversed", [64, 0]),
        ("string", ["0", "64"]),
        ("no-array", 64),
        ("beyond-file", [0, 1 << 40]),
        ("2-to-63", [1 << 63, (1 << 63) + 64]),
        ("2-to-64", [(1 << 64), (1 << 64) + 64]),
        ("wrong-length", [0, 62]),
    ):
        case(f"offsets-{what}").expect(r"model\.safetensors").entries(
            with_linear(data_offsets=value), 80
        )
    second = entry(64, 80, shape=(8,))
    for what, a, b, size in (
        ("hole-first", entry(8, 72), entry(72, 88, shape=(8,)), 88),
        ("hole-middle", entry(0, 64), entry(72, 88, shape=(8,)), 88),
        ("hole-last", entry(0, 64), second, 88),
        ("overlap", entry(0, 64), entry(56, 72, shape=(8,)), 72),
        ("overlap-same-range", entry(0, 64), entry(0, 64), 64),
        ("overlap-inside", entry(0, 64), entry(8, 24, shape=(8,)), 64),
    ):
        case(what).expect(r"model\.safetensors").entries({LINEAR: a, NORM: b}, size)


def values(case):
    data = bytearray(64)
    data[2 * 5 : 2 * 5 + 2] = b"\x80\x7f"  # element 5: +infinity
    data[2 * 9 : 2 * 9 + 2] = b"\xc0\x7f"  # element 9: NaN
    bad = (LINEAR, "BF16", [4, 8], bytes(data))
    case("nonfinite-quantized").expect(LINEAR, r"\b5\b", r"\b2\b").tensors([bad])
    case("nonfinite-kept").expect(statuses=GOOD).tensors(
        [tensor(LINEAR), (NORM, "BF16", [4, 8], bytes(data))]
    )
    case("nothing-to-quantize").expect("quantiz").tensors([tensor(NORM)])
    case("no-tensors").expect("quantiz|tensor").model("{}")
    case("only-metadata").expect("quantiz|tensor").model('{"__metadata__":{"format":"pt"}}')


def indexes(case):
    two = {LINEAR: SHARDS[0], NORM: SHARDS[1]}

    def sharded(name, weight_map, first=(LINEAR,), second=(NORM,)):
        c = case(name)
        c.index(weight_map)
        c.tensors([tensor(n) for n in first], SHARDS[0])
        c.tensors([tensor(n) for n in second], SHARDS[1])
        return c

    sharded("two-shards", two).expect(statuses=GOOD)
    sharded("tensor-not-in-index", two, second=(NORM, "more")).expect("more")
    sharded("tensor-not-in-shard", {**two, "missing": SHARDS[0]}).expect("missing")
    sharded("tensor-in-other-shard", {LINEAR: SHARDS[0], NORM: SHARDS[0]}).expect("norm")
    sharded("tensor-in-two-shards", two, second=(NORM, LINEAR)).expect(LINEAR)
    sharded(
        "many-disagreements",
        {**two, "gone.a": SHARDS[0], "gone.b": SHARDS[1]},
        second=(NORM, "new.c", LINEAR),
    ).expect(r"gone\.a", r"gone\.b", r"new\.c", LINEAR)
    absent = {
        **two,
        "a": "model-00003-of-00004.safetensors",
        "b": "model-00004-of-00004.safetensors",
    }
    sharded("shards-absent", absent).expect("00003-of-00004", "00004-of-00004")
    c = sharded("surplus-file", two).expect(statuses=GOOD)
    c.tensors([tensor("other")], "other.safetensors")
    index_texts(case)
    for what, path in (
        ("parent", "../outside.safetensors"),
        ("absolute", "/etc/hostname"),
        ("empty", ""),
        ("dot", "."),
        ("dots", ".."),
        ("inner-parent", "a/../" + SHARDS[0]),
        ("double-slash", "a//" + SHARDS[0]),
        ("trailing-slash", SHARDS[0] + "/"),
        ("nul", "a\0b"),
    ):
        sharded(f"shard-name-{what}", {LINEAR: path, NORM: SHARDS[1]}).expect("shard|name|index")


def index_texts(case):
    whole = json.dumps({"weight_map": {LINEAR: "model.safetensors"}})
    for what, text in (
        ("empty", ""),
        ("not-json", "{"),
        ("array", "[]"),
        ("no-map", "{}"),
        ("map-is-array", '{"weight_map":[]}'),
        ("map-is-null", '{"weight_map":null}'),
        ("value-is-number", '{"weight_map":{"a":1}}'),
        ("trailing-text", whole + "x"),
        ("duplicate-name", whole[:-2] + f',"{LINEAR}":"model.safetensors"}}}}'),
        ("deep", '{"weight_map":' + "[" * 100_000),
        ("no-tensors", '{"weight_map":{}}'),
    ):
        c = case(f"index-{what}").expect("index")
        c.write("model.safetensors.index.json", text.encode())
        c.tensors([tensor(LINEAR)])


def directories(case):
    case("no-checkpoint").expect("safetensors")
    c = case("two-candidates").expect(r"a\.safetensors", r"b\.safetensors")
    for name in ("a.safetensors", "b.safetensors"):
        c.tensors([tensor(LINEAR)], name)
    case("one-candidate").expect(statuses=GOOD).tensors([tensor(LINEAR)], "weights.safetensors")
    c = case("single-file").expect(statuses=GOOD)
    c.tensors([tensor(LINEAR)], "weights.safetensors")
    c.path = os.path.join(c.directory, "weights.safetensors")
    c = case("text-file").expect(r"notes")
    c.write("notes.safetensors", b"Dear reader, this is not a checkpoint. " * 10)
    c.path = os.path.join(c.directory, "notes.safetensors")
    c = case("path-absent").expect("not-there", statuses=(3,))
    c.path = os.path.join(c.directory, "not-there")
    c = case("dangling-link").expect(r"model\.safetensors", statuses=(3, 5))
    os.symlink("nowhere", os.path.join(c.directory, "model.safetensors"))
    c = case("link-to-itself").expect(r"model\.safetensors", statuses=(3, 5))
    os.symlink("model.safetensors", os.path.join(c.directory, "model.safetensors"))
    c = case("pipe").expect(r"model\.safetensors", statuses=(3, 5))
    os.mkfifo(os.path.join(c.directory, "model.safetensors"))
    c = case("shard-is-directory").expect(r"model\.safetensors", statuses=(3, 5))
    os.mkdir(os.path.join(c.directory, "model.safetensors"))


def configs(case):
    for what, text in (
        ("broken", b"{"),
        ("empty", b""),
        ("array", b"[]"),
        ("duplicate", b'{"a":1,"a":2}'),
        ("not-utf8", b'{"a":"\xff"}'),
        ("deep", b"[" * 100_000),
    ):
        c = case(f"config-{what}").expect(r"config\.json")
        c.tensors([tensor(LINEAR)])
        c.write("config.json", text)
    c = case("config-absent").expect(statuses=GOOD)
    c.tensors([tensor(LINEAR)])
    os.remove(os.path.join(c.directory, "config.json"))
    c = case("config-large-numbers").expect(statuses=GOOD)
    c.tensors([tensor(LINEAR)])
    c.write(
        "config.json",
        b'{"model_max_length": 1000000000000000019884624838656, "eps": 1e-06, "x": null}',
    )


def hub_cache(case):
    """The layout of the Hub's cache: refs/main names a snapshot whose files are links into
    blobs."""

    def repository(name, ref):
        c = case(f"hub-{name}/models--X--Y")
        c.tensors([tensor(LINEAR)], "blob")
        os.makedirs(os.path.join(c.directory, "snapshots", "abc"))
        os.makedirs(os.path.join(c.directory, "blobs"))
        os.rename(os.path.join(c.directory, "blob"), os.path.join(c.directory, "blobs", "123"))
        os.symlink(
            "../../blobs/123", os.path.join(c.directory, "snapshots", "abc", "model.safetensors")
        )
        os.remove(os.path.join(c.directory, "config.json"))
        c.write("refs/main", ref)
        return c

    repository("good", b"abc").expect(statuses=GOOD)
    repository("snapshot-absent", b"def").expect("refs|snapshot|safetensors", statuses=(3, 5))
    repository("ref-empty", b"").expect("refs|snapshot|safetensors", statuses=(3, 5))
    repository("ref-leaves", b"../../../etc").expect("refs|snapshot|safetensors", statuses=(3, 5))


GENERATORS = [
    lengths,
    texts,
    duplicates,
    names,
    members,
    offsets,
    values,
    indexes,
    directories,
    configs,
    hub_cache,
]


def write_all(root):
    """Write the corpus; returns the manifest."""
    cases = []

    def case(name):
        cases.append(Case(root, name))
        return cases[-1]

    for generator in GENERATORS:
        generator(case)
    st_write.write_file(os.path.join(root, "outside.safetensors"), [tensor(LINEAR)])
    manifest = [
        {
            "name": c.name,
            "path": os.path.relpath(c.path, root),
            "statuses": c.statuses,
            "messages": c.messages,
        }
        for c in cases
    ]
    with open(os.path.join(root, "manifest.json"), "w", encoding="utf-8") as f:
        json.dump(manifest, f, indent=1)
    return manifest


if __name__ == "__main__":
    os.makedirs(sys.argv[1])
    print(f"{len(write_all(sys.argv[1]))} cases")
