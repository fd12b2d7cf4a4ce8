"""JUnit XML, as test reports of Jenkins, GitLab and others read it (the schema of Jenkins' xUnit plugin)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachedoctor.report import Part
from cachedoctor.report.analysis_tables import KNOWN, TOGETHER
from cachedoctor.report.page import Page, Style
from cachedoctor.rules import RULES, Finding, Scope
from cachedoctor.text import printable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from cachedoctor.analysis.analyze import Analysis

NEEDS = Part.FINDINGS


def render(page: Page, style: Style) -> str:
    """A suite for each source, a case for each rule; a case fails if the check fails because of its rule.

    The document is indented by two; the style makes no difference.
    """
    from xml.etree import ElementTree

    analysis = page.analysis
    assert analysis
    sources = analysis.sources
    suites = [_suite(source, analysis) for source in (*sources, *([""] if len(sources) > 1 else []))]
    totals = {key: str(sum(int(suite.attrib[key]) for suite in suites)) for key in ("tests", "failures")}
    root = ElementTree.Element("testsuites", {"name": "cachedoctor", **totals, "errors": "0", "time": "0"})
    root.extend(suites)
    ElementTree.indent(root)
    # The runner of GitHub Actions takes "##[" for a command.
    text = ElementTree.tostring(root, encoding="unicode").replace("##[", "#&#35;[")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(source: str, analysis: Analysis) -> Element:
    """The rules of one source; for all together only those that are judged on all together."""
    from xml.etree.ElementTree import Element, SubElement

    name = printable(source) or TOGETHER
    findings = [finding for finding in analysis.findings if analysis.owner(finding) == source]
    failing = [finding for finding in analysis.failing if analysis.owner(finding) == source]
    rules = [rule for rule in RULES if rule.id in analysis.rules and (source or rule.scope is Scope.TOGETHER)]
    suite = Element("testsuite")
    for rule in rules:
        case = SubElement(suite, "testcase", {"name": f"{rule.id} {rule.name}", "classname": name, "time": "0"})
        _describe(
            case,
            _of_rule(rule.id, findings),
            _of_rule(rule.id, failing),
        )
    failures = len({finding.rule for finding in failing})
    suite.attrib.update(
        {"name": name, "tests": str(len(rules)), "failures": str(failures), "errors": "0", "skipped": "0", "time": "0"}
    )
    return suite


def _of_rule(rule: str, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule]


def _describe(case: Element, findings: Sequence[Finding], failing: Sequence[Finding]) -> None:
    from xml.etree.ElementTree import SubElement

    if failing:
        worst = failing[0]
        failure = SubElement(case, "failure", {"type": str(worst.severity), "message": printable(worst.message)})
        failure.text = "\n\n".join(_words(finding) for finding in failing)
    rest = [finding for finding in findings if finding not in failing]
    if rest:
        SubElement(case, "system-out").text = "\n\n".join(_words(finding) for finding in rest)


def _words(finding: Finding) -> str:
    known = f" ({KNOWN})" if finding.known else ""
    steps = [line for number, step in enumerate(finding.help, 1) for line in f"{number}. {step}".split("\n")]
    return "\n".join(map(printable, (f"{finding.severity}: {finding.message}{known}", *steps)))
