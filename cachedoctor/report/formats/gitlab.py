"""GitLab's code quality report: what merge requests show beside the difference."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from cachedoctor.analysis.analyze import Analysis, Unread
from cachedoctor.report import Part
from cachedoctor.report.formats.json import dumps
from cachedoctor.report.page import Page, Style
from cachedoctor.report.places import fingerprints, line_of, path_in_repository, path_or_name, sentence, sources_of
from cachedoctor.rules import Finding, Severity
from cachedoctor.text import printable, unpinned

NEEDS = Part.FINDINGS


def render(page: Page, style: Style) -> str:
    """An array with an issue for each finding and each source that could not be read, indented by two.

    The style makes no difference.
    """
    analysis = page.analysis
    assert analysis
    unread = analysis.check.unread if analysis.check else ()
    return dumps(
        [
            *map(_unread, unread),
            *(
                {
                    "description": f"{finding.rule} {finding.name}: {sentence(finding)}",
                    "check_name": finding.name,
                    "fingerprint": fingerprint,
                    "severity": _severity(finding),
                    "location": _location(finding, analysis),
                }
                for finding, fingerprint in zip(analysis.findings, fingerprints(analysis), strict=True)
            ),
        ]
    )


def _location(finding: Finding, analysis: Analysis) -> dict[str, Any]:
    """The line of the Dockerfile that causes it, otherwise the cache."""
    line = line_of(finding)
    if line:
        return {"path": printable(path_in_repository(line)), "lines": {"begin": line.line, "end": line.end_line}}
    return {"path": printable(path_or_name(sources_of(finding, analysis)[0])), "lines": {"begin": 1}}


def _unread(unread: Unread) -> dict[str, Any]:
    digits = sha256(f"unread\0{unpinned(unread.source)}".encode("utf-8", "backslashreplace")).hexdigest()
    return {
        "description": printable(f"Could not be read, and was not checked: {unread.problem}"),
        "check_name": "unread",
        "fingerprint": digits,
        "severity": "blocker",
        "location": {"path": printable(path_or_name(unread.source)), "lines": {"begin": 1}},
    }


def _severity(finding: Finding) -> str:
    """GitLab's word: a cache that is refused blocks, and what a baseline knows is only for information."""
    if finding.known or finding.severity is Severity.NOTE:
        return "info"
    if finding.severity is Severity.WARNING:
        return "minor"
    return "blocker" if finding.refused_by else "critical"
