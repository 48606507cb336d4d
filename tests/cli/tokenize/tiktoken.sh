#!/bin/bash
# A model that has tiktoken.model and the code of its tokenizer instead of tokenizer.json, as Kimi: as a directory, as a
# packed file, in the forward pass.
. "$ROOT/tests/cli/lib.sh"
cp -r "$TESTDATA/ring-micro-linear" model
rm model/tokenizer*.json
"$PYTHON" - <<'END'
import base64, json
tokens = [bytes([b]) for b in range(256)] + [b"aa", b"ab"]
with open("model/tiktoken.model", "w") as f:
    f.writelines(f"{base64.b64encode(t).decode()} {rank}\n" for rank, t in enumerate(tokens))
with open("model/tokenizer_config.json", "w") as f:
    json.dump({"added_tokens_decoder": {"258": {"content": "[BOS]"}},
               "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]}}, f)
words = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]%s(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
parts = [r"[\p{Han}]+", words % ("*", "+"), words % ("+", "*"), r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+",
         r"\s+(?!\S)", r"\s+"]
with open("model/tokenization_kimi.py", "w") as f:
    f.write("num_reserved_special_tokens = 256\npat_str = '|'.join([%s])\nf'<|reserved_token_{i}|>'\n"
            % ", ".join(f'r"""{p}"""' for p in parts))
END
printf '[BOS]aab caf\xc3\xa9' >text

octavo tokenize model --text text
quietly convert model -o model.octavo
octavo tokenize model.octavo --text text
octavo verify model.octavo --forward --text text --length 4 --json | grep -o '"sequences":[^,]*' | head -1

say 'what is missing'
mv model/tokenization_kimi.py code.py
octavo tokenize model --text text
sed 's/1,3/1,4/' code.py >model/tokenization_kimi.py
octavo tokenize model --text text
octavo verify model --forward --text text --length 4
rm model/tokenizer_config.json
octavo tokenize model --text text
