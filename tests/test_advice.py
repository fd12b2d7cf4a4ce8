"""Advice is true for each release: nothing tells people to use one with a known fault."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from cachedoctor import buildkit
from cachedoctor.buildkit import FAULTS, LOSES_LINKS, RECOMMENDED, REWRITTEN, Release, Span, engines, parse_release
from cachedoctor.diagnosis.causes.registry import all_causes, modules
from cachedoctor.rules import RULES
from tests.docs.pages import PAGES, ROOT

IMAGE = re.compile(r"moby/buildkit:(\S*?)(?=[`'\"\s;,)]|\.?$)", re.MULTILINE)
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
OR_LATER = re.compile(r"v?(0\.[0-9]+(?:\.[0-9]+)?) or (?:later|newer)")
FACTS = frozenset({"you need a buildkitd of v0.24 or later that was started with `--save-cache-debug`"})
"""Sentences with "or later" that are about a feature, not a cure."""


def texts() -> Iterator[tuple[str, str]]:
    """Everything that gives advice, by where it stands."""
    for page in (*PAGES, ROOT / "CHANGELOG.md", ROOT / "action.yml", ROOT / "Dockerfile"):
        yield page.name, page.read_text(encoding="utf-8")
    for rule in RULES:
        for step in (*rule.help, rule.about):
            yield rule.id, step
    for name, cause in all_causes().items():
        yield from ((name, text) for text in (cause.what, cause.ends, *cause.now, *cause.for_good))
        for signature in cause.signatures:
            yield from ((name, text) for text in (signature.what, signature.ends, *signature.now, *signature.for_good))
        yield name, modules()[name].__doc__ or ""
        # Advice that a cause keeps in tables of its own.
        for value in vars(modules()[name]).values():
            rows = value if isinstance(value, tuple) else ()
            for row in rows:
                yield from ((name, step) for step in (*getattr(row, "now", ()), *getattr(row, "for_good", ())))


def sentences(text: str) -> list[str]:
    """The sentences of a text, each in one line and without links; rows and items of lists are sentences too."""
    text = LINK.sub(r"\1", text)
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-|$#]|[0-9]+\.) ?)|(?<=[.;])\s+(?=[A-Z`*])", text)
    return [" ".join(part.split()) for part in parts]


ALL = list(dict.fromkeys((where, sentence) for where, text in texts() for sentence in sentences(text)))


def faults(release: Release) -> list[str]:
    return [fault.what for fault in FAULTS if release in fault.releases]


def test_the_recommended_release_has_no_known_fault() -> None:
    assert faults(RECOMMENDED) == []
    assert faults(Release(0, 25, 0)) == [
        fault.what for fault in FAULTS if fault.releases in (LOSES_LINKS, buildkit.FAILS_ON_DELETED_BLOB)
    ]
    for release in (Release(0, 9), Release(0, 12, 5), Release(0, 24), Release(0, 25, 1), Release(0, 32, 2)):
        assert faults(release)


def test_images_have_no_known_fault() -> None:
    images = [(where, tag) for where, sentence in ALL for tag in IMAGE.findall(sentence) if tag != "…"]
    assert len(images) > 5
    assert [(where, tag) for where, tag in images if faults(parse_release(tag) or RECOMMENDED)] == []
    assert {tag for _, tag in images} == {str(RECOMMENDED)}


def test_a_release_or_later_is_the_recommended_one() -> None:
    found = [(where, sentence) for where, sentence in ALL if OR_LATER.search(sentence)]
    assert len(found) > 5
    wrong = [
        (where, sentence)
        for where, sentence in found
        for release in OR_LATER.findall(sentence)
        if parse_release(release) != RECOMMENDED and not any(fact in sentence for fact in FACTS)
    ]
    assert wrong == []


def is_advised(release: Release, sentence: str) -> bool:
    """Whether a sentence may tell people to use a release: it has no fault, or what helps against it is said too."""
    return not faults(release) or (release in REWRITTEN and "repair" in sentence and release != Release(0, 25, 0))


UPGRADE = re.compile(r"\bupgrade (?:the builder |BuildKit |it )?to (.*)", re.IGNORECASE)
UPGRADES = [
    (where, advice[1]) for where, sentence in ALL if (advice := UPGRADE.search(sentence)) and sentence[:3] != "```"
]
"""What follows "upgrade to"."""


@pytest.mark.parametrize(("where", "advice"), UPGRADES, ids=lambda text: text[:40])
def test_whoever_is_told_to_upgrade_learns_to_what(where: str, advice: str) -> None:
    first = re.search(r"v0\.[0-9]+(?:\.[0-9]+)?", advice)
    assert first
    assert is_advised(Release.parse(first[0]), advice)


def test_upgrades_are_found() -> None:
    found = {where for where, _ in UPGRADES}
    assert {"CD201", "loop-check", "repair.md", "rules.md", "why-is-my-export-stuck.md"} <= found


def test_no_engine_is_advised_without_saying_what_its_imports_lose() -> None:
    """No Engine in the table has the recommended release, and all pages say up to which Engine that is."""
    assert engines(Span(RECOMMENDED)) == ""
    newest = re.compile(r"(?:[Ee]ngine|none)(?: known here)? \(?up to ([\d.]+\d)")
    up_to = [number for _, sentence in ALL for number in newest.findall(sentence)]
    assert len(up_to) > 2
    assert set(up_to) == {buildkit.NEWEST_ENGINE}
    advised = [
        (sentence, engine)
        for _, sentence in ALL
        for engines in re.findall(r"use Docker Engine ([\d.]+\d)(?: to ([\d.]+\d))?", sentence)
        for engine in filter(None, engines)
    ]
    assert len(advised) > 3
    for sentence, engine in advised:
        release = parse_release(f"docker-{engine}")
        assert "repaired cache" in sentence
        assert [fault.releases for fault in FAULTS if release in fault.releases] == [LOSES_LINKS]


@pytest.mark.parametrize(
    ("releases", "named"),
    [
        (LOSES_LINKS, "28.5.0 to 29.7.2"),
        (buildkit.LOOP_CHECK, "23.0 to 28.4"),
        (buildkit.FAILS_ON_DELETED_BLOB, "28.5.0"),
        (Span(Release(0, 8), Release(0, 9)), ""),
    ],
)
def test_engines_with_a_release(releases: Span, named: str) -> None:
    assert engines(releases) == named
