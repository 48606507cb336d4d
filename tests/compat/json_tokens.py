"""The text of a JSON object without its descriptions of a quantization, as tokens: what may not change."""

import re

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
DESCRIPTION = ('"quantization_config"', '"compression_config"')


def skip(tokens, i):
    """The index after the value that begins at i."""
    depth = 0
    while True:
        depth += (tokens[i] in "{[") - (tokens[i] in "}]")
        i += 1
        if depth == 0:
            return i


def without_descriptions(text):
    """Tokens, spelled as in the text, without the members and the commas that belong to them."""
    tokens, out, i = TOKEN.findall(text), [], 0
    while i < len(tokens):
        if tokens[i] in DESCRIPTION and tokens[i + 1] == ":":
            i = skip(tokens, i + 2)
            if i < len(tokens) and tokens[i] == ",":
                i += 1
            elif out and out[-1] == ",":
                out.pop()
            continue
        out.append(tokens[i])
        i += 1
    return out


def has_descriptions(text):
    tokens = TOKEN.findall(text)
    return any(t in DESCRIPTION and after == ":" for t, after in zip(tokens, tokens[1:]))
