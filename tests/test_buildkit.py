"""Releases, spans of releases, and what a user may call a release."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import buildkit
from cachedoctor.buildkit import EVERY, LOOP_CHECK, REWRITTEN, Release, Span, parse_release
from cachedoctor.text import printable
from tests.support import run

RELEASES = st.builds(Release, st.just(0), st.integers(1, 60), st.integers(0, 12))
ENGINES = [tuple(row.split()) for row in re.findall(r"\S+ v\S+", buildkit._ENGINES)]


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("v0.21.1", "v0.21.1"),
        ("0.21.1", "v0.21.1"),
        ("0.21", "v0.21.0"),
        (" v0.21.1\n", "v0.21.1"),
        ("v0.21.1-rc1", "v0.21.1"),
        ("v0.21.1-0-gabc", "v0.21.1"),
        ("v0.11.7+d3e6c1360f6e", "v0.11.7"),
        ("docker-28.2.2", "v0.22.0"),
        ("docker-28.2", "v0.22.0"),
        ("Docker-v28.2.2-ce", "v0.22.0"),
        ("docker-23.0", "v0.10.6"),
        ("docker-23.0.15", "v0.10.6"),
        ("docker-26.1.0", "v0.13.1"),
        ("docker-26.1.4", "v0.13.2"),
        ("docker-28.5", "v0.25.0"),
        ("docker-28.5.1", "v0.25.1"),
        ("docker-29.7.1", "v0.32.0"),
        ("docker-29.7.2", "v0.32.2"),
    ],
)
def test_a_release_is_named_in_many_ways(text: str, release: str) -> None:
    assert str(parse_release(text)) == release


def test_all_stands_for_every_release() -> None:
    assert parse_release("all") is None


def test_an_engine_needs_its_minor_number() -> None:
    with pytest.raises(ValueError, match=r"docker-28 can have several releases of BuildKit; .* as in docker-28\.1"):
        parse_release("docker-28")


@pytest.mark.parametrize(
    "text", ["", "v", "21", "v0.21.x", "latest", "0.21.1.2", "v0.21.1 oops", "docker-", "v0.21.1\n-x"]
)
def test_what_is_not_a_release_is_refused(text: str) -> None:
    expected = "is not a BuildKit release; expected one such as v0.21.1, or docker-28.2 for"
    for parse in (parse_release, Release.parse):
        with pytest.raises(ValueError, match=expected):
            parse(text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "27.3.1",
            "27.3.1 is not a BuildKit release (these are v0.x); if it is your Docker Engine, use docker-27.3.1, which "
            "has BuildKit v0.16.0",
        ),
        (
            "v28.5.2-ce",
            "v28.5.2-ce is not a BuildKit release (these are v0.x); if it is your Docker Engine, use docker-28.5.2, "
            "which has BuildKit v0.25.2",
        ),
        (
            "1.0",
            "1.0 is not a BuildKit release (these are v0.x); `docker buildx inspect` shows the release of your builder",
        ),
        (
            "30.1",
            "30.1 is not a BuildKit release (these are v0.x); `docker buildx inspect` shows the release of your "
            "builder",
        ),
        (
            "docker-20.10.24",
            "docker-20.10.24 has a snapshot of BuildKit without a release number; Docker Engine 23.0 is the first with "
            "a release",
        ),
        (
            "docker-29.7.3",
            "docker-29.7.3 is newer than the Docker Engines known here (up to 29.7.2); `docker buildx inspect` shows "
            "the release of your builder",
        ),
        (
            "v0.0.0+unknown",
            "v0.0.0+unknown is not the number of a BuildKit release; expected one such as v0.21.1, or docker-28.2 for "
            "the BuildKit of a Docker Engine",
        ),
    ],
)
def test_what_looks_like_a_release_gets_a_hint(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        parse_release(text)


@pytest.mark.parametrize("start", ["", "1.0-", "0.0-", "docker-", "docker-99.0-"])
@given(rest=st.text())
def test_any_text_is_a_release_or_one_printable_line(start: str, rest: str) -> None:
    problem = ""
    try:
        release = parse_release(start + rest)
        assert release is None or release.major == 0
    except ValueError as error:
        problem = str(error)
    assert printable(problem) == problem
    assert len(problem) < 400


def test_a_wrong_release_is_one_line_on_standard_error() -> None:
    got = run("analyze", "-", "--buildkit", "27.3.1", stdin=b"{}")
    assert got.returncode == 2
    last = got.stderr.decode().splitlines()[-1]
    assert last.endswith("use docker-27.3.1, which has BuildKit v0.16.0")


@given(RELEASES, RELEASES)
def test_releases_are_ordered_and_read_back(first: Release, second: Release) -> None:
    assert (first < second) is ((first.minor, first.patch) < (second.minor, second.patch))
    assert parse_release(str(first)) == first
    assert parse_release(first.line) == Release(0, first.minor)


def test_the_table_of_engines_is_in_order_and_each_engine_has_its_release() -> None:
    engines = [tuple(map(int, engine.split("."))) for engine, _ in ENGINES]
    releases = [Release.parse(release) for _, release in ENGINES]
    assert engines == sorted(set(engines))
    assert releases == sorted(releases)
    assert [str(parse_release(f"docker-{engine}")) for engine, _ in ENGINES] == [release for _, release in ENGINES]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (EVERY, "every BuildKit"),
        (LOOP_CHECK, "v0.9 to v0.24"),
        (REWRITTEN, "v0.25 and later"),
        (buildkit.LOSES_LINKS, "v0.25 to v0.32"),
        (buildkit.FAILS_ON_DELETED_BLOB, "v0.25.0"),
        (buildkit.PUSHES_IMAGE_FIRST, "v0.27 and earlier"),
        (buildkit.PROVENANCE_WALKS, "v0.11 to v0.13"),
        (Span(Release(0, 24), Release(0, 25)), "v0.24"),
        (Span(Release(0, 25, 0), Release(0, 25, 3)), "v0.25.0 to v0.25.2"),
        (Span(Release(0, 9), Release(0, 12, 4)), "v0.9 to v0.12.3"),
        (Span(Release(0, 25, 1), Release(0, 33)), "v0.25.1 to v0.32"),
        (Span(until=Release(0, 12, 4)), "v0.12.3 and earlier"),
        (Span(Release(0, 12, 4)), "v0.12.4 and later"),
    ],
)
def test_a_span_is_said_in_words(span: Span, words: str) -> None:
    assert str(span) == words


@given(st.none() | RELEASES, st.none() | RELEASES, RELEASES)
def test_a_span_has_its_first_release_and_not_its_end(
    since: Release | None, until: Release | None, release: Release
) -> None:
    span = Span(since, until)
    assert (release in span) is ((since is None or since <= release) and (until is None or release < until))
    assert span.concerns(release) is (release in span)
    assert span.concerns(None)
    text: object = str(release)
    assert text not in span
    if since and until and since < until:
        assert since in span
        assert until not in span


@given(RELEASES, RELEASES, RELEASES)
def test_the_words_of_a_span_name_the_releases_in_it(since: Release, until: Release, release: Release) -> None:
    """A line such as v0.24 stands for all of its patch releases."""
    if since >= until or until == Release(0, 1):
        return
    named = [tuple(map(int, text.split("."))) for text in re.findall(r"v([0-9.]+)", str(Span(since, until)))]
    first, last = named[0], named[-1]
    numbers = tuple(release)
    assert (release in Span(since, until)) is (first <= numbers[: len(first)] and numbers[: len(last)] <= last)


@pytest.mark.parametrize(
    ("span", "inside", "outside"),
    [
        (LOOP_CHECK, ["0.9.0", "0.24.0", "0.24.99"], ["0.8.3", "0.25.0"]),
        (REWRITTEN, ["0.25.0", "0.33.0"], ["0.24.99"]),
        (buildkit.REFUSES_EMPTY_INPUT, ["0.25.0", "0.33.0"], ["0.24.99"]),
        (buildkit.LOSES_LINKS, ["0.25.0", "0.32.2"], ["0.24.0", "0.33.0"]),
        (buildkit.PROVENANCE_WALKS, ["0.11.0", "0.13.2"], ["0.10.6", "0.14.0"]),
        (buildkit.FAILS_ON_DELETED_BLOB, ["0.25.0"], ["0.24.0", "0.25.1"]),
        (buildkit.PUSHES_IMAGE_FIRST, ["0.8.0", "0.27.1"], ["0.28.0"]),
        (buildkit.WRITES_IMAGE_MANIFEST, ["0.21.0"], ["0.20.2"]),
        (buildkit.HAS_CACHE_DEBUG, ["0.24.0"], ["0.23.2"]),
        (EVERY, ["0.1.0", "0.99.0"], []),
    ],
)
def test_what_holds_from_which_release_to_which(span: Span, inside: list[str], outside: list[str]) -> None:
    assert all(Release.parse(release) in span for release in inside)
    assert not any(Release.parse(release) in span for release in outside)
