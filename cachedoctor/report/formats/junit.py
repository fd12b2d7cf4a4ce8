"""JUnit XML, as test reports of Jenkins, GitLab and others read it (the schema of Jenkins' xUnit plugin)."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from cachedoctor.analysis.analyze import Analysis
from cachedoctor.report import words
from cachedoctor.report.interface import Style
from cachedoctor.rules import RULES, Finding, Scope
from cachedoctor.text import printable


class Report:
    """A suite for each source, a case for each rule that was asked; a case fails where a check does."""

    def render(self, analysis: Analysis, style: Style) -> str:
        """The document, indented by two; the style makes no difference."""
        sources = analysis.sources
        suites = [_suite(source, analysis) for source in (*sources, *([""] if len(sources) > 1 else []))]
        totals = {key: str(sum(int(suite.attrib[key]) for suite in suites)) for key in ("tests", "failures")}
        root = ElementTree.Element("testsuites", {"name": "cachedoctor", **totals, "errors": "0", "time": "0"})
        root.extend(suites)
        ElementTree.indent(root)
        # The runner of GitHub Actions takes "##[" for a command.
        text = ElementTree.tostring(root, encoding="unicode").replace("##[", "#&#35;[")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(source: str, analysis: Analysis) -> ElementTree.Element:
    """The rules of one source; of all together only those that all together can break."""
    name = printable(source) or words.TOGETHER
    found = [finding for finding in analysis.findings if analysis.owner(finding) == source]
    failing = [finding for finding in analysis.failing if analysis.owner(finding) == source]
    asked = [rule for rule in RULES if rule.id in analysis.rules and (source or rule.scope is Scope.TOGETHER)]
    suite = ElementTree.Element("testsuite")
    for rule in asked:
        case = ElementTree.SubElement(
            suite, "testcase", {"name": f"{rule.id} {rule.name}", "classname": name, "time": "0"}
        )
        _told(case, [one for one in found if one.rule == rule.id], [one for one in failing if one.rule == rule.id])
    failures = len({finding.rule for finding in failing})
    suite.attrib.update(
        {"name": name, "tests": str(len(asked)), "failures": str(failures), "errors": "0", "skipped": "0", "time": "0"}
    )
    return suite


def _told(case: ElementTree.Element, found: Sequence[Finding], failing: Sequence[Finding]) -> None:
    if failing:
        worst = failing[0]
        failure = ElementTree.SubElement(
            case, "failure", {"type": str(worst.severity), "message": printable(worst.message)}
        )
        failure.text = "\n\n".join(_words(finding) for finding in failing)
    rest = [finding for finding in found if finding not in failing]
    if rest:
        ElementTree.SubElement(case, "system-out").text = "\n\n".join(_words(finding) for finding in rest)


def _words(finding: Finding) -> str:
    known = f" ({words.KNOWN})" if finding.known else ""
    steps = [f"{number}. {step}" for number, step in enumerate(finding.help, 1)]
    return "\n".join(map(printable, (f"{finding.severity}: {finding.message}{known}", *steps)))
