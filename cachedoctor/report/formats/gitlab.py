"""GitLab's code quality report: what merge requests show beside the difference."""

from __future__ import annotations

import orjson

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.report.formats.json import escaped
from cachedoctor.report.interface import Style
from cachedoctor.report.places import fingerprints, path_or_name, sentence, sources_of
from cachedoctor.rules import Finding, Severity
from cachedoctor.text import printable


class Report:
    """An array with an issue for each finding."""

    def render(self, analysis: Analysis, style: Style) -> str:
        """The array, indented by two; the style makes no difference."""
        issues = [
            {
                "description": f"{finding.rule} {finding.name}: {sentence(finding)}",
                "check_name": finding.name,
                "fingerprint": fingerprint,
                "severity": _severity(finding),
                "location": {"path": printable(path_or_name(sources_of(finding, analysis)[0])), "lines": {"begin": 1}},
            }
            for finding, fingerprint in zip(analysis.findings, fingerprints(analysis), strict=True)
        ]
        return escaped(orjson.dumps(issues, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())


def _severity(finding: Finding) -> str:
    """GitLab's word: a cache that is refused blocks, and what a baseline knows is told for information."""
    if finding.known or finding.severity is Severity.NOTE:
        return "info"
    if finding.severity is Severity.WARNING:
        return "minor"
    return "blocker" if finding.refused_by else "critical"
