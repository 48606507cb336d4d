#!/usr/bin/python3
"""Compare the ids of `octavo tokenize` with those of the tokenizers library.

    tokenizer_check.py TOKENIZER_JSON...

OCTAVO in the environment. The first file is also changed in many ways: other pre-tokenizers, added tokens
of every kind, ignore_merges, merges as strings. Texts are made from a seed (SEED, default 1), which is printed.
Prints the first difference of each case and a summary line; exit status 1 if there was a difference.
"""

import copy
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

OCTAVO = os.environ.get("OCTAVO", "build/octavo")

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLASSES = (
    r"\s+ \S+ \d+ \D+ \p{L}+ \P{L}+ \p{N}+ \p{^N}+ [^\s\p{L}]+ [\S]+ [^\S]+ [\s\d]+ \p{Lu}+ \p{Ll}+ \p{Lt}+ \p{Lm}+"
    r" \p{Lo}+ \p{M}+ \p{Nd}+ \p{Nl}+ \p{No}+ \p{P}+ \p{Pc}+ \p{Pd}+ \p{Ps}+ \p{Pe}+ \p{Pi}+ \p{Pf}+ \p{Po}+ \p{S}+"
    r" \p{Sm}+ \p{Sc}+ \p{Sk}+ \p{So}+ \p{Z}+ \p{Zs}+ \p{Zl}+ \p{Zp}+ \p{Han}+ .+ (?i:[a-z])+ (?i:k|s)+"
    r" [\p{L}\p{M}&&[^\p{Han}]]+ [^\p{L}&&[^a]]+ [^(\s|[.,!?1])]+ [\P{L}\d&&\P{N}]+ \S$"
)
BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")

SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e\u2000\u2003\u2009\u200a\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
WORDS = (
    "the The THE don't DON'T it's I'LL we've They'Re 'S 's ' x'ſ K Kelvin straße ﬁle ﬀ naïve café cafe\u0301 Zürich Ελλάδα "
    "Привет мир שלום עולם مرحبا नमस्ते สวัสดี ภาษาไทย 你好世界 こんにちは カタカナ 안녕하세요 ქართული ελληνικά Ⅳ ½ ² ٣٤٥ १२३ "
    "௧௨ 12345678 3.14159 1e-10 0x7f http://example.org/a?b=c&d foo_bar fooBar FooBAR __init__ snake_case() ()[]{} ... ?! -- == "
    "→ ≤ € ¥ © ™ 👍 👍🏽 👨\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🇩🇪 e\u0301\u0302\u0323 \u0301 \u200d \U00031350\U00031351 "
    "\U0001e4f0\U0001e4f1 \u1c89 \ua7da \U000105c0 \U0001cc00 \U00010d40"
).split(" ")


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": [*steps, BYTE_LEVEL]}


def character(rng):
    ranges = ((0, 0x7F), (0x80, 0x24F), (0x250, 0x1FFF), (0x2000, 0x33FF), (0x3400, 0xD7FF), (0xE000, 0xFFFF),
              (0x10000, 0x1FFFF), (0x20000, 0x10FFFF))
    return chr(rng.randint(*rng.choice(ranges)))


def mixed_text(rng, length, tokens):
    """Words, runs of white space, digits, any characters, line ends and added tokens, in random order."""
    out = []
    size = 0
    while size < length:
        kind = rng.randrange(12)
        if kind < 5:
            piece = rng.choice(WORDS) + rng.choice(("", " ", " ", " ", "  ", "\n"))
        elif kind == 5:
            piece = "".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 8)))
        elif kind == 6:
            piece = rng.choice(" \n\t\r") * rng.randrange(1, 20) + rng.choice(("", "x", "\r\n"))
        elif kind == 7:
            piece = "".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 12)))
        elif kind == 8:
            piece = "".join(character(rng) for _ in range(rng.randrange(1, 6)))
        elif kind == 9:
            piece = "\r\n" * rng.randrange(1, 4)
        elif kind == 10 and tokens:
            piece = rng.choice(("", " ", "a", "\n ")) + rng.choice(tokens) + rng.choice(("", " ", "a", "\t"))
        elif rng.randrange(60) == 0:
            piece = "".join(rng.choice("abcdeéж") for _ in range(rng.randrange(100, 5000)))
        else:
            piece = chr(rng.randrange(32)) if rng.randrange(3) else rng.choice("'\"!?.,:;-/\\_")
        out.append(piece)
        size += len(piece.encode())
    return "".join(out)


def every_character():
    """Each character between others that show its class; only a part of the large blocks of one class."""
    boring = ((0x3410, 0x4DA0), (0x4E10, 0x9FD0), (0xAC10, 0xD790), (0xE010, 0xF8F0), (0x17010, 0x187E0),
              (0x20010, 0x2A6C0), (0x2A710, 0x2FA10), (0x30010, 0x31340), (0x32400, 0xE0000), (0xE0200, 0x110000))
    points = []
    point = 0
    while point < 0x110000:
        inside = any(first <= point < last for first, last in boring)
        points.append(point)
        point += 97 if inside else 1
        if point == 0xD800:
            point = 0xE000
        for first, last in boring:
            if inside and first <= point - 97 < last <= point:
                point = last
    points += [0x2B738, 0x2B739, 0x2B73A, 0x2EBF0, 0x2EE5D, 0x2EE5E]
    return "".join(f"{c}a{c} 1{c}\n" for c in map(chr, points) if not "\ud800" <= c <= "\udfff")


class Comparison:
    def __init__(self, scratch):
        self.scratch = scratch
        self.passed = self.failed = self.ids = 0
        self.bytes = 0

    def compare(self, what, config, text):
        path = os.path.join(self.scratch, "tokenizer.json")
        text_path = os.path.join(self.scratch, "text")
        data = json.dumps(config)
        with open(path, "w", encoding="utf-8") as f:
            f.write(data)
        with open(text_path, "wb") as f:
            f.write(text.encode())
        expected = Tokenizer.from_str(data).encode(text, add_special_tokens=False)
        run = subprocess.run([OCTAVO, "tokenize", path, "--text", text_path], capture_output=True, text=True)
        found = json.loads(run.stdout) if run.returncode == 0 else []
        if run.returncode == 0 and found == expected.ids:
            self.passed += 1
            self.ids += len(found)
            self.bytes += len(text.encode())
            return
        self.failed += 1
        print(f"FAILED: {what}: {run.stderr.strip() or 'different ids'}")
        if run.returncode == 0:
            self.show(expected, found, text)

    @staticmethod
    def show(expected, found, text):
        at = next((i for i, (a, b) in enumerate(zip(expected.ids, found)) if a != b), min(len(expected.ids), len(found)))
        first = expected.offsets[max(at - 3, 0)][0] if expected.ids else 0
        print(f"    id {at}: expected {expected.ids[at - 2:at + 6]}, found {found[at - 2:at + 6]}")
        print(f"    near character {first}: {text[first:first + 30]!r}")


def with_added(config, rng, contents):
    """Added tokens of random kinds, with the ids that the library assigns."""
    config = copy.deepcopy(config)
    vocab = config["model"]["vocab"]
    following = max([len(vocab)] + [t["id"] + 1 for t in config["added_tokens"]])
    for content in contents:
        token = {"id": vocab.get(content, following), "content": content}
        following = max(following, token["id"] + 1)
        for flag in ("single_word", "lstrip", "rstrip", "normalized", "special"):
            token[flag] = rng.random() < 0.5
        # In white space that rstrip of another token has taken, the library fails.
        token["lstrip"] &= not content[0].isspace()
        config["added_tokens"].append(token)
    return config


def variants(base):
    """Pre-tokenizers of released models."""
    for name, pre, model in (
        ("gpt2", {**BYTE_LEVEL, "use_regex": True}, {}),
        ("gpt2 with a space before", {**BYTE_LEVEL, "use_regex": True, "add_prefix_space": True}, {}),
        ("byte level alone", BYTE_LEVEL, {}),
        ("llama 3", sequence(split(LLAMA3)), {"ignore_merges": True}),
        ("qwen 2", sequence(split(QWEN2)), {}),
        ("o200k", sequence(split(O200K)), {"ignore_merges": True}),
        ("deepseek 3", sequence(split(r"\p{N}{1,3}"), split(r"[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK)), {}),
        ("digits", sequence({"type": "Digits", "individual_digits": True}), {}),
        ("numbers, a space before", {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": False}, {**BYTE_LEVEL, "add_prefix_space": True}]}, {}),
        ("merges as strings", base["pre_tokenizer"], {"merges": [" ".join(m) for m in base["model"]["merges"]]}),
        ("ignore_merges", base["pre_tokenizer"], {"ignore_merges": True}),
    ):
        config = copy.deepcopy(base)
        config["pre_tokenizer"] = pre
        config["model"].update(model)
        yield name, config


def main():
    seed = int(os.environ.get("SEED", "1"))
    rng = random.Random(seed)
    print(f"tokenizer: SEED={seed}")
    configs = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            configs.append(json.load(f))
    base = configs[0]
    special = [t["content"] for t in base["added_tokens"]]
    everything = every_character()
    mixed = mixed_text(rng, 1 << 20, special)
    with tempfile.TemporaryDirectory() as scratch:
        c = Comparison(scratch)
        for path, config in zip(sys.argv[1:], configs):
            c.compare(f"{path}, mixed text", config, mixed)
            c.compare(f"{path}, every character", config, everything)
        for name, config in variants(base):
            c.compare(f"{name}, mixed text", config, mixed[: len(mixed) // 3])
            if name in ("gpt2", "llama 3", "o200k", "deepseek 3", "digits"):
                c.compare(f"{name}, every character", config, everything)
            for text in ("", " ", "\n", "a", "é", "'s", "\r\n\r\n ", "  a"):
                c.compare(f"{name}, {text!r}", config, text)
        for pattern in CLASSES.split(" "):
            config = {**base, "pre_tokenizer": sequence(split(pattern))}
            c.compare(f"class {pattern}", config, everything)
        short = mixed_text(rng, 60000, special)
        for behavior, invert, (kind, pattern) in itertools.product(
            BEHAVIORS, (False, True), (("Regex", r"\s+"), ("Regex", r"[a-e]"), ("String", "a"), ("String", "\n\n"))
        ):
            config = {**base, "pre_tokenizer": sequence(split(pattern, behavior, invert, kind), split(r"\p{N}"))}
            c.compare(f"{behavior}, invert {invert}, {kind} {pattern!r}", config, short)
        contents = ("<a>", "<a", "ab", "abc", " ", "  ", "\n\n", "你好", "the", "The", "'s", "é", "👍", "1", "12", "a b", "<|endoftext|> ",
                    "\u3000", "_x", "\u0301")
        for number in range(30):
            chosen = rng.sample(contents, rng.randrange(1, 8))
            config = with_added(base, rng, chosen)
            text = mixed_text(rng, 30000, special + chosen * 3)
            c.compare(f"added tokens {number}: {config['added_tokens'][len(special):]}", config, text)
        config = copy.deepcopy(base)
        config["added_tokens"] += [
            {"id": 512, "content": "<w>", "single_word": True, "lstrip": True, "rstrip": False, "normalized": False, "special": False},
            {"id": 513, "content": "<r>", "single_word": False, "lstrip": True, "rstrip": True, "normalized": True, "special": False},
            {"id": 514, "content": " ", "single_word": False, "lstrip": True, "rstrip": False, "normalized": True, "special": False},
        ]
        around = "".join(f"{ch}<w>{ch} <w> {ch}<r>{ch}" for ch in everything[::7])
        c.compare("words and spaces around added tokens", config, around)
        c.compare("white space that is already taken", config, "<r> x <r> y <w> <w>")
        word = "".join(rng.choice("abcdefghiétaeins") for _ in range(1 << 20))
        c.compare("one word of 1 MB", base, word)
        print(f"tokenizer: {c.passed} passed, {c.failed} failed; {c.bytes} bytes, {c.ids} ids")
    return 1 if c.failed else 0


if __name__ == "__main__":
    sys.exit(main())
