"""Reports for other programs: goldens, schemas, and text from outside."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import junitparser
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cachedoctor import __version__
from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.analysis.check import Policy, accepted, check
from cachedoctor.report.formats import sarif
from cachedoctor.report.page import Style
from cachedoctor.rules import RULES, Scope, Severity
from cachedoctor.sources import load
from tests.report.rendered import OF_ANALYSES, junit_schema, rendered
from tests.report.test_people import CASES
from tests.support import FIXTURES, document, layers, location, name, recognizing, record

HERE = Path(__file__).parent
SARIF = json.loads((HERE / "schemas/sarif-2.1.0.json").read_text())
MACHINES = ("github", "sarif", "junit", "gitlab")
ENDINGS = {"github": "github", "sarif": "sarif", "junit": "xml", "gitlab": "gitlab.json"}
HOSTILE = "\x1b[2J\x00\x9b\u202e::error::x\r\n::error title=y::z\n##[error]w %0A ]]> <script>&amp;\ufffe\u2028,:"


def checked(names: list[str], monkeypatch: pytest.MonkeyPatch, policy: Policy | None = None) -> Analysis:
    monkeypatch.chdir(FIXTURES)
    return _checked(tuple(names), policy or Policy())


@cache
def _checked(names: tuple[str, ...], policy: Policy) -> Analysis:
    return check([document for name in names for document in load(name)], policy)


def hostile(policy: Policy | None = None) -> Analysis:
    root = record("root", layer=0)
    root["digest"] = HOSTILE
    loop = [root, record("a", [(0, HOSTILE), (2, HOSTILE)]), record("b", [1, 0]), record("c", [])]
    first = document(loop, layers(-1), source=HOSTILE)
    second = replace(first, source=f"docker://x/{HOSTILE}", named_digest=HOSTILE, manifest_digest=HOSTILE)
    with recognizing(lambda *record: name(location(1, HOSTILE, HOSTILE))):
        return check([first, second], policy or Policy(fail_on=Severity.NOTE))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("format", MACHINES)
def test_golden(case: str, format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regenerate with GOLDENS=write and read the difference."""
    golden = HERE / "goldens" / f"{case}.{ENDINGS[format]}"
    text = rendered(checked(CASES[case], monkeypatch), format, Style(verbosity=-1))
    text = text.replace(f'ersion": "{__version__}"', 'ersion": "VERSION"')
    if os.environ.get("GOLDENS") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(("format", "ending"), [("text", "txt"), ("markdown", "md"), ("json", "json")])
def test_golden_of_a_check(format: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = HERE / "goldens" / f"check-tags.{ending}"
    analysis = checked(CASES["tags"], monkeypatch, Policy(fail_on=Severity.WARNING))
    text = rendered(analysis, format, Style()).replace(f'ersion": "{__version__}"', 'ersion": "VERSION"')
    if os.environ.get("GOLDENS") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("format", MACHINES)
def test_the_style_adds_no_control_characters(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = rendered(checked(CASES["tags"], monkeypatch), format, Style(color=True, width=40, verbosity=1))
    assert "\x1b" not in text


@pytest.mark.parametrize("format", OF_ANALYSES)
@pytest.mark.parametrize("width", [40, 300])
def test_hostile_text_of_a_check_is_data(format: str, width: int) -> None:
    text = rendered(accepted(hostile(), HOSTILE), format, Style(width=width, verbosity=1))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ufffe]", text)
    assert "script" in text
    if format == "markdown":
        assert "<script>" not in re.sub(r"(`+) ?.*?\1", "", text)


def test_analyze_has_the_same_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES)
    analysis = analyze(load("manifests/too-large.json"))
    suites = junitparser.JUnitXml.fromstring(rendered(analysis, "junit", Style()).encode())
    assert suites.failures == 3
    assert "::error title=CD101 config-too-large::" in rendered(analysis, "github", Style())


@pytest.mark.slow
@given(st.binary(max_size=40).map(os.fsdecode) | st.text(max_size=40))
@example(".")
@example("x/..")
@example("..")
@example("/")
@example(".hidden")
@settings(max_examples=60, deadline=None)
def test_any_source_name_can_be_shown(name: str) -> None:
    analysis = hostile_source(name)
    log(analysis)
    issues(analysis)
    assert suites(analysis).failures == len(analysis.failed())
    shown = commands(rendered(analysis, "github", Style()))
    assert len(shown) == len(analysis.findings)
    assert all(line.startswith(("::error title=CD", "::notice title=CD")) for line in shown)


# GitHub


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.lstrip().startswith("::")]


def test_hostile_annotations_stay_one_line() -> None:
    analysis = hostile()
    text = rendered(analysis, "github", Style(width=300, verbosity=1))
    shown = commands(text)
    assert text.splitlines()[: len(shown)] == shown
    assert len(shown) == len(analysis.findings)
    for line in shown:
        command = re.fullmatch(r"::(error|warning|notice) (?:file=[^:,]*,line=1,endLine=1,)?title=([^:,]*)::(.*)", line)
        assert command
        assert not re.search(r"%(?!25|3A|2C)", line)
        assert line.isprintable()
    assert "##[" not in text
    assert "## [error]" in text


@pytest.mark.parametrize("format", ["json", "sarif", "junit", "gitlab"])
def test_documents_have_no_commands_and_the_same_text(format: str) -> None:
    source = "##[set-output name=x;]y"
    text = rendered(hostile_source(source), format, Style())
    assert "##[" not in text
    if format == "junit":
        assert source in "".join(node.attrib.get("classname", "") for node in ElementTree.fromstring(text).iter())
    elif format == "json":
        assert json.loads(text)["inputs"][0]["source"] == source


def test_a_report_cannot_start_a_command() -> None:
    source = "::add-mask::x"
    text = rendered(hostile_source(source), "github", Style(width=300))
    assert ": :add-mask::x" in text
    assert all(line.startswith(("::error title=", "::warning title=", "::notice title=")) for line in commands(text))


def hostile_source(source: str) -> Analysis:
    return check([document([record("root"), record("a", [])], source=source)], Policy())


def test_more_findings_than_are_shown() -> None:
    many = [document([record("a", [])], source=f"{number}.json") for number in range(15)]
    analysis = check(many, Policy())
    assert len(analysis.failing) == 15
    errors = [line for line in commands(rendered(analysis, "github", Style())) if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[-1] == "::error title=cachedoctor::6 more findings: see the log of this step."


def test_known_findings_are_notices(monkeypatch: pytest.MonkeyPatch) -> None:
    text = rendered(known(monkeypatch), "github", Style())
    assert [line.split(" title=")[0] for line in commands(text)] == ["::notice"]


def known(monkeypatch: pytest.MonkeyPatch) -> Analysis:
    return accepted(checked(CASES["diamond-28"], monkeypatch), "base.json")


# SARIF


def log(analysis: Analysis) -> dict[str, Any]:
    parsed = json.loads(rendered(analysis, "sarif", Style()))
    jsonschema.Draft4Validator(SARIF, format_checker=jsonschema.FormatChecker()).validate(parsed)
    (run,) = parsed["runs"]
    assert isinstance(run, dict)
    return run


@pytest.mark.parametrize("case", CASES)
def test_sarif_is_valid(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = checked(CASES[case], monkeypatch)
    run = log(analysis)
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert ids == [rule.id for rule in RULES]
    assert [(result["ruleId"], result["level"]) for result in run["results"]] == [
        (finding.rule, str(finding.severity)) for finding in analysis.findings
    ]
    assert all(ids[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


def test_the_schema_rejects_invalid_sarif() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(SARIF).validate({"version": "2.1.0", "runs": [{"results": []}]})


def test_hostile_text_is_valid_sarif() -> None:
    run = log(hostile())
    locations = [location for result in run["results"] for location in result["locations"]]
    paths = {location["physicalLocation"]["artifactLocation"]["uri"]: location for location in locations}
    assert {unquote(path) for path, location in paths.items() if "logicalLocations" not in location} == {HOSTILE}
    assert all(re.fullmatch(r"[\w/.~%-]+", path) for path in paths)
    logical = [below for location in locations for below in location.get("logicalLocations", [])]
    names = {location["fullyQualifiedName"] for location in logical}
    assert len(names) == 1
    assert names.pop().startswith("docker://x/\\u{1b}[2J")


def test_sarif_of_some_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    run = log(checked(CASES["diamond-28"], monkeypatch, Policy(rules=("CD101", "CD201"))))
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["CD101", "CD201"]
    assert run["results"][0]["ruleIndex"] == 1
    assert "baselineState" not in run["results"][0]


def test_sarif_marks_known_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [result["baselineState"] for result in log(known(monkeypatch))["results"]] == ["unchanged"]


def test_help_uris_need_the_repository_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "documentation", lambda: "")
    driver = log(checked(CASES["service"], monkeypatch))["tool"]["driver"]
    assert "helpUri" not in driver["rules"][0]
    assert "docs/rules.md#cd101-config-too-large" in driver["rules"][0]["help"]["text"]
    monkeypatch.setattr(sarif, "documentation", lambda: "https://example.org/cachedoctor")
    driver = log(checked(CASES["service"], monkeypatch))["tool"]["driver"]
    assert driver["rules"][0]["helpUri"] == (
        "https://example.org/cachedoctor/blob/main/docs/rules.md#cd101-config-too-large"
    )


@pytest.mark.parametrize(
    ("source", "path", "file"),
    [
        ("caches/a b.json", "caches/a%20b.json", True),
        ("./x/../caf\udce9:1.json", "caf%E9%3A1.json", True),
        (str(Path.cwd() / "fixtures/x.json"), "fixtures/x.json", True),
        ("../x.json", "x.json", False),
        ("/x/y.json", "x/y.json", False),
        ("-", "-", False),
        ("oci:cache:main", "oci%3Acache%3Amain", False),
        ("docker://h:5000/app@sha256:1", "h%3A5000/app%40sha256%3A1", False),
        ("docker://", "cache", False),
        (".", "cache", True),
        (".caches/x.json", ".caches/x.json", True),
    ],
)
def test_locations(source: str, path: str, file: bool) -> None:
    (result, *_) = log(hostile_source(source))["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == path
    assert ("logicalLocations" in location) is not file


# JUnit


def suites(analysis: Analysis) -> junitparser.JUnitXml:
    text = rendered(analysis, "junit", Style())
    junit_schema().validate(text)
    parsed = junitparser.JUnitXml.fromstring(text.encode())
    assert isinstance(parsed, junitparser.JUnitXml)
    return parsed


@pytest.mark.parametrize("case", CASES)
def test_junit_is_valid(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = checked(CASES[case], monkeypatch)
    parsed = suites(analysis)
    assert parsed.failures == len({(finding.rule, finding.source) for finding in analysis.failing})
    assert parsed.tests == sum(len(list(suite)) for suite in parsed)
    assert parsed.tests == len(RULES) * len(analysis.sources) + (4 if len(analysis.sources) > 1 else 0)


def test_the_schema_rejects_invalid_junit() -> None:
    assert not junit_schema().is_valid("<testsuites><case/></testsuites>")


def test_hostile_text_is_valid_junit() -> None:
    analysis = hostile()
    parsed = suites(analysis)
    assert parsed.failures > 3
    root = ElementTree.fromstring(rendered(analysis, "junit", Style()))
    texts = " ".join([*root.itertext(), *(value for node in root.iter() for value in node.attrib.values())])
    assert "]]> <script>&amp;" in texts
    assert "\\u{1b}[2J\\u{0}" in texts


def test_known_findings_do_not_fail_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert suites(known(monkeypatch)).failures == 0
    assert "known: no worse" in rendered(known(monkeypatch), "junit", Style())


@pytest.mark.slow
def test_rules_of_documents_are_those_that_name_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES)
    names = [name for names in CASES.values() for name in names]
    findings = analyze([document for name in names for document in load(name)]).findings
    assert findings
    of_documents = {rule.id for rule in RULES if rule.scope is Scope.DOCUMENT}
    assert all(bool(finding.source) is (finding.rule in of_documents) for finding in findings)


# GitLab

ISSUE = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string"},
            "check_name": {"type": "string"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!/|\.{1,2}(/|$))."},
                    "lines": {"type": "object", "required": ["begin"], "properties": {"begin": {"type": "integer"}}},
                },
            },
        },
    },
}


def issues(analysis: Analysis) -> list[dict[str, Any]]:
    parsed = json.loads(rendered(analysis, "gitlab", Style()))
    jsonschema.Draft7Validator(ISSUE).validate(parsed)
    assert isinstance(parsed, list)
    return parsed


@pytest.mark.parametrize("case", CASES)
def test_code_quality_is_valid(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = checked(CASES[case], monkeypatch)
    reported = issues(analysis)
    assert [issue["check_name"] for issue in reported] == [finding.name for finding in analysis.findings]
    assert {issue["location"]["path"] for issue in reported} <= set(CASES[case])


def test_severities_of_code_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    got = {issue["check_name"]: issue["severity"] for issue in issues(checked(CASES["too-large"], monkeypatch))}
    assert got["config-too-large"] == "blocker"
    assert got["path-explosion"] == "critical"
    assert [issue["severity"] for issue in issues(checked(CASES["tags"], monkeypatch))] == ["minor"]
    assert {issue["severity"] for issue in issues(hostile())} >= {"info"}
    assert [issue["severity"] for issue in issues(known(monkeypatch))] == ["info"]


def test_hostile_text_is_valid_code_quality() -> None:
    reported = issues(hostile())
    assert all(issue["location"]["path"].isprintable() and issue["description"].isprintable() for issue in reported)


def test_fingerprints_are_unique_and_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = ([issue["fingerprint"] for issue in issues(hostile())] for _ in range(2))
    assert first == again
    assert len(set(first)) == len(first)
    pinned = f"docker://host/app:cache@sha256:{'a' * 64}"
    sources = (pinned, "docker://host/app:cache")
    first, second = (issues(hostile_source(source))[0]["fingerprint"] for source in sources)
    assert first == second
