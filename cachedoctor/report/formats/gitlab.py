"""GitLab's code quality report: what merge requests show beside the difference."""

from __future__ import annotations

from cachedoctor.report import Part
from cachedoctor.report.formats.json import dumps
from cachedoctor.report.page import Page, Style
from cachedoctor.report.places import fingerprints, path_or_name, sentence, sources_of
from cachedoctor.rules import Finding, Severity
from cachedoctor.text import printable

NEEDS = Part.FINDINGS


def render(page: Page, style: Style) -> str:
    """An array with an issue for each finding, indented by two; the style makes no difference."""
    analysis = page.analysis
    assert analysis
    return dumps(
        [
            {
                "description": f"{finding.rule} {finding.name}: {sentence(finding)}",
                "check_name": finding.name,
                "fingerprint": fingerprint,
                "severity": _severity(finding),
                "location": {"path": printable(path_or_name(sources_of(finding, analysis)[0])), "lines": {"begin": 1}},
            }
            for finding, fingerprint in zip(analysis.findings, fingerprints(analysis), strict=True)
        ]
    )


def _severity(finding: Finding) -> str:
    """GitLab's word: a cache that is refused blocks, and what a baseline knows is only for information."""
    if finding.known or finding.severity is Severity.NOTE:
        return "info"
    if finding.severity is Severity.WARNING:
        return "minor"
    return "blocker" if finding.refused_by else "critical"
