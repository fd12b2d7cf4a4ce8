"""Reports for people: goldens, widths, and text from outside."""

from __future__ import annotations

import io
import os
import re
from functools import cache
from pathlib import Path

import orjson
import pytest

from cachedoctor.analysis.analyze import Analysis, analyze
from cachedoctor.report import analysis as words
from cachedoctor.report.page import Style
from cachedoctor.sources import load
from tests.report.rendered import OF_ANALYSES, rendered
from tests.support import FIXTURES, document, layers, location, name, recognizing, record

GOLDENS = Path(__file__).parent / "goldens"

CASES = {
    "diamond-28": ["manifests/diamond-28.json"],
    "export-loop": ["exporter-state/export-loop.json"],
    "service": ["manifests/service.json"],
    "tags": ["manifests/tag-a.json", "manifests/tag-b.json"],
    "too-large": ["manifests/too-large.json"],
}


def analysis_of(names: list[str], monkeypatch: pytest.MonkeyPatch) -> Analysis:
    monkeypatch.chdir(FIXTURES)
    return _analysis(tuple(names))


@cache
def _analysis(names: tuple[str, ...]) -> Analysis:
    return analyze([document for name in names for document in load(name)])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("format", "ending"), [("text", "txt"), ("markdown", "md")])
def test_golden(case: str, format: str, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regenerate with GOLDENS=write and read the difference."""
    golden = GOLDENS / f"{case}.{ending}"
    text = rendered(analysis_of(CASES[case], monkeypatch), format, Style())
    if os.environ.get("GOLDENS") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [40, 80, 160])
@pytest.mark.parametrize("verbosity", [-1, 0, 1])
def test_text_keeps_its_width(case: str, width: int, verbosity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = rendered(analysis_of(CASES[case], monkeypatch), "text", Style(width=width, verbosity=verbosity))
    # A command stays whole, so that it can be copied.
    lines = [line for line in text.splitlines() if not line.startswith(("     cachedoctor ", "     docker "))]
    assert max(map(len, lines)) <= width
    assert text.endswith("\n")
    assert "\x1b" not in text


def test_colors_do_not_change_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = analysis_of(CASES["too-large"], monkeypatch)
    plain = rendered(analysis, "text", Style())
    colored = rendered(analysis, "text", Style(color=True))
    assert "\x1b[" in colored
    assert [line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", colored).splitlines()] == plain.splitlines()


def test_first_line_is_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {
        case: rendered(analysis_of(names, monkeypatch), "text", Style(width=200)).splitlines()[0]
        for case, names in CASES.items()
    }
    assert "1.6 billion checks (about 4.7 min) for the next export; v0.25 and later: under 1 s" in first["diamond-28"]
    assert first["service"].startswith("This cache is fine.")
    assert first["too-large"].startswith("BuildKit refuses to import this cache (config-too-large).")
    assert first["export-loop"].startswith("BuildKit v0.25 and later refuse to import this cache (empty-input).")


def test_a_refused_cache_is_not_just_empty() -> None:
    config = {"records": [{"digest": "a", "inputs": [[{"link": 1}]]}, {"digest": "b", "inputs": [[{"link": 0}]]}]}
    analysis = analyze(load("-", stdin=io.BytesIO(orjson.dumps(config))))
    assert words.headline(analysis) == (
        "BuildKit refuses to import this cache (record-cycle). It has no record that a build could use."
    )


def test_the_headline_names_what_takes_time() -> None:
    layers = [{"blob": f"sha256:{index:064}", "parent": index - 1} for index in range(2000)]
    config = {"layers": layers, "records": [{"digest": "sha256:" + "a" * 64, "layers": [{"layer": 1999}]}]}
    analysis = analyze(load("-", stdin=io.BytesIO(orjson.dumps(config))))
    assert "would need 1 check and marshaling its results (about 1 min) for the next export;" in words.headline(
        analysis
    )


HOSTILE = "\x1b[2J\x9b\u202e[bold]x[/bold] `a|b` <img src=x> @team #12 https://x.y\r\nrow|"


@pytest.mark.parametrize("format", OF_ANALYSES)
def test_foreign_text_is_data(format: str) -> None:
    root = record("root", layer=0)
    root["digest"] = HOSTILE
    loop = [root, record("a", [0, 2]), record("b", [1, 0])]
    bad = document(loop, layers(-1), source=HOSTILE)
    with recognizing(lambda *record: name(location(1, HOSTILE, HOSTILE))):
        analysis = analyze([bad, bad])
    text = rendered(analysis, format, Style(width=300, verbosity=1))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\r]", text)
    if format == "markdown":
        outside = re.sub(r"\\.|(`+) .*? \1", "", text)
        assert "<img" not in outside
        assert "@team" not in outside
    if format == "text":
        assert "[bold]x[/bold]" in text


def test_every_finding_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for names in CASES.values():
        analysis = analysis_of(names, monkeypatch)
        text = rendered(analysis, "text", Style(width=1000))
        for finding in analysis.findings:
            assert finding.message in text
            assert all(line in text for line in finding.help[0].split("\n"))
