"""What a report of a profile is, and which there are."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from cachedoctor.report.interface import Style

if TYPE_CHECKING:
    from cachedoctor.diagnosis.diagnose import Diagnosis

FORMATS = ("text", "json", "markdown", "folded", "svg")
"""The names of all formats; each is a module of this package with a class `Report` in it."""


class Report(Protocol):
    """One format."""

    def render(self, diagnosis: Diagnosis, style: Style) -> str:
        """The whole report, with a line break at its end. Foreign text in it is escaped for the format.

        Raises `InputError` where what was read has not what the format shows.
        """


def report(name: str) -> Report:
    """The report of this name, imported only now."""
    made: Report = import_module(f"cachedoctor.report.profiled.{name}").Report()
    return made
