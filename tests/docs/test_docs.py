"""The docs cover every rule, their links resolve, and their examples are real."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from cachedoctor.analysis.analyze import analyze
from cachedoctor.report.analysis_document import document
from cachedoctor.rules import RULES
from cachedoctor.sources import load
from tests.docs.pages import CODE, DOCS, HEADING, LINK, PAGES, ROOT, SHELL, Block, blocks, prose
from tests.docs.test_schemas import STRICT
from tests.support import FIXTURES


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    names: set[str] = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        repeated = sum(1 for name in names if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", name))
        names.add(f"{anchor}-{repeated}" if repeated else anchor)
    return names


def relative_links(page: Path) -> list[str]:
    """The links of a page to files in this repository."""
    return [link for link in LINK.findall(CODE.sub("", prose(page))) if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


def test_rules_and_sections_match() -> None:
    sections = [heading for heading in HEADING.findall(prose(DOCS / "rules.md")) if re.match(r"CD\d", heading)]
    assert sections == [f"{rule.id} {rule.name}" for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_section_answers_the_same_questions(rule: Any) -> None:
    text = prose(DOCS / "rules.md")
    section = text.split(f"## {rule.id} {rule.name}\n", 1)[1].split("\n## ", 1)[0]
    questions = re.findall(r"^\*\*([^*]+)\.\*\*", section, re.MULTILINE)
    assert questions == [
        "What it means",
        "How it is found",
        "Severity",
        "Versions",
        "What you see",
        "What to do",
        "What does not help",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in relative_links(page):
        file, _, anchor = link.partition("#")
        target = page if not file else (page.parent / file).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_finds_pages_and_links() -> None:
    assert {"cost.md", "how-it-works.md", "json.md", "rules.md", "why-is-my-export-stuck.md"} <= {
        page.name for page in PAGES
    }
    assert sum(len(relative_links(page)) for page in PAGES) > 20


def test_index_links_to_every_page() -> None:
    listed = set(relative_links(DOCS / "index.md"))
    assert {page.name for page in PAGES if page.parent == DOCS} - {"index.md"} <= listed


def test_pictures_have_alternative_texts_and_load_nothing() -> None:
    shown = {link for page in PAGES for words, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", prose(page)) if words}
    assert {path.name for path in DOCS.glob("*.svg")} == shown
    for path in DOCS.glob("*.svg"):
        tree = ElementTree.parse(path)
        assert tree.findtext("{http://www.w3.org/2000/svg}title")
        assert not re.search(r"href|<script|@import|url\((?!#)", path.read_text(encoding="utf-8"))


PARSERS: dict[str, Callable[[str], object]] = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}
OTHER_LANGUAGES = SHELL | {"dockerfile", "groovy", "python", "text"}
DATA = [block for page in PAGES for block in blocks(page) if block.language not in OTHER_LANGUAGES]


@pytest.mark.parametrize("block", DATA, ids=str)
def test_data_can_be_parsed(block: Block) -> None:
    assert PARSERS[block.language](block.text)


def test_readme_marks_both_commands() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in ("run", "test"):
        assert re.search(rf"<!-- {name} command -->\n```\npython3 -m venv .*\n```\n", readme)


def example() -> Any:
    (block,) = [block for block in blocks(DOCS / "json.md") if block.language == "json"]
    return json.loads(block.text)


def test_example_is_real() -> None:
    shown = example()
    real = document(analyze(load(str(FIXTURES / "manifests/diamond-20.json"))))
    assert shown["graph"] == real["graph"]
    assert shown["cost"] == real["cost"]
    assert shown["hotspots"] == real["hotspots"][:1]
    assert {**shown["inputs"][0], "source": ""} == {**real["inputs"][0], "source": ""}
    assert shown["verdict"] == real["verdict"]


def test_example_fits_the_schema() -> None:
    STRICT["analysis"].validate(example())
