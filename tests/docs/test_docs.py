"""The documentation names what there is, and its links lead somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.analysis import analyze
from cachedoctor.baseline import Baseline
from cachedoctor.check import Policy, check
from cachedoctor.report.json import document
from cachedoctor.rules import RULES
from cachedoctor.sources import CacheDocument, load
from tests.support import FIXTURES

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path for path in (*DOCS.glob("*.md"), ROOT / "README.md") if path.exists())

FENCE = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        repeated = sum(1 for one in found if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", one))
        found.add(f"{anchor}-{repeated}" if repeated else anchor)
    return found


def relative_links(page: Path) -> list[str]:
    """The links of a page that stay in this repository."""
    return [link for link in LINK.findall(CODE.sub("", prose(page))) if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def keys(value: Any, path: str = "") -> Iterator[str]:
    """The path of every key of a document: `loops[].records`."""
    if isinstance(value, dict):
        for key, below in value.items():
            inner = f"{path}.{key}" if path else key
            yield inner
            yield from keys(below, inner)
    elif isinstance(value, list):
        for below in value:
            yield from keys(below, f"{path}[]")


@pytest.fixture(scope="module")
def tags() -> list[CacheDocument]:
    """Two tags that have loops, hotspots and findings."""
    return [config for name in ("tag-a", "tag-b") for config in load(str(FIXTURES / f"manifests/{name}.json"))]


@pytest.fixture(scope="module")
def analyzed(tags: list[CacheDocument]) -> set[str]:
    """Every key that an analysis emits."""
    return set(keys(document(analyze(tags))))


@pytest.fixture(scope="module")
def emitted(tags: list[CacheDocument], analyzed: set[str]) -> set[str]:
    """Every key that an analysis or a check emits."""
    checked = set(keys(document(check(tags, Policy(baseline=Baseline("base.json", {}))))))
    assert analyzed < checked
    return checked


def test_each_rule_has_a_section_and_each_section_a_rule() -> None:
    sections = [heading for heading in HEADING.findall(prose(DOCS / "rules.md")) if re.match(r"CD\d", heading)]
    assert sections == [f"{rule.id} {rule.name}" for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_section_answers_the_same_questions(rule: Any) -> None:
    text = prose(DOCS / "rules.md")
    section = text.split(f"## {rule.id} {rule.name}\n", 1)[1].split("\n## ", 1)[0]
    asked = re.findall(r"^\*\*([^*]+)\.\*\*", section, re.MULTILINE)
    assert asked == [
        "What it means",
        "How it is found",
        "Severity",
        "Versions",
        "What you see",
        "What to do",
        "What does not help",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in relative_links(page):
        file, _, anchor = link.partition("#")
        target = page if not file else (page.parent / file).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_there_are_pages_and_links_to_look_at() -> None:
    assert {"cost.md", "how-it-works.md", "json.md", "rules.md", "why-is-my-export-stuck.md"} <= {
        page.name for page in PAGES
    }
    assert sum(len(relative_links(page)) for page in PAGES) > 20


def test_every_key_of_the_json_is_explained(emitted: set[str]) -> None:
    named = set(CODE.findall(prose(DOCS / "json.md")))
    assert sorted(emitted - named) == []


def test_no_key_is_explained_that_is_not_there(emitted: set[str]) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", prose(DOCS / "json.md"), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert sorted(set(rows) - emitted) == []


def test_the_example_has_every_key_but_those_of_loops(analyzed: set[str]) -> None:
    blocks = re.findall(
        r"^```json\n(.*?)^```$", (DOCS / "json.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 1
    shown = set(keys(json.loads(blocks[0])))
    assert shown == {key for key in analyzed if not key.startswith("loops[]")}


def test_the_example_is_what_is_reported() -> None:
    (block,) = re.findall(
        r"^```json\n(.*?)^```$", (DOCS / "json.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    shown = json.loads(block)
    real = document(analyze(load(str(FIXTURES / "manifests/diamond-20.json"))))
    assert shown["graph"] == real["graph"]
    assert shown["cost"] == real["cost"]
    assert shown["hotspots"] == real["hotspots"][:1]
    assert {**shown["inputs"][0], "source": ""} == {**real["inputs"][0], "source": ""}
    assert shown["verdict"] == real["verdict"]
