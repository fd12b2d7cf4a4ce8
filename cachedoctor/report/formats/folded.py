"""Stacks in the form that flame-graph viewers read: `root;caller;leaf value`, one a line."""

from __future__ import annotations

from cachedoctor.errors import InputError
from cachedoctor.report import Part
from cachedoctor.report.page import Page, Style
from cachedoctor.text import printable

NEEDS = Part.STACKS
MOST_BYTES = 256 << 20
"""Bytes of the whole report."""


def render(page: Page, style: Style) -> str:
    """Equal stacks are one line, in the order of their frames; the style makes no difference.

    Raises `InputError` if a table was read, which has no stacks.
    """
    assert page.stacks
    lines: list[str] = []
    size = 0
    for stack, value in page.stacks.stacks():
        # A semicolon ends a frame, and the last space a stack.
        frames = ";".join(printable(name).replace(";", ":") for name in stack)
        lines.append(f"{frames} {value}\n")
        size += len(lines[-1])
        if size > MOST_BYTES:
            problem = f"more than {MOST_BYTES:,} bytes of folded stacks, which is refused"
            raise InputError(problem, source=page.stacks.source)
    return "".join(sorted(lines))
