#!/usr/bin/python3
"""Every name that octavo can be given contains what deceives a reader; nothing of that reaches its output.

    check_names.py OCTAVO DIR

Names of directories, files, shards, tensors, tokens, embedded files and values of configurations contain a
character of each kind that format/base/printable.h lists, and bytes that are not UTF-8 where a name may have
them. Every command runs on them, with success and with every kind of complaint, with and without --json;
its output must be UTF-8 without any such character (--json: ASCII), and exact where it is JSON.
Prints what was wrong and a summary; exit status 1 if anything was.
"""

import json
import os
import subprocess
import sys
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, ".."))
import st_write  # noqa: E402

# Bidirectional, without width, separators, C1, soft hyphen, tag, variation selector, space, noncharacter.
SEEN = "\u202e\u2066\u200b\u200f\u2028\ufeff\u00ad\U000e0041\ufe0f\u3000\ufdd0\uffff"
C1 = "\u009b31m"
CONTROL = "\x1b[31m\x07"
RAW = b"\xff\xe2\x80"  # not UTF-8: a wrong byte and the beginning of a character
# A path may have all of them; JSON everything except bytes that are not UTF-8; a tensor that is packed no control.
PATH = os.fsdecode((SEEN + C1 + CONTROL + "\n").encode("utf-8") + RAW)
TEXT, NAME = SEEN + C1 + CONTROL, SEEN
CATEGORIES = {"Cc", "Cf", "Zl", "Zp", "Cs"}


def problems_of(output, is_json):
    """What is wrong with these bytes."""
    try:
        text = output.decode("ascii" if is_json else "utf-8")
    except UnicodeDecodeError as e:
        return [f"not {'ASCII' if is_json else 'UTF-8'}: {output[max(0, e.start - 60):e.end + 20]}"]
    bad = {c for c in text if c in SEEN or (unicodedata.category(c) in CATEGORIES and c != "\n")}
    at = min((text.index(c) for c in bad), default=0)
    return [f"{ascii(''.join(sorted(bad)))} near {ascii(text[max(0, at - 60):at + 20])}"] if bad else []


class Runs:
    def __init__(self, octavo, directory):
        self.octavo, self.directory = octavo, directory
        self.count = self.failed = 0

    def complain(self, arguments, problems):
        self.failed += bool(problems)
        for problem in problems:
            shown = [a.replace(PATH, "PATH").replace(TEXT, "TEXT").replace(NAME, "NAME") for a in arguments]
            print(f"FAILED: {' '.join(shown)}: {problem}")

    def run(self, statuses, *arguments):
        """Twice: for people, and with --json. Returns the JSON object."""
        for extra in (("-v",), ("--json",)):
            if extra == ("-v",) and arguments[0] not in ("convert", "verify"):
                extra = ()
            done = subprocess.run(
                [self.octavo, *arguments, *extra],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60,
            )  # fmt: skip
            self.count += 1
            problems = problems_of(done.stdout, "--json" in extra) + problems_of(done.stderr, False)
            if done.returncode not in statuses:
                problems.append(f"status {done.returncode}, expected {statuses}: {ascii(done.stderr.decode('utf-8', 'replace'))}")
            self.complain([*arguments, *extra], problems)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def path(self, *names):
        return os.path.join(self.directory, *names)


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def write_json(path, value):
    write(path, json.dumps(value, ensure_ascii=False).encode("utf-8"))


def tensors(name, seed=1):
    """Quantized, kept, an expert stack, and one of a shape that no rule knows."""
    data = bytes(((i * 7 + seed) % 100, 0x3C)[i % 2] for i in range(2 * 32 * 32))
    matrix = [("BF16", [32, 32], data)]
    found = [(f"model.layers.0.{name}.up_proj.weight", *matrix[0])]
    found += [(f"model.layers.0.mlp.experts.{i}.down_proj.weight", *matrix[0]) for i in range(2)]
    found += [(f"{name}.weight", *matrix[0]), ("model.layers.0.norm.weight", "BF16", [32], data[:64])]
    return found


def checkpoint(path, name, seed=1, config=None, shard="model.safetensors"):
    os.mkdir(path)
    st_write.write_file(os.path.join(path, shard), tensors(name, seed))
    usual = {"model_type": TEXT, "architectures": [TEXT], "num_hidden_layers": 1, "torch_dtype": TEXT}
    write_json(os.path.join(path, "config.json"), {**usual, **(config or {})})
    write_json(os.path.join(path, "tokenizer_config.json"), {"chat_template": TEXT})
    write(os.path.join(path, "LICENSE"), b"x\n")
    write(os.path.join(path, PATH + ".txt"), b"x\n")
    return path


def packed(r):
    good = checkpoint(r.path("good" + PATH), NAME)
    other = checkpoint(r.path("other" + PATH), NAME, 3)
    out, out_other = r.path("out" + PATH), r.path("out2" + PATH)
    found = r.run((0,), "convert", good, "-o", out, "-f")
    r.run((3,), "convert", good, "-o", out)
    r.run((0,), "convert", good, "-n")
    r.run((0, 1), "convert", good, "-n", "--for", "vllm")
    r.run((0,), "convert", other, "-o", out_other, "-f", "--keep", f"*{NAME}*", "--dialect", "ieee")
    r.run((5,), "convert", good, "-o", r.path("embed"), "-f", "--embed", "*.txt")
    for model in (good, out):
        found = r.run((0,), "inspect", model)
        names = [t.get("name", "") for t in found.get("tensors", [])]
        r.complain(["inspect", model, "--json"], [] if any(NAME in n for n in names) else ["the name is not exact"])
        r.run((0, 5), "inspect", model, "--tensor", f"*{NAME}*")
        r.run((0,), "inspect", model, "--recipe")
        r.run((0, 1, 2, 5), "tokenize", model, "--text", r.path("out"))
    for a, b in ((good, other), (out, out_other), (good, out), (good, good)):
        r.run((0, 1), "diff", a, b)
        r.run((0, 1), "diff", a, b, "--full")
    r.run((0,), "verify", out)
    r.run((0,), "verify", out, "--against", good)
    r.run((1,), "verify", out, "--against", other)
    r.run((5,), "verify", out, "--against", good, "--forward", "--text", r.path("good" + PATH, PATH + ".txt"))
    r.run((0, 1), "export", out, "-o", r.path("ex" + PATH), "--for", "bf16", "-f")
    r.run((0, 1, 5), "export", out, "-o", r.path("ex2" + PATH), "--for", "vllm", "--allow-unloadable", "-f")
    r.run((0,), "unpack", out, "-o", r.path("un" + PATH), "-f")
    r.run((0,), "unpack", out, f"*{NAME}*", "-o", r.path("part" + PATH), "-f")
    r.run((2, 5), "unpack", out, "no" + TEXT, "-o", r.path("none" + PATH), "-f")
    raw = bytearray(open(out, "rb").read())
    for at in (5, 600, len(raw) // 3, len(raw) - 9):
        raw[at] ^= 16
        write(r.path("damaged" + PATH), raw)
        for arguments in (("verify",), ("inspect",), ("unpack", "-o", r.path("gone"), "-f"), ("diff", out)):
            r.run((1, 4, 5), arguments[0], r.path("damaged" + PATH), *arguments[1:])
        raw[at] ^= 16


def refused(r):
    """Complaints about names, values and files."""
    missing = r.path("missing" + PATH)
    for command in ("convert", "verify", "inspect", "unpack", "diff", "export", "tokenize", "bench"):
        r.run((2, 3, 5), command, *[missing] * (2 if command == "diff" else 1), *(["-o", missing + "x"] if command in ("convert", "export", "unpack") else []))
        r.run((2,), command, missing, "--no" + PATH)
    r.run((2,), PATH)
    for option in ("--keep", "--quantize", "--dialect", "--scales", "--device", "--memory", "--threads", "--recipe", "--embed"):
        r.run((2, 3, 5, 7), "convert", missing, "-o", "x", option, PATH)
    controls = checkpoint(r.path("controls"), TEXT)
    for command in ("convert", "inspect"):
        r.run((0, 5), command, controls, *(["-o", r.path("x"), "-f"] if command == "convert" else []))
    r.run((5,), "diff", controls, r.path("good" + PATH))
    index = checkpoint(r.path("index"), NAME, shard=f"a{NAME}.safetensors")
    names = {name: f"a{NAME}.safetensors" for name, *_ in tensors(NAME)}
    for weight_map in (
        names,
        {**names, TEXT: f"gone{TEXT}.safetensors"},
        {**names, TEXT: f"a{NAME}.safetensors"},
        {**names, TEXT: f"../{TEXT}"},
        {},
    ):
        write_json(os.path.join(index, "model.safetensors.index.json"), {"weight_map": weight_map})
        r.run((0, 3, 5), "convert", index, "-o", r.path("indexed"), "-f")
        r.run((0, 3, 5), "inspect", index)
    for key, value in (
        ("quantization_config", {"quant_method": TEXT, TEXT: TEXT}),
        ("quantization_config", {"quant_method": "fp8", "weight_block_size": [TEXT], "fmt": TEXT}),
        ("quantization_config", {"quant_method": "fp8", "modules_to_not_convert": [TEXT]}),
        ("compression_config", {"quant_method": "compressed-tensors", "format": TEXT, "config_groups": {TEXT: TEXT}}),
        (TEXT, TEXT),
    ):
        name = r.path(f"config{len(os.listdir(r.directory))}")
        checkpoint(name, NAME, config={key: value})
        r.run((0, 5), "convert", name, "-o", r.path("x"), "-f")
        r.run((0, 5), "inspect", name)
        r.run((0, 1, 5), "convert", name, "-n", "--for", "sglang")
    recipe = r.path("recipe" + PATH)
    for value in ({TEXT: 1}, {"rules": [{TEXT: 1}]}, {"rules": [{"match": TEXT, "action": TEXT}]}, TEXT, {"schema": TEXT}):
        write_json(recipe, value)
        r.run((2, 5), "convert", r.path("good" + PATH), "-o", r.path("x"), "-f", "--recipe", recipe)
    write(recipe, b'{"' + TEXT.encode() + RAW)
    r.run((5,), "convert", r.path("good" + PATH), "-o", r.path("x"), "-f", "--recipe", recipe)


def tokenizers(r):
    text = r.path("text" + PATH)
    path = r.path("tokenizer" + PATH + ".json")
    for data in (b"ab", TEXT.encode(), b"ab" + RAW):
        write(text, data)
        for value in (
            {"model": {"vocab": {"a": 0, TEXT: 1}, "merges": [TEXT]}},
            {"model": {"type": TEXT, "vocab": {"a": 0}, "merges": []}},
            {"model": {"vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": TEXT}},
            {"model": {"vocab": {"a": 0}, "merges": []}, "normalizer": {"type": TEXT, TEXT: TEXT}},
            {"model": {"vocab": {"a": 0}, "merges": []}, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": TEXT + "(?<" + TEXT}, "behavior": TEXT}},
            {"model": {"vocab": {"a": 0, "b": 1}, "merges": []}, "added_tokens": [{"id": 7, "content": TEXT, "special": True}]},
            {"model": {"vocab": {"a": 0, "b": 0}, "merges": []}, "added_tokens": [{"id": 0, "content": TEXT}]},
            {TEXT: TEXT},
        ):  # fmt: skip
            write_json(path, value)
            r.run((0, 5), "tokenize", path, "--text", text)


def main():
    r = Runs(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
    os.makedirs(r.directory)
    os.chdir(r.directory)
    packed(r)
    refused(r)
    tokenizers(r)
    print(f"names that deceive: {r.count} runs, {r.failed} failed")
    return 1 if r.failed else 0


if __name__ == "__main__":
    sys.exit(main())
