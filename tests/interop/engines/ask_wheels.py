#!/usr/bin/env python3
"""Exports, judged by the functions with which runtimes match their lists of modules that are not FP8.

    python3 tests/interop/engines/ask_wheels.py DIR EXPORT...

Run by hand, not by `make test`. DIR is as known_architectures.py needs it; an EXPORT is a directory that
`octavo export --for hf|vllm|sglang|compressed-tensors` wrote. Of the wheels, only the functions that match
names, the classes that rename them and the tables in the models are run, each cut out of its file; neither
torch nor a runtime is needed.

For every matrix of an export it is determined what the module is called in the runtime, which matrices it is
merged with, and whether the list excludes it. A module that is excluded must have no FP8, and one that is not
must have nothing but FP8 with scales. Modules that are never FP8 (PLAIN) must not be FP8, whatever the list
says. Exit status: 0 all as it should be, 1 not.
"""

import __future__

import ast
import collections
import dataclasses
import functools
import json
import logging
import pathlib
import re
import struct
import sys
import types
import typing

# Built without FP8 by every runtime, listed or not.
PLAIN = re.compile(r"embed|norm|(^|\.)lm_head$|shared_head\.head$|\.eh_proj$|\.shared_expert_gate$|\.router(\.|$)"
                   r"|(mlp|moe|block_sparse_moe|mixer|feed_forward)\.gate$|conv1d$|\.indexer\.weights_proj$")
# In some models of a runtime: runtime, beginning of the architecture, pattern.
PLAIN_IN = [
    ("sglang", "BailingMoeV3", r"\.attention\.g_proj$|\.self_attn\.b_proj$"),
    ("sglang", "KimiLinear", r"\.kv_b_proj$"),
    ("sglang", "Step3p5", r"\.self_attn\.g_proj$"),
    ("sglang", "", r"^(model\.)?mtp\.fc$"),
    ("sglang", "Qwen3", r"(^|\.)visual\."),
]
# Read as FP8 and as plain numbers by vLLM and SGLang, listed or not: dequantized on loading.
EITHER = re.compile(r"\.indexer\.wk$")
# Modules like these that a runtime does quantize: runtime, beginning of the architecture, pattern.
ASKED = [
    ("vllm", "Qwen3Moe", r"\.mlp\.gate$"),
    ("vllm", "Qwen3VLMoe", r"\.mlp\.gate$"),
    ("compressed-tensors", "Qwen3Moe", r"\.mlp\.gate$"),
    ("hf", "", r"\.shared_expert_gate$|\.router\.classifier$|^lm_head$"),
]
# Where a module is not called like the tensor: runtime, beginning of the architecture, pattern, instead.
CALLED = [
    ("sglang", "Step3p5", r"\.moe(?=\.|$)", ".mlp"),
    ("sglang", "Qwen3VL", r"^language_model\.model", "model.language_model"),
    ("sglang", "KimiK25", r"^language_model\.", ""),
    ("sglang", "InternVL", r"^language_model\.", ""),
    ("sglang", "Glm4vForConditional", r"^model\.language_model\.", "model."),
    ("sglang", "Glm4vForConditional", r"^model\.visual\.", "visual."),
    ("sglang", "Gemma3", r"\.self_attn\.out_proj", ".self_attn.proj"),
    ("sglang", "Gemma3ForConditional", r"^model\.(?!language_model)", ""),
]


def cut(path, names, space):
    """Run the definitions of `names` that a file has at its top level."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        targets = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            targets = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = [ast.unparse(t) for t in (node.targets if isinstance(node, ast.Assign) else [node.target])]
        if set(targets) & set(names):
            code = compile(ast.Module([node], []), str(path), "exec", __future__.annotations.compiler_flag)
            exec(code, space)
    return space


def plain_space():
    return {"re": re, "dataclass": dataclasses.dataclass, "field": dataclasses.field, "replace": dataclasses.replace,
            "Mapping": collections.abc.Mapping, "MappingProxyType": types.MappingProxyType, "List": list,
            "Iterable": collections.abc.Iterable, "Literal": typing.Literal, "Optional": typing.Optional,
            "logger": logging.getLogger(), "WeightsMapping": dict, "fnmatch": None}


class Classes:
    """The classes of a runtime's models, by name: the tables in their bodies, with those of their bases."""

    def __init__(self, folders, space):
        self.space = space
        self.nodes = {}
        for path in (p for folder in folders for p in sorted(folder.rglob("*.py"))):
            if "/amd/" not in str(path) and "/xpu/" not in str(path) and "/cpu/" not in str(path):
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    if isinstance(node, ast.ClassDef):
                        self.nodes.setdefault(node.name, node)

    def lineage(self, name):
        node = self.nodes.get(name)
        if node is not None:
            yield node
            for base in node.bases:
                yield from self.lineage(ast.unparse(base).split(".")[-1])

    @functools.lru_cache(maxsize=None)
    def table(self, name, attribute):
        """The value of a table of a class; names of other classes in it are looked up here, too."""
        outer = self

        class Other(dict):
            def __missing__(self, key):
                if key in outer.nodes:
                    return types.SimpleNamespace(**{a: outer.table(key, a) for a in
                                                    ("packed_modules_mapping", "hf_to_vllm_mapper",
                                                     "hf_to_sglang_mapper", "_PACKED_MODULES_MAPPING")})
                raise KeyError(key)
        for node in self.lineage(name):
            for item in node.body:
                target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
                if target is not None and ast.unparse(target) == attribute and getattr(item, "value", None):
                    return eval(compile(ast.Expression(item.value), name, "eval"), Other(self.space))
        return None

    def packed(self, name):
        """packed_modules_mapping, with what __init__ adds to it, and that of self.model if it has its own."""
        packed = dict(self.table(name, "packed_modules_mapping") or {})
        for node in reversed(list(self.lineage(name))):
            for item in (i for i in ast.walk(node) if isinstance(i, ast.Assign)):
                target = ast.unparse(item.targets[0])
                if target.startswith("self.packed_modules_mapping["):
                    packed[ast.literal_eval(item.targets[0].slice)] = ast.literal_eval(item.value)
                elif target == "self.model" and isinstance(item.value, ast.Call):
                    inner = ast.unparse(item.value.func)
                    if "SupportsQuant" in [n.id for c in self.lineage(inner) for n in c.bases if isinstance(n, ast.Name)]:
                        packed |= self.table(inner, "packed_modules_mapping") or {}
        return packed


class Vllm:
    def __init__(self, folder):
        layers = folder / "model_executor/layers/quantization"
        space = plain_space()
        cut(layers / "utils/quant_utils.py", ["is_layer_skipped"], space)
        cut(layers / "utils/config_utils.py", ["find_matching_patterns", "is_equal_or_regex_match"], space)
        cut(layers / "compressed_tensors/utils.py", ["should_ignore_layer"], space)
        cut(folder / "model_executor/models/utils.py", ["WeightsMapper"], space)
        self.space = space
        self.classes = Classes([folder / "model_executor/models", folder / "models"], space)
        registry = ast.parse((folder / "model_executor/models/registry.py").read_text(encoding="utf-8"))
        self.registry = {}
        for node in registry.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                for k, v in zip(node.value.keys, node.value.values, strict=True):
                    if isinstance(k, ast.Constant) and isinstance(v, ast.Tuple):
                        self.registry[k.value] = v.elts[1].value

    def start(self, config, quant):
        architecture = config["architectures"][0]
        name = self.registry.get(architecture, "")
        self.packed = self.classes.packed(name)
        if not name:  # the backend for transformers merges by itself
            self.packed = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
        mapper = self.classes.table(name, "hf_to_vllm_mapper")
        self.mapper = mapper.get_rename_mapper() if mapper else None
        self.compressed = quant["quant_method"] == "compressed-tensors"
        listed = quant.get("ignore") if self.compressed else quant.get("ignored_layers") or quant.get("modules_to_not_convert")
        listed = listed or []
        if self.mapper:
            listed = [self.mapper.map_name(x) if "." in x and not x.startswith("re:") or not self.compressed else x
                      for x in listed]
        self.listed = [x for x in listed if x is not None]
        self.mode = "suffix" if name.startswith("BailingMoeV3") else "exact"
        if self.mode == "suffix" and not self.compressed and any(x.endswith(".b_proj") for x in self.listed):
            del self.packed["qkvb_proj"]  # bailing_moe_v3.py, separate_b_proj

    def called(self, module):
        return self.mapper.map_name(module) if self.mapper else module

    def excluded(self, prefix):
        if self.compressed and prefix.endswith(".experts"):
            answers = {self.space["should_ignore_layer"](f"{prefix}.0.{x}", self.listed, self.packed)
                       for x in (("w1", "w2", "w3") if self.w1 else ("gate_proj", "up_proj", "down_proj"))}
            if len(answers) > 1:
                raise ValueError("All MoE projections need to have same quantization scheme")
            return answers.pop()
        if self.compressed:
            return self.space["should_ignore_layer"](prefix, self.listed, self.packed)
        return self.space["is_layer_skipped"](prefix, self.listed, self.packed, match_mode=self.mode)


class Sglang:
    def __init__(self, folder):
        space = plain_space()
        space.update(Dict=dict, Tuple=tuple)
        cut(folder / "srt/layers/quantization/utils.py",
            ["is_layer_skipped", "_module_path_match", "_FALLBACK_FUSED_SHARDS"], space)
        cut(folder / "srt/models/utils.py", ["WeightsMapper"], space)
        self.space = space
        self.classes = Classes([folder / "srt/models"], space)

    def start(self, config, quant):
        name = config["architectures"][0]
        own = self.classes.packed(name)
        # update_packed_modules_mapping is called by deepseek_v2.py only; elsewhere, an empty table of a class
        # is replaced before __init__ adds to it
        table = self.classes.table(name, "packed_modules_mapping")
        self.seen = own if table or "DeepseekV2ForCausalLM" in [n.name for n in self.classes.lineage(name)] else {}
        self.packed = dict(self.space["_FALLBACK_FUSED_SHARDS"]) | own
        self.mapper = self.classes.table(name, "hf_to_sglang_mapper")
        listed = []
        for entry in quant.get("ignored_layers", quant.get("modules_to_not_convert")) or []:
            base = entry.removeprefix("model.")
            listed += [base, "model." + base]
        self.listed = list(dict.fromkeys(self.mapper.apply_list(listed))) if self.mapper else listed

    def called(self, module):
        return self.mapper._map_name(module) if self.mapper else module

    def excluded(self, prefix):
        return self.space["is_layer_skipped"](prefix, self.listed, self.seen)


class Transformers:
    """Nothing is merged, and both the entries and the modules go through the same renamings."""

    def __init__(self, folder):
        self.space = cut(folder / "quantizers/quantizers_utils.py", ["should_convert_module"], plain_space())

    def start(self, config, quant):
        self.packed = {}
        self.listed = quant.get("modules_to_not_convert", quant.get("ignored_layers"))

    def called(self, module):
        return module

    def excluded(self, prefix):
        listed = ["lm_head"] if self.listed is None else self.listed
        return not self.space["should_convert_module"](prefix, listed)


def tensors_of(folder):
    """name: (dtype, shape) of all shards."""
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as f:
            header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        header.pop("__metadata__", None)
        found |= {k: (v["dtype"], v["shape"]) for k, v in header.items()}
    return found


def of_bailing_v3(module, beside):
    """The names in SGLang's bailing_moe_v3.py: its prefixes are not those of the tensors."""
    module = module.replace(".mlp.", ".")
    if "b_proj.weight" not in beside:
        return module.replace(".attention.dense", ".attention.o_proj")
    module = re.sub(r"\.[qkvfg]_proj$", ".fused_qkvbfg_proj", module).replace(".dense", ".o_proj")
    return module.replace(".attention.", ".self_attn.")


def modules_of(tensors, runtime, word, architecture):
    """What the runtime calls the module of each matrix: {prefix: {tensor: is it FP8?}}."""
    modules = collections.defaultdict(dict)
    for name, (dtype, shape) in tensors.items():
        stack = len(shape) == 3 and re.search(r"(experts|\.moe)\.(gate_up|gate|up|down)_proj(\.weight)?$", name)
        if not stack and not (name.endswith(".weight") and len(shape) == 2):
            continue
        module = runtime.called(name.removesuffix(".weight"))
        beside = {t.rsplit(".", 2)[-2] for t in tensors if t.startswith(name.rsplit(".", 2)[0] + ".")}
        for who, model, pattern, instead in CALLED:
            if who == word and architecture.startswith(model):
                module = re.sub(pattern, instead, module)
        if word == "sglang" and architecture.startswith("BailingMoeV3"):
            parent = name.removesuffix(".weight").rpartition(".")[0] + "."
            module = of_bailing_v3(module, {t.removeprefix(parent) for t in tensors if t.startswith(parent)})
        if stack or re.search(r"\.experts\.\d+\.", module):
            module = re.sub(r"(?<=\.experts)\..*$|\.(gate_up|gate|up|down)_proj$", "", module)
            module += "" if module.endswith(".experts") else ".experts"
        else:
            parent, _, last = module.rpartition(".")
            merged = [k for k, parts in runtime.packed.items() if last in parts and set(parts) <= beside]
            module = f"{parent}.{max(merged, key=lambda k: len(runtime.packed[k]))}" if merged else module
        modules[module][name] = dtype == "F8_E4M3"
    return modules


def check(folder, runtimes):
    config = json.loads((folder / "config.json").read_text())
    word = json.loads((folder / "octavo-export.json").read_text())["for"]
    quant = config.get("quantization_config")
    if quant is None or word not in runtimes or "architectures" not in config:
        print(f"{folder}: for {word}, nothing to ask")
        return True
    runtime, architecture = runtimes[word], config["architectures"][0]
    tensors = tensors_of(folder)
    runtime.start(config, quant)
    runtime.w1 = any(".w1." in name for name in tensors)
    good, count = True, collections.Counter()
    suffix = "_scale" if quant["quant_method"] == "compressed-tensors" else "_scale_inv"
    for module, parts in sorted(modules_of(tensors, runtime, word, architecture).items()):
        def some(rows, module=module):
            return any(who == word and architecture.startswith(model) and re.search(pattern, module)
                       for who, model, pattern in rows)
        plain = (PLAIN.search(module) or some(PLAIN_IN)) and not some(ASKED)
        if EITHER.search(module) and word != "hf":
            continue
        try:
            excluded = bool(plain) or bool(runtime.excluded(module))
        except ValueError as error:
            good = print(f"{folder}: {module}: {error}") is not None
            continue
        count[excluded] += 1
        for name, fp8 in parts.items():
            if fp8 == excluded:
                good = False
                print(f"{folder}: {name}: {'FP8' if fp8 else 'plain'}, but {module} is "
                      f"{'always plain' if plain else 'excluded' if excluded else 'not excluded'}")
            if fp8 and name + suffix not in tensors:
                good = False
                print(f"{folder}: {name}: no {suffix}")
    print(f"{folder}: {architecture} for {word}: {count[False]} modules in FP8, {count[True]} not")
    return good


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    wheels = pathlib.Path(sys.argv[1])
    vllm = Vllm(wheels / "vllm")
    runtimes = {"vllm": vllm, "compressed-tensors": vllm, "sglang": Sglang(wheels / "sglang"),
                "hf": Transformers(wheels / "transformers")}
    return 0 if all([check(pathlib.Path(p), runtimes) for p in sys.argv[2:]]) else 1


sys.exit(main())
