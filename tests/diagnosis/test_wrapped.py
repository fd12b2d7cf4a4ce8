"""Dumps and tables in the wrappings in which people have them: the same evidence as without."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings

from cachedoctor.diagnosis.evidence import Evidence, read
from tests.diagnosis.wrapped import DUMP, GROUPED, KINDS, OF_DUMPS, TABLE, broken, each, interleaved, prefixes


def evidence(text: str) -> Evidence:
    return read(text.encode(), "pasted")


PLAIN = {text: evidence(text) for text in (DUMP, GROUPED, TABLE)}


@pytest.mark.parametrize("text", PLAIN, ids=["debug=2", "debug=1", "table"])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost(text: str, kind: str) -> None:
    found, plain = evidence(KINDS[kind](text)), PLAIN[text]
    assert found.goroutines == plain.goroutines
    assert found.functions == plain.functions
    assert (found.total, found.whole) == (plain.total, plain.whole)
    assert found.table or not found.warning


@pytest.mark.parametrize("kind", OF_DUMPS)
def test_dump_without_what_nobody_needs(kind: str) -> None:
    found = evidence(OF_DUMPS[kind](DUMP))
    assert found.goroutines == PLAIN[DUMP].goroutines
    assert (found.warning, found.whole) == ("", True)


@given(prefixes())
@settings(deadline=None)
def test_any_prefix_is_learned(prefix: Callable[[int, str], str]) -> None:
    assert evidence(each(prefix)(DUMP)).goroutines == PLAIN[DUMP].goroutines


def test_containers_that_take_turns_are_told_apart() -> None:
    found = evidence(interleaved(DUMP))
    assert found.goroutines == [*PLAIN[DUMP].goroutines, *PLAIN[DUMP].goroutines]


@pytest.mark.parametrize("width", [80, 100, 150])
def test_broken_lines_of_a_grouped_dump(width: int) -> None:
    assert evidence(broken(width)(GROUPED)).goroutines == PLAIN[GROUPED].goroutines


def test_lines_that_are_cut_off_are_counted() -> None:
    text = each(lambda _, line: line if len(line) < 60 else f"{line[:59]}…")(DUMP)
    found = evidence(text)
    assert len(found.goroutines) == 46
    assert not found.whole
    assert found.warning.endswith(" are cut off within a function's name")


def test_lines_in_between_are_counted() -> None:
    lines = DUMP.splitlines()
    lines[30:30] = ["time=now a line of a log", "and a second one"]
    found = evidence("\n".join(lines))
    assert found.goroutines == PLAIN[DUMP].goroutines
    assert found.warning == "2 of 632 lines could not be read, the first: time=now a line of a log"
    assert not found.whole
