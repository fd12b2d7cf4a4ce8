"""JUnit XML, as test reports of Jenkins, GitLab and others read it (the schema of Jenkins' xUnit plugin)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachedoctor.builds.known import line
from cachedoctor.report import Part
from cachedoctor.report.analysis_tables import KNOWN, TOGETHER
from cachedoctor.report.page import Page, Style
from cachedoctor.rules import RULES, Finding, Rule, Scope
from cachedoctor.text import printable

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from cachedoctor.analysis.analyze import Analysis, Unread

NEEDS = Part.FINDINGS


def render(page: Page, style: Style) -> str:
    """A suite for each source, a case for each rule; a case fails if the check fails because of its rule.

    A source that could not be read has one case, with an error. The document is indented by two; the style makes no
    difference.
    """
    from xml.etree import ElementTree

    analysis = page.analysis
    assert analysis
    findings, failing = analysis.by_owner(analysis.findings), analysis.by_owner(analysis.failing)
    scopes = analysis.scopes
    suites = [
        _suite(source, _rules(source, analysis), findings.get(source, ()), failing.get(source, ())) for source in scopes
    ]
    suites += map(_unread, analysis.check.unread if analysis.check else ())
    totals = {key: str(sum(int(suite.attrib[key]) for suite in suites)) for key in ("tests", "failures", "errors")}
    root = ElementTree.Element("testsuites", {"name": "cachedoctor", **totals, "time": "0"})
    root.extend(suites)
    ElementTree.indent(root)
    # The runner of GitHub Actions takes "##[" for a command.
    text = ElementTree.tostring(root, encoding="unicode").replace("##[", "#&#35;[")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _rules(source: str, analysis: Analysis) -> list[Rule]:
    """The rules of one source; for all together only those that are judged on all together."""
    others = {Scope.DOCUMENT, Scope.SOURCE} if not source else {Scope.BUILD} if "" in analysis.scopes else set[Scope]()
    return [rule for rule in RULES if rule.id in analysis.rules and rule.scope not in others]


def _suite(source: str, rules: Sequence[Rule], findings: Sequence[Finding], failing: Sequence[Finding]) -> Element:
    from xml.etree.ElementTree import Element, SubElement

    name = printable(source) or TOGETHER
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


def _unread(unread: Unread) -> Element:
    """The suite of a source that could not be read."""
    from xml.etree.ElementTree import Element, SubElement

    name, problem = printable(unread.source), printable(unread.problem)
    counts = {"tests": "1", "failures": "0", "errors": "1", "skipped": "0"}
    suite = Element("testsuite", {"name": name, **counts, "time": "0"})
    case = SubElement(suite, "testcase", {"name": "can be read", "classname": name, "time": "0"})
    SubElement(case, "error", {"type": "unread", "message": problem}).text = problem
    return suite


def _of_rule(rule: str, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule]


def _describe(case: Element, findings: Sequence[Finding], failing: Sequence[Finding]) -> None:
    from xml.etree.ElementTree import SubElement

    if failing:
        worst = failing[0]
        where = f"{line(worst.locations[0])}: " if worst.locations else ""
        message = printable(f"{where}{worst.message}")
        failure = SubElement(case, "failure", {"type": str(worst.severity), "message": message})
        failure.text = "\n\n".join(_words(finding) for finding in failing)
    rest = [finding for finding in findings if finding not in failing]
    if rest:
        SubElement(case, "system-out").text = "\n\n".join(_words(finding) for finding in rest)


def _words(finding: Finding) -> str:
    known = f" ({KNOWN})" if finding.known else ""
    steps = [text for number, step in enumerate(finding.help, 1) for text in f"{number}. {step}".split("\n")]
    lines = map(line, finding.locations)
    return "\n".join(map(printable, (f"{finding.severity}: {finding.message}{known}", *lines, *steps)))
