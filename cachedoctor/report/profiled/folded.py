"""Stacks in the form that flame-graph viewers read: `root;caller;leaf value`, one a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from cachedoctor.diagnosis.diagnose import Diagnosis
from cachedoctor.errors import InputError
from cachedoctor.pprof.profile import Profile
from cachedoctor.report.interface import Style
from cachedoctor.text import printable

MOST_BYTES = 256 << 20
"""Bytes of the whole report."""


class Report:
    """Equal stacks are one line, in the order of their frames."""

    def render(self, diagnosis: Diagnosis, style: Style) -> str:
        """The lines; the style makes no difference. Raises `InputError` where a table was read."""
        lines: list[str] = []
        size = 0
        for stack, value in stacks(diagnosis):
            # A semicolon ends a frame, and the last space a stack.
            frames = ";".join(printable(name).replace(";", ":") for name in stack)
            lines.append(f"{frames} {value}\n")
            size += len(lines[-1])
            if size > MOST_BYTES:
                source = diagnosis.evidence[0].source
                raise InputError(f"more than {MOST_BYTES:,} bytes of folded stacks, which is refused", source=source)
        return "".join(sorted(lines))


def stacks(diagnosis: Diagnosis) -> Iterator[tuple[Sequence[str], int]]:
    """All distinct stacks from the root to the leaf, each with its value.

    Raises `InputError` where a table was read.
    """
    first = diagnosis.evidence[0]
    if first.profile is None:
        raise InputError("a table does not tell stacks: folded and svg need the profile itself", source=first.source)
    return _stacks(first.profile)


def _stacks(profile: Profile) -> Iterator[tuple[Sequence[str], int]]:
    sums: dict[bytes, int] = {}
    for (begin, end), value in zip(pairwise(profile.starts.tolist()), profile.values.tolist(), strict=True):
        stack = profile.frames[begin:end].tobytes()
        sums[stack] = sums.get(stack, 0) + value
    names = profile.names
    for stack, value in sums.items():
        if value:
            yield [names[node] for node in reversed(memoryview(stack).cast("i"))], value
