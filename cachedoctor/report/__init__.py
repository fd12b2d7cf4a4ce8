"""Reports: one builder of pages for each command, one module for each format, and the page model between them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.report.page import Page, Style

__all__ = ["Part", "render"]


class Part(StrEnum):
    """What a page can have beyond words and tables; a format names the part that it needs."""

    WORDS = "words"
    """Headline, entries and sections: every page has these."""
    DOCUMENT = "document"
    """The JSON document."""
    FINDINGS = "findings"
    """Findings of rules, with the analysis they are from."""
    STACKS = "stacks"
    """Stacks of a profile."""


def render(page: Page, format: str, style: Style) -> str:
    """The page in a format. Raises `InputError` if what was read does not have what the format shows."""
    from cachedoctor.report import formats

    return formats.named(format).render(page, style)
