"""What a report is, and which there are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cachedoctor.analysis.analyze import Analysis


@dataclass(frozen=True, slots=True)
class Style:
    """How a report for people looks."""

    width: int = 80
    """Columns of the terminal."""
    color: bool = False
    verbosity: int = 0
    """-1 for the verdict and the findings alone, 0 for the usual, 1 for every detail."""


class Report(Protocol):
    """One format."""

    def render(self, analysis: Analysis, style: Style) -> str:
        """The whole report, with a line break at its end. Foreign text in it is escaped for the format."""


FORMATS = ("text", "json", "markdown", "github", "sarif", "junit", "gitlab")
"""The names of all formats; each is a module of this package with a class `Report` in it."""


def report(name: str) -> Report:
    """The report of this name, imported only now: most need libraries that the others do not."""
    made: Report = import_module(f"cachedoctor.report.formats.{name}").Report()
    return made
