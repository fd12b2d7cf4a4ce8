"""The profile as a flame graph: one self-contained drawing."""

from __future__ import annotations

from cachedoctor.report import Part
from cachedoctor.report.page import Page, Style

NEEDS = Part.STACKS


def render(page: Page, style: Style) -> str:
    """The SVG; the style makes no difference. Raises `InputError` if a table was read, which has no stacks."""
    from cachedoctor.report.flamegraph import svg

    stacks = page.stacks
    assert stacks
    return svg(stacks.stacks(), title=stacks.title, value=stacks.value, total=stacks.total)
