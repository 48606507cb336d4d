"""Worst cases (worst_cases.py): tokenizers, and what else the forward pass reads."""

import base64
import bz2
import os
import struct

from worst_files import compact, safetensors, tensors, write

# ---- tokenizers ------------------------------------------------------------------------------------------------


def letters():
    printable = [b for b in range(256) if 0x20 < b < 0x7F or (b > 0xA0 and b != 0xAD)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(0x100 + i): b for i, b in enumerate(others)}}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def tokenizer(directory, text, vocab=None, merges=(), splits=(BYTE_LEVEL,), **members):
    write(
        os.path.join(directory, "tokenizer.json"),
        compact(
            {
                "version": "1.0",
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(splits)},
                "model": {"type": "BPE", "vocab": {**letters(), **(vocab or {})}, "merges": list(merges)},
                **members,
            }
        ),
    )
    write(os.path.join(directory, "text"), text)
    return ["tokenize", os.path.join(directory, "tokenizer.json"), "--text", os.path.join(directory, "text")]


def added(i, content, **flags):
    usual = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": 256 + i, "content": content, **usual, **flags}


def vocabulary(directory, n):
    words = ["a" * (i % 30 + 1) + f"{i:06}" for i in range(n)]
    return tokenizer(directory, "a", {word: 256 + i for i, word in enumerate(words)})


def one_word(directory, n):
    vocab = {"a" * 2**k: 255 + k for k in range(1, 8)}
    return tokenizer(directory, "a" * n, vocab, [f"{'a' * 2**k} {'a' * 2**k}" for k in range(7)])


KIMI_CODE = (
    "num_reserved_special_tokens = 256\npat_str = '|'.join([%s])\nf'<|reserved_token_{i}|>'\nauto = %s"
)
KIMI_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
KIMI_PARTS = (r"[\p{Han}]+", KIMI_WORD % ("*", "+"), KIMI_WORD % ("+", "*"), r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*")
KIMI_PARTS += (r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+")


def tiktoken(directory, ranks, lists=""):
    write(os.path.join(directory, "tiktoken.model"), ranks)
    write(
        os.path.join(directory, "tokenizer_config.json"), compact({"auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]}})
    )
    parts = ", ".join(f'r"""{p}"""' for p in KIMI_PARTS)
    write(os.path.join(directory, "tokenization_kimi.py"), KIMI_CODE % (parts, lists))
    write(os.path.join(directory, "text"), "a")
    return ["tokenize", directory, "--text", os.path.join(directory, "text")]


def rank_lines(tokens):
    return "".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens))


def bytes_and(n):
    return [bytes([b]) for b in range(256)] + [b"a%06d" % i for i in range(n)]


def tiktoken_ranks(directory, n):
    return tiktoken(directory, rank_lines(bytes_and(n)))


def tiktoken_lines(directory, n):
    """Empty ones are skipped."""
    return tiktoken(directory, "\n" * n + rank_lines(bytes_and(0)))


def tiktoken_code(directory, n):
    """Many lists that are almost the one of the pattern."""
    return tiktoken(directory, rank_lines(bytes_and(0)), f'[r"""{KIMI_PARTS[0]}""",  ' * n)


def vocabulary_merges(directory, n):
    """As many merges as tokens, all of one pair: the last one counts."""
    words = {f"a{i:06}": 256 + i for i in range(n)}
    return tokenizer(directory, "a", {**words, "a0": 256 + n}, ["a 0"] * n)


def added_tokens(directory, n):
    return tokenizer(directory, "a" * 100, added_tokens=[added(i, f"<{i:06}>") for i in range(n)])


def spaces(directory, n):
    return tokenizer(directory, " \t" * n, added_tokens=[added(0, " ", rstrip=True), added(1, "\t")])


def long_token(directory, n):
    return tokenizer(directory, "a" * n, added_tokens=[added(0, "a" * 500 + "b")])


def steps(directory, n):
    return tokenizer(directory, "é" * n, splits=[BYTE_LEVEL] * 6)


def replacements(directory, n):
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    return tokenizer(directory, "a" * n, normalizer={"type": "Sequence", "normalizers": [step] * 4})


def marks(directory, n):
    return tokenizer(directory, "a" + "\u0301\u0316" * n, normalizer={"type": "NFC"})


def texts(directory, data):
    path = os.path.join(directory, "texts.jsonl")
    write(path, data)
    return [*tokenizer(directory, "a")[:-1], path]


def lines_short(directory, n):
    return texts(directory, '{"text":"a"}\n' * n)


def lines_blank(directory, n):
    """The last one is no JSON."""
    return texts(directory, "\n" * n + "x")


def lines_packed(directory, n):
    return texts(directory, bz2.compress(b'{"text":"a"}\n' * n))


def line_long(directory, n):
    return texts(directory, compact({"text": "ab" * n}))


def line_values(directory, n):
    """Keys beside the text."""
    return texts(directory, compact({"text": "a", **{f"k{i:07}": [] for i in range(n)}}))


def text_files(directory, n):
    """In many directories, half of them left out."""
    for i in range(n):
        os.makedirs(os.path.join(directory, "texts", f"d{i:06}"))
        write(os.path.join(directory, "texts", f"d{i:06}", "a.txt" if i % 2 else "a.pdf"), "a")
    return [*tokenizer(directory, "a")[:-1], os.path.join(directory, "texts")]


# ---- inputs of the forward pass ----------------------------------------------------------------------------------

MICRO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "ring-micro-linear")


def forward(directory, name, data, option="--tokens"):
    write(os.path.join(directory, name), data)
    return ["verify", MICRO, "--forward", option, os.path.join(directory, name)]


def ids_json(directory, n):
    """In one row each; the last one is no id."""
    return forward(directory, "ids", compact([[1]] * n + [[-1]]))


def ids_npy(directory, n):
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({n},), }}\n".encode()
    ids = struct.pack("<q", 1) * (n - 1) + struct.pack("<q", -1)
    return forward(directory, "ids", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + ids)


def ids_safetensors(directory, n):
    """Among many tensors."""
    return forward(directory, "ids", safetensors(tensors(n, "a%06d", "I32", [0])))


def reference_tensors(directory, n):
    return forward(directory, "dump", safetensors(tensors(n, "layers.%d.output", "F32", [0, 8])), "--reference")


def limits(directory, n):
    write(os.path.join(directory, "text"), "a")
    command = forward(directory, "limits", compact({"octavo_limits": 1, "f32": {"a": [[]] * n}}), "--limits")
    return [*command, "--text", os.path.join(directory, "text")]
