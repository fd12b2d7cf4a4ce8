"""Renders a result as a command would, in any format."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.diagnosis.diagnose import Diagnosis
from cachedoctor.repairs.repair import Repaired
from cachedoctor.report import Part, analysis, formats, profile, render, repair
from cachedoctor.report.page import Page, Style

if TYPE_CHECKING:
    from xmlschema import XMLSchema

PLAIN = Style()
OF_ANALYSES = formats.names({Part.WORDS, Part.DOCUMENT, Part.FINDINGS})
OF_REPAIRS = formats.names({Part.WORDS, Part.DOCUMENT})
OF_PROFILES = formats.names({Part.WORDS, Part.DOCUMENT, Part.STACKS})


def page_of(result: Analysis | Repaired | Diagnosis, path: str | None = None) -> Page:
    """The page of a result; `path` is where a repaired cache was written."""
    if isinstance(result, Analysis):
        return analysis.page(result)
    return repair.page(result, path) if isinstance(result, Repaired) else profile.page(result)


def rendered(
    result: Analysis | Repaired | Diagnosis, format: str, style: Style = PLAIN, *, path: str | None = None
) -> str:
    """The report on a result."""
    return render(page_of(result, path), format, style)


@cache
def junit_schema() -> XMLSchema:
    """The schema of JUnit reports. Imported here so that only tests that need it wait for it."""
    from xmlschema import XMLSchema

    return XMLSchema(str(Path(__file__).parent / "schemas/junit-10.xsd"))
