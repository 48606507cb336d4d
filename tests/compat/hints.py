"""Whether what octavo proposes leads anywhere: options that a hint names are tried, as a user would."""

import re

OF_CONVERT = ("--requantize", "--keep", "--quantize", "--scales", "--dialect", "--allow-none")
OF_EXPORT = ("--dequantize", "--allow-unloadable")
VALUED = ("--keep", "--quantize", "--scales", "--dialect")
# Options that follow each other belong together.
OPTION = r"--[a-z][a-z-]+(?: (?:'[^']+'|(?!--)[^\s;,']+))?"
TOGETHER = re.compile(rf"{OPTION}(?: {OPTION})*")
ROUNDS = 4


def proposed(text):
    """(command, options) of what a hint names first, or None."""
    for line in text.splitlines():
        for group in TOGETHER.findall(line) if line.startswith("hint: ") else ():
            words = []
            for name, value in re.findall(r"(--[a-z-]+)(?: ('[^']+'|[^\s'-]\S*))?", group):
                words += [name, value.strip("'")] if name in VALUED else [name]
            if "GLOB" in words:
                continue  # the user has to know which
            for command, names in (("convert", OF_CONVERT), ("export", OF_EXPORT)):
                if words[0] in names:
                    return command, words
    return None


class Follow:
    """Converts and exports with what is proposed until it works, or proposes nothing (more)."""

    def __init__(self, run, source, packed, out):
        self.run, self.source, self.packed, self.out = run, source, packed, out

    def once(self, preset, options):
        """(exit status, what was printed) of the first command that fails."""
        status, text = self.run(
            "convert", self.source, "-o", self.packed, "-f", *options["convert"]
        )
        if status:
            return status, text
        return self.run(
            "export", self.packed, "-n", "-o", self.out, "--for", preset, *options["export"]
        )

    def leads_astray(self, preset, text, convert):
        """What is wrong with the hints after TEXT, or None."""
        options = {"convert": list(convert), "export": []}
        for _ in range(ROUNDS):
            step = proposed(text)
            if step is None:
                return None
            command, more = step
            have = options[command]
            if any(more == have[i : i + len(more)] for i in range(len(have))):
                return f"{command} {' '.join(more)} was tried, and is proposed again"
            have += more
            status, text = self.once(preset, options)
            if status in (0, 1):
                return None
        return f"no end: {options['convert']} {options['export']}: {text.strip()[:200]}"
