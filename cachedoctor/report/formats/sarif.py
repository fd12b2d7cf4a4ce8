"""SARIF 2.1.0, for code scanning and other viewers (OASIS, "Static Analysis Results Interchange Format", errata 01).

The document is built from plain values: of the object models for it one is not typed and takes longer to import than a
check takes, the other needs a validation framework. Tests hold it against the schema of the standard.
"""

from __future__ import annotations

from typing import Any

from cachedoctor import __version__
from cachedoctor.analysis.analyze import Analysis
from cachedoctor.builds.build import Location
from cachedoctor.report import Part
from cachedoctor.report.formats.json import dumps
from cachedoctor.report.page import Page, Style
from cachedoctor.report.places import (
    fingerprints,
    line_of,
    path_in_repository,
    path_of,
    path_or_name,
    section,
    sentence,
    sources_of,
    uri,
)
from cachedoctor.rules import RULES, Finding, Severity
from cachedoctor.text import printable

NEEDS = Part.FINDINGS
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(page: Page, style: Style) -> str:
    """One run, with all rules that were run and a result for each finding; the style makes no difference."""
    analysis = page.analysis
    assert analysis
    rules = [index for index, rule in enumerate(RULES) if rule.id in analysis.rules]
    site = documentation()
    run = {
        "tool": {
            "driver": {
                "name": "cachedoctor",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(index, site) for index in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(analysis)],
        "results": [
            _result(finding, fingerprint, analysis)
            for finding, fingerprint in zip(analysis.findings, fingerprints(analysis), strict=True)
        ],
    }
    return dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _invocation(analysis: Analysis) -> dict[str, Any]:
    """How the run ended; a notification for each source that could not be read (section 3.20.21)."""
    unread = analysis.check.unread if analysis.check else ()
    if not unread:
        return {"executionSuccessful": True, "exitCode": 1 if analysis.check and analysis.failing else 0}
    notifications = [
        {
            "level": "error",
            "message": {"text": printable(f"{source.source}: {source.problem}")},
            "locations": [_location(source.source)],
        }
        for source in unread
    ]
    return {"executionSuccessful": False, "exitCode": 2, "toolExecutionNotifications": notifications}


def documentation() -> str:
    """The address of this project's repository, from the package metadata; empty if that has none.

    A help URI has to be absolute (section 3.49.12), so without this address there is none, and the help names the page.
    """
    from importlib import metadata

    try:
        urls = metadata.metadata("cachedoctor").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((url.removeprefix("Source, ") for url in urls if url.startswith("Source, ")), "").rstrip("/")


def _rule(index: int, site: str) -> dict[str, Any]:
    rule = RULES[index]
    page = section(rule.id, rule.name)
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(rule.help, 1))
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": f"{rule.name} ({rule.affects})"},
        "help": {"text": f"{steps}\n\nSee {page} of cachedoctor."},
        **({"helpUri": f"{site}/blob/main/{page}"} if site else {}),
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _result(finding: Finding, fingerprint: str, analysis: Analysis) -> dict[str, Any]:
    states = {"baselineState": "unchanged" if finding.known else "new"}
    sources = [_location(source) for source in sources_of(finding, analysis)]
    line = line_of(finding)
    related = [*map(_line, finding.locations[1:]), *sources] if line else []
    return {
        "ruleId": finding.rule,
        "ruleIndex": analysis.rules.index(finding.rule),
        "level": _LEVELS[finding.severity],
        "message": {"text": sentence(finding)},
        "locations": [_line(line)] if line else sources,
        **({"relatedLocations": related} if related else {}),
        "partialFingerprints": {"cachedoctor/v1": fingerprint},
        **(states if analysis.check and analysis.check.baseline else {}),
    }


def _line(line: Location) -> dict[str, Any]:
    """A line of a Dockerfile; the message is what viewers show for a related location."""
    artifact = {"uri": uri(path_in_repository(line))}
    region = {"startLine": line.line, "endLine": line.end_line}
    return {
        "physicalLocation": {"artifactLocation": artifact, "region": region},
        "message": {"text": printable(line.text) or "a line of the Dockerfile"},
    }


def _location(source: str) -> dict[str, Any]:
    """A file with its first line; anything else is a resource with its own name.

    GitHub refuses a log if a result has no physical location, or a location without a line, so both have one.
    """
    physical = {"artifactLocation": {"uri": uri(path_or_name(source))}, "region": {"startLine": 1}}
    if path_of(source) is not None:
        return {"physicalLocation": physical}
    logical = {"fullyQualifiedName": printable(source), "kind": "resource"}
    return {"physicalLocation": physical, "logicalLocations": [logical]}
