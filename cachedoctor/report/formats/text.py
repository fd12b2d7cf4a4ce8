"""Text for a terminal: the answer first, then why and what to do, then the figures."""

from __future__ import annotations

from cachedoctor.report import Part
from cachedoctor.report.page import Page, Style

NEEDS = Part.WORDS


def render(page: Page, style: Style) -> str:
    """Lines of at most `style.width` columns, in at most sixteen colors, none of which is needed to understand them."""
    from cachedoctor.report.terminal import draw

    return draw(page, style)
