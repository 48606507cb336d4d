#!/bin/bash
# Literals of Python that JSON does not have: config.json of Mamba-2 hybrids contains Infinity.
. "$ROOT/tests/cli/lib.sh"
# with TEXT DIRECTORY: the built-in example with one more key in its config.json.
with() {
    cp -r "$TESTDATA/ring-micro-linear" "$2"
    chmod -R u+w "$2"
    sed -i "1s/{/{ \"time_step_limit\": $1,/" "$2/config.json"
}
with '[0.0, Infinity]' a
with '[-Infinity, NaN]' b

cp "$ROOT/LICENSE" license

say 'every command takes it'
octavo convert a -o a.octavo --device cpu -q
quietly inspect a
quietly inspect a.octavo
octavo verify a.octavo --against a -q
octavo verify a.octavo --against a --forward --text license --length 256 -q
octavo convert a -n -q

say 'its bytes are kept'
octavo export a.octavo -o plain --for bf16 -q
same a/config.json plain/config.json
octavo export a.octavo -o fp8 --for ant-sglang --dequantize --allow-unloadable -q
head -n 1 fp8/config.json
octavo unpack a.octavo config.json -o unpacked -q
same a/config.json unpacked/config.json
octavo convert plain -n -q

say 'different literals are a difference'
octavo diff a b
octavo diff a a -q

say 'but it is no JSON elsewhere'
echo '{"octavo_recipe":1,"scales":Infinity,"rules":[]}' >recipe.json
octavo convert a -n --recipe recipe.json
