"""Workflow commands of GitHub Actions, which become annotations, and then the text report for the log."""

from __future__ import annotations

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.numbers import plural
from cachedoctor.report import words
from cachedoctor.report.formats import text
from cachedoctor.report.interface import Style
from cachedoctor.report.places import sentence
from cachedoctor.rules import Finding, Severity
from cachedoctor.text import inert, printable

MOST = 10
"""Annotations of one kind that GitHub shows of a step."""
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


class Report:
    """One line for each annotation, whatever is in it; foreign text in the report cannot become a command."""

    def render(self, analysis: Analysis, style: Style) -> str:
        """Annotations first, the worst of them first; findings that a baseline knows are notices."""
        lines = []
        for severity, command in _COMMANDS.items():
            found = [finding for finding in analysis.findings if _shown_as(finding) is severity]
            shown = found if len(found) <= MOST else found[: MOST - 1]
            lines += [annotation(command, _title(finding, analysis), sentence(finding)) for finding in shown]
            if len(found) > len(shown):
                rest = plural(len(found) - len(shown), "more finding")
                lines.append(annotation(command, "cachedoctor", f"{rest}: see the log of this step."))
        plain = Style(width=style.width, verbosity=style.verbosity)
        return "".join(f"{line}\n" for line in lines) + inert(text.Report().render(analysis, plain))


def _shown_as(finding: Finding) -> Severity:
    return Severity.NOTE if finding.known else finding.severity


def _title(finding: Finding, analysis: Analysis) -> str:
    place = ""
    if len(analysis.sources) > 1:
        place = f" in {finding.source or words.TOGETHER}"
    return f"{finding.rule} {finding.name}{place}{' (known)' if finding.known else ''}"


def annotation(command: str, title: str, message: str) -> str:
    """A command as the runner reads it: `toolkit/packages/core`, `escapeData` and `escapeProperty`."""
    data, name = (inert(printable(text)).replace("%", "%25") for text in (message, title))
    name = name.replace(":", "%3A").replace(",", "%2C")
    return f"::{command} title={name}::{data}"
