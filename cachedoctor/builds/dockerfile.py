"""The text of an instruction in a Dockerfile, in one line and without values."""

from __future__ import annotations

import re

LONGEST_TEXT = 200
"""Letters of an instruction that are kept."""
LONGEST_INSTRUCTION = 1_000
"""Letters of an instruction that are looked at."""

_ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
_VALUE = r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])*"""
_ASSIGNED = re.compile(rf"(?:^|\s)([A-Za-z_][\w.-]*)={_VALUE}")
_CREDENTIALS = re.compile(r"(\w://)[^\s/@]*@")
_BUILD_ARG = re.compile(rf"(--build-arg[=\s]\s*[\w.-]+)={_VALUE}")


class Dockerfile:
    """The lines of a Dockerfile."""

    def __init__(self, data: bytes) -> None:
        self._lines = data.decode("utf-8", "replace").split("\n")
        directive = _ESCAPE.fullmatch(self._lines[0][:LONGEST_INSTRUCTION].strip())
        self._escape = directive[1] if directive else "\\"
        self._texts: dict[tuple[int, int], str] = {}

    def instruction(self, line: int, end_line: int) -> str:
        """The instruction that begins at a line, from 1, and ends at another: joined if it is continued there.

        The content of heredocs and comments are left out, and so are the values of `ENV`, `ARG` and `--build-arg`, and
        credentials in addresses.
        Empty if there is no such line.
        """
        place = (line, end_line)
        if place not in self._texts:
            self._texts[place] = without_values(self._joined(line, end_line))
        return self._texts[place]

    def _joined(self, line: int, end_line: int) -> str:
        parts: list[str] = []
        left = LONGEST_INSTRUCTION
        for number in range(line - 1, min(end_line, len(self._lines))):
            part = self._lines[number][:left].strip()
            left -= len(part) + 1
            if parts and part.startswith("#"):
                continue
            parts.append(part.removesuffix(self._escape))
            if left <= 0 or not part.endswith(self._escape):
                break
        return " ".join(" ".join(parts).split())


def without_values(instruction: str) -> str:
    """An instruction without the values that it gives to variables, cut to `LONGEST_TEXT`."""
    word, _, rest = instruction.partition(" ")
    if word.upper() in ("ENV", "ARG"):
        names = [match[1] for match in _ASSIGNED.finditer(rest)]
        if word.upper() == "ARG":
            names = [name.partition("=")[0] for name in _bare(rest)]
        instruction = " ".join([word, *(names or rest.split()[:1])])
    else:
        instruction = _CREDENTIALS.sub(r"\1", _BUILD_ARG.sub(r"\1", instruction))
    return instruction if len(instruction) <= LONGEST_TEXT else f"{instruction[: LONGEST_TEXT - 3]}..."


def _bare(rest: str) -> list[str]:
    """The words of an `ARG`, some of which have no value."""
    return re.findall(rf"(?:^|(?<=\s))[A-Za-z_][\w.-]*(?:={_VALUE})?(?=\s|$)", rest)
