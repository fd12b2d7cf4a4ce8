"""Text from outside is data in every field of every format: never a control character, a command or markup."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from cachedoctor.analysis.analyze import Analysis, Unread, analyze
from cachedoctor.analysis.check import Policy, accepted, check
from cachedoctor.builds.hits import Hit, Hits, Reason, State
from cachedoctor.diagnosis.diagnose import Diagnosis, diagnose
from cachedoctor.diagnosis.evidence import Evidence, read
from cachedoctor.pprof.goroutines import Goroutine, profile_of
from cachedoctor.repairs.repair import Options, repair
from cachedoctor.report.formats.markdown import code, line
from cachedoctor.report.page import Style
from cachedoctor.rules import Severity
from cachedoctor.sources import CacheDocument
from cachedoctor.sources.schemes.file import FileLocation, FileWriter
from cachedoctor.text import printable
from tests.pprof.profiles import Builder
from tests.report.foreign import NASTY, cells, commands, markup, steering
from tests.report.rendered import OF_ANALYSES, OF_PROFILES, OF_REPAIRS, junit_schema, rendered
from tests.support import build, document, location, name, recognizing, step

SCHEMAS = Path(__file__).parent / "schemas"
SARIF = json.loads((SCHEMAS / "sarif-2.1.0.json").read_text())


def styles(format: str) -> list[Style]:
    """The styles that make a difference for a format."""
    styles = [Style(width=width, verbosity=1) for width in ((40, 300) if format in ("text", "github") else (80,))]
    return [*styles, Style()] if format in ("text", "github", "markdown") else styles


def documents(nasty: str) -> list[CacheDocument]:
    """Two caches with the text in each of their strings, and with findings of many rules."""
    linked = [{"digest": f"{nasty} {number}", "inputs": [[{"link": 4, "selector": nasty}]]} for number in range(3)]
    records: list[dict[str, Any]] = [
        *linked,
        {"digest": "empty", "inputs": [[]]},
        {"digest": nasty, "layers": [{"layer": 0, "createdAt": "2026-11-24T08:14:45Z"}, {"layer": 9}]},
        {"digest": f"{nasty} a", "inputs": [[{"link": 4}, {"link": 6, "selector": nasty}]]},
        {"digest": f"{nasty} b", "inputs": [[{"link": 5}, {"link": 4, "selector": nasty}]]},
        {"digest": nasty, nasty: 1},
        {"digest": "c", "inputs": [[{"link": 99}, {"link": 4}], [{"link": 5}, {"link": 6}]]},
    ]
    first = document(
        records, [{"blob": nasty, "parent": -1, "annotations": {nasty: nasty}}], source=nasty, size=2 << 20
    )
    named: dict[str, Any] = {
        "platform": nasty,
        "kind": "inline",
        "named_digest": nasty,
        "manifest_digest": nasty,
    }
    second = replace(
        first, source=f"docker://x/{nasty}", digest=nasty, blobs=frozenset({"x"}), manifest_size=1, **named
    )
    return [first, second]


def checked(nasty: str) -> Analysis:
    with named(nasty):
        analysis = check(documents(nasty), Policy(fail_on=Severity.NOTE), missing=[nasty])
    return accepted(analysis, nasty)


def named(nasty: str) -> AbstractContextManager[None]:
    """A build in which every name and every reason is the text."""
    line = location(1, nasty, nasty)
    hit = Hit(0, State.MISS, Reason.CHANGED, nasty)
    of_build = build(step(line, label=nasty), source=nasty, dockerfile=nasty, platform=nasty)
    return recognizing(lambda *record: name(line, line, sure=False, label=nasty), of_build, hits=[Hits(0, (hit,))])


def checked_apart(nasty: str) -> Analysis:
    """Sources that begin with the text, some of which could not be read."""
    several = [
        replace(document, source=f"{nasty}/{index}:{nasty}")
        for index in range(3)
        for document in documents(nasty)
        if document.source == nasty
    ]
    unread = [Unread(f"{nasty}/{index}", nasty) for index in range(8)]
    return check(several, Policy(), unread=unread, missing=[f"{nasty}/none"], together=False)


def analyzed(nasty: str) -> Analysis:
    with named(nasty):
        return analyze(documents(nasty))


def strings(value: Any) -> set[str]:
    """All strings of a JSON document."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return set(value) | {text for below in value.values() for text in strings(below)}
    return {text for below in value for text in strings(below)} if isinstance(value, list) else set()


def is_json(text: str, nasty: str) -> None:
    assert "##[" not in text
    assert any(nasty in string for string in strings(json.loads(text)))


def is_markdown(text: str, nasty: str) -> None:
    """Only the table of pprof may be a block of code."""
    kinds = markup(text)
    assert len(kinds) <= 1
    assert all(kind.startswith("fence: ") and "flat%" in kind for kind in kinds)
    assert all(len(widths) == 1 for widths in cells(text))


def is_github(text: str, nasty: str) -> None:
    lines = commands(text)
    assert lines == text.splitlines()[: len(lines)]
    assert lines
    assert all(
        re.fullmatch(r"::(error|warning|notice) (?:file=[^:,]*,line=1,endLine=1,)?title=[^:,]*::.+", line)
        for line in lines
    )
    assert not any(re.search(r"%(?!25|3A|2C)", line) for line in lines)


def is_sarif(text: str, nasty: str) -> None:
    jsonschema.Draft4Validator(SARIF, format_checker=jsonschema.FormatChecker()).validate(json.loads(text))
    assert "##[" not in text


def is_junit(text: str, nasty: str) -> None:
    junit_schema().validate(text)
    assert "##[" not in text


def is_gitlab(text: str, nasty: str) -> None:
    assert json.loads(text)
    assert "##[" not in text


def is_text(text: str, nasty: str) -> None:
    """Nothing is interpreted as rich markup: text in brackets or between colons is still there."""
    assert re.sub(r"\s", "", NASTY["rich"]) in re.sub(r"\s", "", text) or nasty != NASTY["rich"]


def is_folded(text: str, nasty: str) -> None:
    assert all(re.fullmatch(r"[^\n]+ -?\d+", line) for line in text.splitlines())


def is_svg(text: str, nasty: str) -> None:
    tags = {node.tag.rpartition("}")[2] for node in ElementTree.fromstring(text.encode()).iter()}
    assert tags <= {"svg", "title", "style", "rect", "g", "text", "script"}
    assert text.count("<script") == 1


FORM: dict[str, Callable[[str, str], None]] = {
    "text": is_text,
    "json": is_json,
    "markdown": is_markdown,
    "github": is_github,
    "sarif": is_sarif,
    "junit": is_junit,
    "gitlab": is_gitlab,
    "folded": is_folded,
    "svg": is_svg,
}


def judged(text: str, format: str, nasty: str) -> None:
    # A word joiner keeps GitHub from detecting links and mentions.
    assert steering(text, allowed="\n\u2060" if format == "markdown" else "\n") == set()
    assert text.endswith("\n")
    FORM[format](text, nasty)


@pytest.mark.slow
@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("format", OF_ANALYSES)
def test_reports_of_caches(format: str, nasty: str) -> None:
    for analysis in (analyzed(nasty), checked(nasty), checked_apart(nasty)):
        for style in styles(format):
            judged(rendered(analysis, format, style), format, nasty)


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("format", OF_REPAIRS)
def test_reports_of_repairs(format: str, nasty: str) -> None:
    repaired = repair(documents(nasty), Options())
    assert repaired.warnings
    writer = FileWriter(FileLocation(nasty), force=False)
    for style in styles(format):
        judged(rendered(repaired, format, style, path=writer.path), format, nasty)


def diagnosis(nasty: str) -> Diagnosis:
    builder = Builder((nasty, nasty))
    builder.mapping(f"/bin/{nasty}", nasty)
    builder.proto.comment.append(builder.string(nasty))
    builder.proto.doc_url = builder.string(nasty)
    builder.function(f"{nasty} 1", nasty)
    builder.sample([(nasty, f"{nasty} 1"), f"github.com/moby/buildkit/solver.{nasty}", "main.main"], 5_000_000)
    cpu = Evidence(nasty, builder.profile(), warning=nasty)
    exports = "github.com/moby/buildkit/cache/remotecache/v1"
    stuck = [
        Goroutine((f"{exports}.(*normalizeState).checkLoops", f"{exports}.{nasty}", nasty), state=nasty, minutes=9)
    ]
    return diagnose([cpu, Evidence(nasty, profile_of(stuck), goroutines=stuck)], focus="main")


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
@pytest.mark.parametrize("format", OF_PROFILES)
def test_reports_of_profiles(format: str, nasty: str) -> None:
    table = f"File: {nasty}\nType: {nasty}\nflat flat% sum% cum cum%\n 1s 100% 100% 1s 100% {nasty}\n"
    diagnoses = [diagnosis(nasty)]
    if format not in ("folded", "svg"):
        diagnoses.append(diagnose([read(re.sub(r"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]", "", table).encode(), nasty)]))
    for result in diagnoses:
        for style in styles(format):
            judged(rendered(result, format, style), format, nasty if result is diagnoses[0] else "")


@pytest.mark.parametrize(
    "mark", ["# x", "- x", "+ x", "* x", "1. x", "23) x", "---", "===", "***", "> x", "```", " - x"]
)
def test_a_line_does_not_start_a_block(mark: str) -> None:
    rendered = MarkdownIt("commonmark").render(f"a\n{line(mark)}\n\n{line(mark)}\n")
    assert re.findall("<(\\w+)", rendered) == ["p", "p"]
    assert html.unescape(rendered) == f"<p>a\n{mark.strip()}</p>\n<p>{mark.strip()}</p>\n"


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("|`\\*_<>[]()!&$~#@:/ \n\x1b-=+.1")), max_size=40))
def test_markdown_shows_any_text_unchanged(text: str) -> None:
    """A reader sees the printable form of the text, and GitHub detects no links or mentions in it."""
    shown = printable(text)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(f"x{line(text)}")
    assert re.findall("<(/?\\w+)", rendered) == ["p", "/p"]
    assert html.unescape(rendered).replace("\u2060", "") == f"<p>x{shown.rstrip()}</p>\n"
    table = f"| a | b |\n| --- | --- |\n| {code(text)} | {line(text)} |\n"
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(table)
    assert rendered.count("<td>") == 2
    assert not re.findall("<(?!/?(?:table|thead|tbody|tr|th|td|code)>)", rendered)
