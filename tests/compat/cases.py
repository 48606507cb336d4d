"""The list of cases: small checkpoints of every kind that people have, and what octavo must do.

    @case("NAME", EXPECTATION=...)
    def _(m):
        '''What a user should see.'''
        llama(m)

m is a tensors.Checkpoint, saved afterwards as one file unless the function returns the shards.
Expectations (all that is not stated is only checked for consistency, see run.py):

    options     of convert, in addition to the usual ones
    convert     its exit status, or several that are right
    says        patterns that what convert prints must match, case ignored
    warns       patterns that every verdict of convert -n --for must match
    never       patterns that nothing may match
    decide      {pattern of tensor names: decision of the plan}, perhaps with its reason after a colon;
                "left" is kept or carried
    export      {preset: exit status of export}, "*" for all others
    why         {preset: patterns that a refusal of export must match}, "*" for all others
    files       paths that an export must contain, as in the source
    absent      paths that no export may contain
    mended      further options with which convert must succeed, if it refuses at first
"""

from dataclasses import dataclass, field

from tensors import Checkpoint

PRESETS = ("hf", "vllm", "sglang", "ant-sglang", "areal", "compressed-tensors", "bf16")
CASES = {}


@dataclass
class Case:
    name: str
    build: object
    options: tuple = ()
    convert: tuple = (0,)
    says: tuple = ()
    warns: tuple = ()
    never: tuple = ()
    decide: dict = field(default_factory=dict)
    export: dict = field(default_factory=dict)
    why: dict = field(default_factory=dict)
    files: tuple = ()
    absent: tuple = ()
    mended: tuple = ()

    def make(self, directory):
        m = Checkpoint(self.name)
        m.save(directory, self.build(m))

    def status(self, preset):
        """The exit statuses that export may have; () if any is right that the plan predicts."""
        wanted = self.export.get(preset, self.export.get("*", ()))
        return (wanted,) if isinstance(wanted, int) else wanted

    def reasons(self, preset):
        return self.why.get(preset, self.why.get("*", ()))


def case(name, **expected):
    def add(build):
        assert name not in CASES, name
        assert build.__doc__, f"{name}: what should a user see?"
        if isinstance(expected.get("convert"), int):
            expected["convert"] = (expected["convert"],)
        for key in ("says", "warns", "never", "options", "files", "absent", "mended"):
            if isinstance(expected.get(key), str):
                expected[key] = (expected[key],)
        CASES[name] = Case(name, build, **expected)
        return build

    return add


def kinds(table, **common):
    """A function for each row of {NAME: EXPECTATIONS}: it gets the name, too."""

    def add(build):
        for name, expected in table.items():
            bound = lambda m, name=name: build(m, name)  # noqa: E731
            bound.__doc__ = build.__doc__
            case(name, **{**common, **expected})(bound)
        return build

    return add
